"""Orders by hour or day as stacked bars: where each part lies, as numbers for an SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from markupsafe import Markup, escape

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

    def title(self, form: str) -> str:
        """What the bar says to who points at it."""
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
        missed = f"; {self.missed} missed the window" if self.missed else ""
        return f"{self.begin.strftime(form)}: {outcomes}{missed}"


@dataclass(frozen=True, slots=True)
class PeriodBars:
    """Bars of periods that follow each other. ``highest`` is the number of orders that fills the height."""

    bars: Sequence[Bar]
    highest: int

    @classmethod
    def of(cls, periods: Sequence[StorePeriod]) -> Self:
        """Draw these periods, the oldest first."""
        outcomes = [period.aggregate.outcomes for period in periods]
        highest = max((sum(each.values()) for each in outcomes), default=0)
        both = zip(periods, outcomes, strict=True)
        return cls([_bar(x, period, found, highest) for x, (period, found) in enumerate(both)], highest)

    @property
    def orders(self) -> int:
        """All orders of all periods."""
        return sum(bar.orders for bar in self.bars)

    def svg(self, name: str, form: str, css_class: str = "bars") -> Markup:
        """The drawing; ``form`` is how a bar's time is written. A table beside it says the same as text.

        Made here, because a template takes some times as long, and the overview has hundreds of bars.
        """
        drawn = "".join(
            f"<g><title>{escape(bar.title(form))}</title>{''.join(_rect(bar.x, part) for part in bar.parts)}</g>"
            for bar in self.bars
            if bar.orders
        )
        label = escape(f"{name}: {self.orders:,} orders")
        view = f'viewBox="0 0 {len(self.bars)} {HEIGHT:g}" preserveAspectRatio="none" role="img"'
        return Markup(f'<svg class="{escape(css_class)}" {view} aria-label="{label}">{drawn}</svg>')  # noqa: S704


def _rect(x: int, part: Part) -> str:
    return f'<rect class="{part.outcome}" x="{x + 0.08:g}" y="{part.y:g}" width="0.84" height="{part.height:g}"/>'


def _bar(x: int, period: StorePeriod, outcomes: Mapping[str, int], highest: int) -> Bar:
    parts, y = [], HEIGHT
    for status in _STACK:
        if count := outcomes.get(status, 0):
            height = round(count / highest * HEIGHT, 2)
            y = round(y - height, 2)
            parts.append(Part(status.value, y, height))
    return Bar(x, period.begin, outcomes, period.aggregate.missed, parts)
