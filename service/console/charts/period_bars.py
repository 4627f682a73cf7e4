"""Orders by hour or day as stacked bars: where each part lies, as numbers for an SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from service.orders.state.order_entry import Status
from service.orders.statistics.reading import StorePeriod

HEIGHT = 100.0
"""Of the drawing, in its own units. A bar is one unit wide."""

# From the bottom to the top: what went well first.
_STACK = (Status.CREATED, Status.UPDATED, Status.UNCHANGED, Status.SKIPPED, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Part:
    """The orders of one outcome in a bar."""

    outcome: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One period, ``x`` from the left. ``parts`` are drawn from the bottom; ``missed`` orders missed their window."""

    x: int
    begin: datetime
    outcomes: Mapping[str, int]
    missed: int
    parts: Sequence[Part]

    @property
    def orders(self) -> int:
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class PeriodBars:
    """Bars of periods that follow each other. ``highest`` is the number of orders that fills the height."""

    bars: Sequence[Bar]
    highest: int

    @classmethod
    def of(cls, periods: Sequence[StorePeriod]) -> Self:
        """Draw these periods, the oldest first."""
        highest = max((period.aggregate.orders for period in periods), default=0)
        return cls([_bar(x, period, highest) for x, period in enumerate(periods)], highest)

    @property
    def orders(self) -> int:
        """All orders of all periods."""
        return sum(bar.orders for bar in self.bars)


def _bar(x: int, period: StorePeriod, highest: int) -> Bar:
    outcomes = period.aggregate.outcomes
    parts, y = [], HEIGHT
    for status in _STACK:
        if count := outcomes.get(status, 0):
            height = round(count / highest * HEIGHT, 2)
            y = round(y - height, 2)
            parts.append(Part(status.value, y, height))
    return Bar(x, period.begin, outcomes, period.aggregate.missed, parts)
