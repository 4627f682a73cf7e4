"""What a backfill works on, and how it stands."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from service.bigcommerce.models import to_int
from service.orders.create_window import Window
from service.orders.state.entry import Status


@dataclass(frozen=True, slots=True)
class DateRange:
    """The orders that are wanted: those created from ``since`` to ``until``, and with ``again`` those that have ended.

    ``name`` is what the position is kept under.
    """

    since: datetime
    until: datetime
    name: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """An order in the list; ``created_at`` is on BigCommerce's clock."""

    id: int
    created_at: float
    customer_id: int

    @classmethod
    def in_page(cls, page: Sequence[dict[str, Any]], span: DateRange) -> list[Self]:
        """The orders of a page. One whose date cannot be read is taken to be as old as can be."""
        found = []
        for document in page:
            created_at = _created_at(document, otherwise=span.since.timestamp())
            found.append(cls(to_int(document.get("id")) or 0, created_at, to_int(document.get("customer_id")) or 0))
        return [order for order in found if order.id]


@dataclass(slots=True)
class BackfillProgress:
    """How a backfill stands.

    ``total`` is how many orders there seem to be, None when BigCommerce does not tell; ``known`` had ended before,
    ``elsewhere`` are those that others have queued or that wait for their status; ``in_hand`` is what was queued and
    has not ended. All up to the order ``reached`` have ended; an earlier run had come to ``began_after``.
    """

    total: int | None = None
    began_after: int = 0
    reached: int = 0
    seen: int = 0
    known: int = 0
    elsewhere: int = 0
    in_hand: dict[int, ListedOrder] = field(default_factory=dict)
    outcomes: Counter[tuple[Status, str]] = field(default_factory=Counter)
    is_walked: bool = False
    workers: int = 1
    trouble: str | None = None

    @property
    def done(self) -> int:
        """How many orders need nothing more of this backfill."""
        return self.known + self.elsewhere + self.outcomes.total()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do."""
        return self.is_walked and not self.in_hand


@dataclass(slots=True)
class DryRunSummary:
    """What a backfill would find: ``by_guests`` are those to be queued for which B2B Edition need not be asked."""

    began_after: int = 0
    orders: int = 0
    known: int = 0
    elsewhere: int = 0
    to_queue: int = 0
    by_guests: int = 0


def _created_at(document: Mapping[str, Any], *, otherwise: float) -> float:
    try:
        return Window.of_order(document["date_created"]).opened_at
    except (KeyError, TypeError, ValueError, AttributeError):
        return otherwise
