"""Which orders are not enriched, by what the order itself says. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

from service.bigcommerce.models import to_int
from service.stores import Store

INCOMPLETE = 0
"""The status_id of an order that is not paid yet (Orders V2, order statuses)."""

SkipReason = Literal["deleted", "channel", "guest", "incomplete"]


def skip_reason(order: Mapping[str, Any], store: Store) -> SkipReason | None:
    """Why the V2 order is left alone, None when it is not.

    An ``incomplete`` one is only left until its status changes where the store says ``incomplete_orders = "wait"``.
    """
    if order.get("is_deleted") is True:
        return "deleted"
    if store.channels is not None and to_int(order.get("channel_id")) not in store.channels:
        return "channel"
    if not to_int(order.get("customer_id")):
        return "guest"
    if to_int(order.get("status_id")) == INCOMPLETE and store.incomplete_orders != "enrich":
        return "incomplete"
    return None
