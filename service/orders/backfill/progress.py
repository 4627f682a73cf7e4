"""A backfill's date range, its listed orders, and its progress."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from service.bigcommerce.models import to_int
from service.orders.create_window import Window
from service.orders.state.order_entry import Status

MOST_NEWEST = 250
"""Orders that a dry run remembers, to show what would be sent for them: one list call of the core API."""


@dataclass(frozen=True, slots=True)
class DateRange:
    """Which orders to backfill: those created from ``since`` to ``until``; with ``again``, finished ones too.

    ``name`` is the key that the position is stored under.
    """

    since: datetime
    until: datetime
    name: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """An order from a list call. ``created_at`` is in Unix seconds on BigCommerce's clock."""

    id: int
    created_at: float
    customer_id: int

    @classmethod
    def in_page(cls, page: Sequence[dict[str, Any]], span: DateRange) -> list[Self]:
        """Parse the orders of a page. An order without a readable date gets the start of the range."""
        found = []
        for document in page:
            created_at = _created_at(document, default=span.since.timestamp())
            found.append(cls(to_int(document.get("id")) or 0, created_at, to_int(document.get("customer_id")) or 0))
        return [order for order in found if order.id]


@dataclass(slots=True)
class BackfillProgress:
    """The progress of a backfill.

    ``total`` is the number of orders in the range, None when BigCommerce does not give it. ``known`` were finished
    before. ``elsewhere`` were queued by others, or wait for their status. ``in_flight`` are queued by this backfill
    and not finished. All orders up to the id ``reached`` are finished; ``began_after`` is that id at the start of
    this run.
    """

    total: int | None = None
    began_after: int = 0
    reached: int = 0
    seen: int = 0
    known: int = 0
    elsewhere: int = 0
    in_flight: dict[int, ListedOrder] = field(default_factory=dict)
    outcomes: Counter[tuple[Status, str]] = field(default_factory=Counter)
    is_listed: bool = False
    workers: int = 1
    trouble: str | None = None

    @property
    def done(self) -> int:
        """How many orders this backfill is done with."""
        return self.known + self.elsewhere + self.outcomes.total()

    @property
    def is_finished(self) -> bool:
        """Whether all orders are listed and none is in flight."""
        return self.is_listed and not self.in_flight


@dataclass(slots=True)
class DryRunSummary:
    """What a backfill would do. ``by_guests`` are those of ``to_queue`` that need no call to B2B Edition.

    ``newest`` are the ids of the last of them.
    """

    began_after: int = 0
    orders: int = 0
    known: int = 0
    elsewhere: int = 0
    to_queue: int = 0
    by_guests: int = 0
    newest: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_NEWEST))


def _created_at(document: Mapping[str, Any], *, default: float) -> float:
    try:
        return Window.of_order(document["date_created"]).opened_at
    except (KeyError, TypeError, ValueError, AttributeError):
        return default
