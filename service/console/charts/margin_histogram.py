"""How much of the window was left when Create was sent: a bar for each half second, as an SVG and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from markupsafe import Markup

from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.statistics.aggregate import Aggregate

_STEP_S = 0.5
_STEPS = round(WINDOW_LENGTH_S / _STEP_S)

HEIGHT = 100.0
"""Of the drawing, in its own units. A bar is one unit wide, and the window ends where the last but one bar begins."""

WIDTH = _STEPS + 1
"""A bar for each step of the window, and one for all that came later."""


@dataclass(frozen=True, slots=True)
class MarginBar:
    """The creates that were sent at an age between ``from_s`` and ``to_s`` (None: after the window)."""

    x: int
    from_s: float
    to_s: float | None
    count: int
    height: float

    @property
    def css_class(self) -> str:
        """That of the outcome whose colour it has."""
        return "failed" if self.to_s is None else "waiting" if self.from_s >= WINDOW_LENGTH_S - 2 else "created"

    @property
    def span(self) -> str:
        """What was left, in words."""
        if self.to_s is None:
            return "after the window"
        return f"{WINDOW_LENGTH_S - self.to_s:g} to {WINDOW_LENGTH_S - self.from_s:g} s left"


@dataclass(frozen=True, slots=True)
class MarginHistogram:
    """All bars, by the age of the orders. ``narrow`` creates had less than two seconds left."""

    bars: Sequence[MarginBar]
    total: int
    narrow: int
    late: int

    @classmethod
    def of(cls, aggregate: Aggregate) -> Self:
        """Draw the creates of a span of time."""
        counts = [0] * WIDTH
        for low, high, count in aggregate.create_ages.bars():
            counts[min(int((low + high) / 2 / _STEP_S), _STEPS) if low < WINDOW_LENGTH_S else _STEPS] += count
        highest = max(counts)
        bars = [
            MarginBar(
                step,
                step * _STEP_S,
                (step + 1) * _STEP_S if step < _STEPS else None,
                count,
                round(count / highest * HEIGHT, 2) if highest else 0.0,
            )
            for step, count in enumerate(counts)
        ]
        narrow = sum(counts[-1 - round(2 / _STEP_S) : -1])
        return cls(bars, sum(counts), narrow, counts[-1])

    def rects(self) -> Markup:
        """The bars of the drawing, which is 4 units higher than the highest."""
        drawn = [
            f'<rect class="{bar.css_class}" x="{bar.x + 0.06:g}" y="{HEIGHT + 4 - bar.height:g}" width="0.88" '
            f'height="{bar.height:g}"><title>{bar.span}: {bar.count}</title></rect>'
            for bar in self.bars
            if bar.count
        ]
        return Markup("".join(drawn))  # noqa: S704

    def rows(self) -> Markup:
        """The bars as rows of a table."""
        rows = [
            f'<tr><th scope="row">{bar.span}</th><td class="number">{bar.count}</td></tr>'
            for bar in self.bars
            if bar.count
        ]
        return Markup("".join(rows))  # noqa: S704
