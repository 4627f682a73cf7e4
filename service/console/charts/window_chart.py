"""The ten seconds of an order: where each stage lies in the window, as numbers for an SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.stage_steps import Step, longest_of, stage_name

WIDTH = 1000.0
"""Of the drawing, in its own units."""

WINDOW_END = 900.0
"""Where the window ends in the drawing. What comes later is squeezed behind it."""

# So that a step of a few milliseconds can be seen.
_BAR_WIDTH_MIN = 4.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One step: from where to where in the drawing, and its times in seconds."""

    name: str
    stage: str
    x: float
    width: float
    at_s: float
    step_s: float | None
    is_longest: bool
    is_late: bool


@dataclass(frozen=True, slots=True)
class WindowChart:
    """The steps as bars on a line of ``WIDTH``, and a mark for each second of the window."""

    bars: Sequence[Bar]
    seconds: Sequence[tuple[int, float]]

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Self:
        """Draw these steps, which are sorted by time."""
        longest = longest_of(steps)
        last = max(step.reached for step in steps)
        bars = []
        for number, step in enumerate(steps):
            x, end = _position(step.begun, last), _position(step.reached, last)
            width = max(end - x, _BAR_WIDTH_MIN)
            bars.append(
                Bar(
                    stage_name(step.stage),
                    step.stage.value,
                    round(min(x, WIDTH - width), 1),
                    round(width, 1),
                    step.reached,
                    step.seconds if number else None,
                    step is longest,
                    step.reached >= WINDOW_LENGTH_S,
                )
            )
        seconds = [(second, round(_position(second, last), 1)) for second in range(int(WINDOW_LENGTH_S) + 1)]
        return cls(bars, seconds)


def _position(seconds: float, last: float) -> float:
    """Where a moment lies: the window is drawn to scale, and what comes after it ends with the last stage."""
    if seconds <= WINDOW_LENGTH_S:
        return max(0.0, seconds) / WINDOW_LENGTH_S * WINDOW_END
    after = (seconds - WINDOW_LENGTH_S) / max(last - WINDOW_LENGTH_S, 1e-9)
    return WINDOW_END + min(after, 1.0) * (WIDTH - WINDOW_END)
