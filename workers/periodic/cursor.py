"""The cursor into a store's list of orders, and a page of that list."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from service.bigcommerce.clients.core_api import PER_PAGE
from service.bigcommerce.models import to_int
from service.orders.create_window import Window
from workers.periodic.periodic_task import State

# An order may appear in the list so long after its creation and is still found.
OVERLAP_S = 300.0

# A list by id begins so many ids earlier: orders that are placed together may appear in another sequence.
OVERLAP_IDS = 10


class Cursor(State):
    """How far a store's list of orders has been read. Times are seconds since the epoch, on BigCommerce's clock."""

    since: float | None = None
    """When the store was reconciled for the first time."""
    time: float
    """All orders created before this are queued."""
    highest_id: int = 0
    first_id: int | None = None
    """The highest id when the store was first listed by id: older orders are not found by their ids. None before."""
    ids_read_to: int = 0
    """The orders from there up to this id have been listed by id, whatever their dates."""
    began: float | None = None
    """When reading the list began, while its last page has not been reached; else None."""
    reached: int = 0
    """The order id that this reading has reached."""
    read_at: float | None = None
    """When the list was last read to its end, by id or by date, on our clock; None where an older version has.

    Where nothing else changes, it is not kept up to date."""
    last_order_at: float | None = None
    """When an order was last listed for the first time, on our clock; at first, when the store was listed by id."""
    untold_at: float | None = None
    """When an order was last found whose webhook was late or missing, on our clock."""
    interval_s: float | None = None
    """The interval between readings after the last one. None before the second one."""
    quiet_since: float | None = None
    """The last webhook (on our clock) before a silence in which the list showed no new order."""

    def ids_from(self, reached: int, *, is_settled: bool = False) -> int:
        """The id to list from, after an earlier list has reached that id; ``is_settled``: all ids up to it."""
        return max((self.first_id or 0) + 1, reached + 1 if is_settled else reached - OVERLAP_IDS)

    @property
    def is_settled(self) -> bool:
        """Whether all orders up to ``ids_read_to`` are known, so that new ones have higher ids.

        That is so once the list has been read with its overlap so long after the last order appeared as any may take.
        """
        if self.first_id is None or self.began is not None or self.read_at is None or self.last_order_at is None:
            return False
        return self.read_at - self.last_order_at > OVERLAP_S

    @property
    def created_from(self) -> datetime:
        """The list is read from this date on."""
        return datetime.fromtimestamp(math.floor(self.time - OVERLAP_S), UTC)


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """An order in the list; ``created_at`` is on BigCommerce's clock, None if it cannot be read."""

    id: int
    created_at: float | None


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A page of the list; ``is_full`` if there may be more pages. Holds only what is needed, to save memory."""

    orders: list[ListedOrder]
    is_full: bool

    @classmethod
    def of(cls, documents: Sequence[dict[str, Any]]) -> Self:
        """The page from the API's order documents. Documents without an id are left out."""
        numbered = ((to_int(document.get("id")), document) for document in documents)
        orders = [ListedOrder(order_id, _created_at(document)) for order_id, document in numbered if order_id]
        return cls(orders, is_full=len(documents) >= PER_PAGE)


def _created_at(document: dict[str, Any]) -> float | None:
    try:
        return Window.of_order(document["date_created"]).opened_at
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
