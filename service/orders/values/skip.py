"""Decides from the order itself whether it is skipped. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

from service.bigcommerce.models import to_int
from service.stores import Store

INCOMPLETE = 0
"""The status_id of an order that is not paid yet (Orders V2, order statuses)."""

REHEARSAL_SOURCE = "enrich rehearse"
"""The ``external_source`` of test orders. Only who makes an order by API can set it, and it is there from the start: no
webhook can be faster than this mark."""

SkipReason = Literal["deleted", "rehearsal", "channel", "guest", "incomplete"]


def skip_reason(order: Mapping[str, Any], store: Store) -> SkipReason | None:
    """Why the V2 order is skipped; None when it is to be enriched.

    With ``incomplete_orders = "wait"``, an ``incomplete`` order is not skipped for good: it waits for its status.
    """
    if order.get("is_deleted") is True:
        return "deleted"
    if order.get("external_source") == REHEARSAL_SOURCE:
        return "rehearsal"
    if store.channels is not None and to_int(order.get("channel_id")) not in store.channels:
        return "channel"
    if not to_int(order.get("customer_id")):
        return "guest"
    if to_int(order.get("status_id")) == INCOMPLETE and store.incomplete_orders != "enrich":
        return "incomplete"
    return None
