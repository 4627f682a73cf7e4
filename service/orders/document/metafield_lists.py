"""Loads the metafields of many recent orders with one list call."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.clock import UpstreamClock
from service.bigcommerce.models import to_int
from service.errors import Refused
from service.orders.create_window import Window
from service.orders.document.loading import Document, Metafields, by_namespace

MAX_AGE_S = 60.0
"""The list holds everything since its start date. For older orders it would be too long."""

AGE_PER_ORDER_S = 20.0
"""Where it saves many calls, it may go back so far for each of them: at five orders a second, twice what the quota of
B2B Edition allows, that is a page of 250 metafields."""

LONGEST_AGE_S = 600.0

MARGIN_S = 5.0
"""An order may be this much older than its creation hint."""


@dataclass(frozen=True, slots=True)
class RecentMetafields:
    """The metafields of all orders created after ``since``, in Unix seconds of BigCommerce's clock."""

    since: float
    by_order: dict[int | None, Metafields]

    def of(self, order: Document) -> Metafields | None:
        """The order's metafields; None when the order is older than the list."""
        try:
            created_at = Window.of_order(str(order.get("date_created"))).opened_at
        except ValueError:
            return None
        return self.by_order.get(to_int(order.get("id")), {}) if created_at > self.since else None


NO_LIST = RecentMetafields(math.inf, {})
"""Covers no order."""


class MetafieldLists:
    """Reads one store's metafield lists, and trusts them only after one has shown a metafield.

    The time zone of the list's ``date_created:min`` is not documented. If it is not UTC, the list of a store in the
    west is empty, and its orders would seem to have no metafields.
    """

    def __init__(self, clock: UpstreamClock) -> None:
        self._clock = clock
        self._has_shown_metafields = False

    async def read(
        self, core: Core, created_hints: Iterable[float | None], namespaces: Collection[str] = ()
    ) -> RecentMetafields:
        """Read the metafields of recent orders, back to the earliest of ``created_hints``.

        A hint is when an order may have been created, in Unix seconds. The result covers no order when a list would
        save no call, or when the list cannot be had or trusted.
        """
        earliest = self._earliest(created_hints)
        if earliest is None:
            return NO_LIST
        since = earliest - MARGIN_S
        try:
            listed = await core.orders_metafields(
                created_since=datetime.fromtimestamp(since, UTC), namespaces=sorted(namespaces)
            )
        except Refused:
            return NO_LIST
        self._has_shown_metafields |= bool(listed)
        return RecentMetafields(since, _by_order(listed)) if self._has_shown_metafields else NO_LIST

    def _earliest(self, created_hints: Iterable[float | None]) -> float | None:
        """How far the list goes back, so that it serves as many of the orders as it may; None for not at all."""
        now, earliest = self._clock.now(), None
        newest_first = sorted((now - MAX_AGE_S if hint is None else hint for hint in created_hints), reverse=True)
        for count, hint in enumerate(newest_first, 1):
            longest_s = min(max(MAX_AGE_S, AGE_PER_ORDER_S * count), LONGEST_AGE_S)
            if count > 1 and now - hint <= longest_s:
                earliest = hint
        return earliest


def _by_order(listed: Iterable[Document]) -> dict[int | None, Metafields]:
    found: defaultdict[int | None, list[Document]] = defaultdict(list)
    for metafield in listed:
        found[to_int(metafield.get("resource_id"))].append(metafield)
    return {order_id: by_namespace(metafields) for order_id, metafields in found.items()}
