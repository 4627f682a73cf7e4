"""Keeps what was read of orders that are attempted again soon, in the memory of this process.

In a burst an order waits for quota many times. Without this, each attempt would read it anew, and one whose next source
has no quota would have read in vain all that it had read before.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from service.orders.document.id_ranges import id_ranges
from service.orders.document.loading import Document, Metafields, order_document
from service.rules import Needs

MOST_ORDERS = 1000
"""Of all stores; an order takes some 20 kB. Beyond, the one that was used longest ago is forgotten, and read anew."""

CART = "cart"
"""The source that never grows old: see ``Entry.cart``."""


@dataclass(eq=False, slots=True)
class OrderParts:
    """What was read of one order, and when each read began, in Unix seconds of the reader's clock.

    ``sources`` are the cart and the payments, by root. All of it was read for rules with these ``needs``.
    ``created_hint`` is when the order may have been created, ``used_at`` when its last attempt of this process asked
    for it, and ``attempt`` the number of that attempt.
    """

    order_id: int
    needs: Needs
    created_hint: float | None = None
    used_at: float = 0.0
    attempt: int = 0
    order: Document | None = None
    order_at: float = 0.0
    metafields: Metafields | None = None
    metafields_at: float = 0.0
    sources: dict[str, Any] = field(default_factory=dict)
    sources_at: float = 0.0
    _oldest: float = 0.0

    def drop_before(self, oldest: float) -> None:
        """Drop what was read before ``oldest``, but for the cart, and take nothing from then."""
        self._oldest = oldest
        if self.order_at < oldest:
            self.order = None
        if self.metafields_at < oldest:
            self.metafields = None
        if self.sources_at < oldest:
            for root in self.sources.keys() - {CART}:
                del self.sources[root]

    def fill(self, asked_at: float, *, order: Document | None = None, metafields: Metafields | None = None) -> None:
        """Take over what was asked for at this time, unless that is too old or something newer is there."""
        if order is not None and asked_at >= max(self.order_at, self._oldest):
            self.order, self.order_at = order, asked_at
        if metafields is not None and asked_at >= max(self.metafields_at, self._oldest):
            self.metafields, self.metafields_at = metafields, asked_at

    @property
    def read_at(self) -> float:
        """Since when the document is known: the oldest of its parts counts."""
        return min(self.order_at, self.metafields_at) if self.needs.metafields else self.order_at

    def document(self) -> Document | None:
        """The part of the document that the order and its metafields give; None while one of them is missing."""
        if self.order is None or (self.needs.metafields and self.metafields is None):
            return None
        return order_document(self.order, self.metafields or {})


class KeptOrders:
    """The orders that attempts of this process have begun to read, until they need no other attempt."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], OrderParts] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, store: str, order_id: int, needs: Needs, *, now: float) -> OrderParts:
        """What is known of the order for rules with these needs. From now on it is kept, until it is forgotten."""
        key = (store, order_id)
        parts = self._kept.get(key)
        if parts is None or _calls(parts.needs) != _calls(needs):
            parts = self._kept[key] = OrderParts(order_id, needs)
        parts.used_at = now
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_ORDERS:
            self._kept.popitem(last=False)
        return parts

    def forget(self, store: str, order_id: int) -> None:
        """Forget an order that needs no other attempt, or is to be read anew."""
        self._kept.pop((store, order_id), None)

    def source(self, store: str, order_id: int, root: str) -> Any:
        """A source of the order, if it is kept; else None."""
        parts = self._kept.get((store, order_id))
        return parts and parts.sources.get(root)

    def others(self, store: str, parts: OrderParts, *, since: float) -> list[OrderParts]:
        """The store's other orders that were used since then: a list that reads this order may read them, too."""
        return [
            other
            for (its_store, _), other in self._kept.items()
            if its_store == store and other is not parts and other.used_at >= since
        ]


def near(parts: OrderParts, others: Iterable[OrderParts]) -> list[OrderParts]:
    """Those of the other orders that one list call can show beside this one."""
    by_id = {other.order_id: other for other in others}
    ranges = id_ranges([parts.order_id, *by_id])
    return [other for order_id, other in by_id.items() if ranges[order_id] == ranges[parts.order_id]]


def _calls(needs: Needs) -> tuple[object, ...]:
    """What decides which calls read an order, and what they ask for."""
    return (needs.consignments, needs.metafields, needs.metafield_namespaces)
