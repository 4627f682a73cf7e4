"""The timeline of an order's window, drawn in plain characters so that it can be pasted anywhere."""

import math
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.entry_report import to_ms
from service.orders.stage_steps import Step, longest_of, stage_name, steps_of
from service.orders.state.order_entry import Entry, Stage

# Four characters a second: a whole line stays within the 80 columns of a terminal.
WIDTH = 40


def timeline(entry: Entry) -> Table:
    """Each stage with its time since the order, the length of its step, and a bar of the step in the window."""
    steps = steps_of(entry)
    return _chart(entry, steps) if steps else _timestamps(entry)


def longest_step(entry: Entry) -> Text | None:
    """A sentence about the longest step, or None without steps."""
    steps = steps_of(entry)
    longest = longest_of(steps)
    if longest is None:
        return None
    before = steps[steps.index(longest) - 1].stage
    return Text(f"longest: from {stage_name(before)} to {stage_name(longest.stage)}, {to_ms(longest.seconds)} ms")


def _chart(entry: Entry, steps: list[Step]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("STAGE", no_wrap=True)
    table.add_column("AT (MS)", justify="right", no_wrap=True)
    table.add_column("STEP (MS)", justify="right", no_wrap=True)
    end = f"{WINDOW_LENGTH_S:.0f} s|"
    table.add_column(f"0 s{end:>{WIDTH - 2}}", no_wrap=True)
    longest = longest_of(steps)
    for number, step in enumerate(steps):
        is_longest = step is longest
        table.add_row(
            _name(entry, step.stage),
            str(to_ms(step.reached)),
            str(to_ms(step.seconds)) if number else "",
            Text(_bar(step, "#" if is_longest else "=") if number else f"{'':{WIDTH}}|"),
            style="yellow" if is_longest else "",
        )
    return table


def _name(entry: Entry, stage: Stage) -> str:
    return "sent as buyer" if stage is Stage.SENT and entry.via == "storefront" else stage_name(stage)


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
        table.add_row(stage_name(stage), at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00"))
    return table
