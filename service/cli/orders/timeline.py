"""The timeline of an order's window, drawn in plain characters so that it can be pasted anywhere."""

import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from service.cli.orders.entry_format import to_ms
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.order_entry import Entry, Stage

# Four characters a second: a whole line stays within the 80 columns of a terminal.
WIDTH = 40


class Step(NamedTuple):
    """The time from the previous stage to this one. ``begun`` and ``reached`` are seconds since the order."""

    stage: Stage
    begun: float
    reached: float

    @property
    def seconds(self) -> float:
        return self.reached - self.begun


def timeline(entry: Entry) -> Table:
    """Each stage with its time since the order, the length of its step, and a bar of the step in the window."""
    steps = _steps(entry)
    return _chart(steps) if steps else _timestamps(entry)


def longest_step(entry: Entry) -> Text | None:
    """A sentence about the longest step, or None without steps."""
    steps = _steps(entry)
    longest = _longest(steps)
    if longest is None:
        return None
    before = steps[steps.index(longest) - 1].stage
    return Text(f"longest: from {_name(before)} to {_name(longest.stage)}, {to_ms(longest.seconds)} ms")


def _steps(entry: Entry) -> list[Step]:
    """The steps sorted by time: an order that was queued again may not pass the stages in their order."""
    ages = {stage: age for stage in Stage if (age := entry.age_at(stage)) is not None}
    reached = sorted(ages, key=lambda stage: ages[stage])
    first = [Step(stage, ages[stage], ages[stage]) for stage in reached[:1]]
    return first + [Step(after, ages[before], ages[after]) for before, after in pairwise(reached)]


def _longest(steps: list[Step]) -> Step | None:
    return max(steps[1:], key=lambda step: step.seconds, default=None)


def _chart(steps: list[Step]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("STAGE", no_wrap=True)
    table.add_column("AT (MS)", justify="right", no_wrap=True)
    table.add_column("STEP (MS)", justify="right", no_wrap=True)
    end = f"{WINDOW_LENGTH_S:.0f} s|"
    table.add_column(f"0 s{end:>{WIDTH - 2}}", no_wrap=True)
    longest = _longest(steps)
    for number, step in enumerate(steps):
        is_longest = step is longest
        table.add_row(
            _name(step.stage),
            str(to_ms(step.reached)),
            str(to_ms(step.seconds)) if number else "",
            Text(_bar(step, "#" if is_longest else "=") if number else f"{'':{WIDTH}}|"),
            style="yellow" if is_longest else "",
        )
    return table


def _bar(step: Step, character: str) -> str:
    if step.begun >= WINDOW_LENGTH_S:
        return f"{'':{WIDTH}}|>"
    first = max(0, int(step.begun / WINDOW_LENGTH_S * WIDTH))
    last = min(WIDTH, max(first + 1, math.ceil(step.reached / WINDOW_LENGTH_S * WIDTH)))
    bar = " " * first + character * (last - first)
    return f"{bar:{WIDTH}}|" + (">" if step.reached > WINDOW_LENGTH_S else "")


def _timestamps(entry: Entry) -> Table:
    """The stages as times of day, for an order that was not read yet: when its window opened is unknown."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("STAGE", no_wrap=True)
    table.add_column("AT (UTC)", no_wrap=True)
    for stage in sorted(entry.times, key=lambda stage: entry.times[stage]):
        at = datetime.fromtimestamp(entry.times[stage], UTC)
        table.add_row(_name(stage), at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00"))
    return table


def _name(stage: Stage) -> str:
    return stage.value.replace("_", " ")
