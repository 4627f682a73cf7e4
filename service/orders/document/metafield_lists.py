"""The metafields of many orders from one list."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from service.bigcommerce.clock import UpstreamClock
from service.bigcommerce.core import Core
from service.bigcommerce.models import to_int
from service.errors import Refused
from service.orders.create_window import Window
from service.orders.document.loading import Document, Metafields, by_namespace

RECENT_S = 60.0
"""Metafields are listed for orders no older than this: what is older would come with everything since."""

MARGIN_S = 5.0
"""An order may be that much older than what told of it says."""


@dataclass(frozen=True, slots=True)
class RecentMetafields:
    """The metafields of all orders created after ``since``, in Unix seconds of BigCommerce's clock."""

    since: float
    by_order: dict[int | None, Metafields]

    def of(self, order: Document) -> Metafields | None:
        """The order's metafields; None when the list does not reach back to it."""
        try:
            created_at = Window.of_order(str(order.get("date_created"))).opened_at
        except ValueError:
            return None
        return self.by_order.get(to_int(order.get("id")), {}) if created_at > self.since else None


_OF_NO_ORDER = RecentMetafields(math.inf, {})


class MetafieldLists:
    """Lists of one store's metafields.

    Which time zone the list's ``date_created:min`` stands in is not documented. Were it not UTC, the list of a store
    in the west would be empty and its orders seem to have no metafields: it is believed once it has shown any.
    """

    def __init__(self, clock: UpstreamClock) -> None:
        self._clock = clock
        self._is_proven = False

    async def read(
        self, core: Core, hints: Iterable[float | None], namespaces: Collection[str] = ()
    ) -> RecentMetafields:
        """The metafields of recent orders, as far back as the ``hints``: when each order may have been created.

        It is of no order when a list would not save any call, or there is none to be had.
        """
        earliest = self._clock.now() - RECENT_S
        recent = [hint for hint in (earliest if hint is None else hint for hint in hints) if hint >= earliest]
        if len(recent) < 2:
            return _OF_NO_ORDER
        since = min(recent) - MARGIN_S
        try:
            listed = await core.orders_metafields(
                created_since=datetime.fromtimestamp(since, UTC), namespaces=sorted(namespaces)
            )
        except Refused:
            return _OF_NO_ORDER
        self._is_proven |= bool(listed)
        return RecentMetafields(since, _by_order(listed)) if self._is_proven else _OF_NO_ORDER


def _by_order(listed: Iterable[Document]) -> dict[int | None, Metafields]:
    found: defaultdict[int | None, list[Document]] = defaultdict(list)
    for metafield in listed:
        found[to_int(metafield.get("resource_id"))].append(metafield)
    return {order_id: by_namespace(metafields) for order_id, metafields in found.items()}
