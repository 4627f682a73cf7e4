"""Orders by hour or day as stacked bars: an SVG, and the same as rows of a table.

Both are made here, because a template takes some times as long, and the overview has hundreds of bars; what a period
that is over looks like is kept. All that stands in a bar is ours (names of outcomes, numbers and times).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Self

from markupsafe import Markup, escape

from service.orders.statistics.aggregate import OUTCOMES
from service.orders.statistics.reading import StorePeriod

HEIGHT = 100.0
"""Of the drawing, in its own units. A bar is one unit wide, and its outcomes are stacked in the order of OUTCOMES."""

# A third of a kilobyte each.
_KEPT = 4096


class Bar(NamedTuple):
    """A period with orders, ``x`` from the left: how many have each outcome, how many ``missed`` their window."""

    x: int
    begin: datetime
    counts: tuple[int, ...]
    missed: int


@dataclass(frozen=True, slots=True)
class PeriodBars:
    """Bars of those of ``periods`` that have orders. ``highest`` is the number of orders that fills the height."""

    bars: Sequence[Bar]
    periods: int
    highest: int
    orders: int

    @classmethod
    def of(cls, periods: Sequence[StorePeriod]) -> Self:
        """Draw these periods, the oldest first."""
        bars, totals = [], []
        for x, period in enumerate(periods):
            counts = period.aggregate.outcome_counts
            if orders := sum(counts):
                bars.append(Bar(x, period.begin, counts, period.aggregate.missed))
                totals.append(orders)
        return cls(bars, len(periods), max(totals, default=0), sum(totals))

    def svg(self, name: str, form: str, css_class: str = "bars") -> Markup:
        """The drawing; ``form`` is how a bar's time is written. ``rows`` says the same as text."""
        drawn = "".join([_drawn(bar, self.highest, form) for bar in self.bars])
        label = escape(f"{name}: {self.orders:,} orders")
        view = f'viewBox="0 0 {self.periods} {HEIGHT:g}" preserveAspectRatio="none" role="img"'
        return Markup(f'<svg class="{escape(css_class)}" {view} aria-label="{label}">{drawn}</svg>')  # noqa: S704

    def rows(self, form: str) -> Markup:
        """The bars as rows of a table, the last one first: the time, the orders of each outcome, those that missed."""
        return Markup("".join([_row(bar, form) for bar in reversed(self.bars)]))  # noqa: S704


@lru_cache(maxsize=_KEPT)
def _drawn(bar: Bar, highest: int, form: str) -> str:
    """The outcomes of a bar, drawn from the bottom."""
    parts, y, x = "", HEIGHT, f"{bar.x + 0.08:g}"
    for outcome, count in zip(OUTCOMES, bar.counts, strict=True):
        if count:
            height = round(count / highest * HEIGHT, 2)
            y = round(y - height, 2)
            parts += f'<rect class="{outcome}" x="{x}" y="{y:g}" width="0.84" height="{height:g}"/>'
    return f"<g><title>{_title(bar, form)}</title>{parts}</g>"


def _title(bar: Bar, form: str) -> Markup:
    """What the bar says to who points at it: the most frequent outcome first."""
    by_count = sorted(zip(bar.counts, OUTCOMES, strict=True), key=lambda each: -each[0])
    outcomes = ", ".join(f"{count} {outcome}" for count, outcome in by_count if count)
    missed = f"; {bar.missed} missed the window" if bar.missed else ""
    return escape(f"{bar.begin.strftime(form)}: {outcomes}{missed}")


@lru_cache(maxsize=_KEPT)
def _row(bar: Bar, form: str) -> str:
    cells = "".join(f'<td class="number">{count}</td>' for count in (*bar.counts, bar.missed))
    return f'<tr><th scope="row" class="nowrap">{escape(bar.begin.strftime(form))}</th>{cells}</tr>'
