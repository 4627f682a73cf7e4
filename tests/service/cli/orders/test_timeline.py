"""Where the ten seconds went, as it is drawn."""

import io
import re

import pytest
from rich.console import Console

from service.cli.orders.timeline import longest_step, timeline
from service.orders.state.order_entry import Entry, Stage

CREATED = 1_768_078_800.0


def entry(**ages: float) -> Entry:
    """An order that reached the stages so many seconds after its creation, by two clocks that differ by a second."""
    upstream = {"created", "webhook_sent"}
    times = {Stage(name): CREATED + age - (name not in upstream) for name, age in ages.items()}
    return Entry("abc123", 250, times=times, skew=1.0)


def drawn(order: Entry) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(timeline(order))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def bars(order: Entry) -> dict[str, str]:
    head, *lines = drawn(order)
    first = head.index("0 s")
    return {re.split("  +", line)[0]: line[first:] for line in lines}


def test_steps_are_drawn_one_after_the_other_on_a_terminal_of_80_columns() -> None:
    order = entry(
        created=0,
        webhook_sent=1,
        received=1.2,
        queued=1.201,
        picked_up=1.25,
        read=2,
        sent=2.1,
        answered=4.1,
        verified=5,
    )
    assert drawn(order) == [
        "STAGE         AT (MS)  STEP (MS)  0 s                                 10 s|",
        "created             0                                                     |",
        "webhook sent     1000       1000  ====                                    |",
        "received         1200        200      =                                   |",
        "queued           1201          1      =                                   |",
        "picked up        1250         49      =                                   |",
        "read             2000        750       ===                                |",
        "sent             2100        100          =                               |",
        "answered         4100       2000          #########                       |",
        "verified         5000        900                  ====                    |",
    ]
    assert str(longest_step(order)) == "longest: from sent to answered, 2000 ms"


def test_the_end_of_the_window_is_at_a_fixed_column() -> None:
    order = entry(created=0, received=0.5, read=9.9, sent=12, answered=3600)
    assert bars(order) == {
        "created": f"{'':40}|",
        "received": f"{'==':40}|",
        "read": f"{'  ' + '=' * 38:40}|",
        "sent": f"{'=':>40}|>",
        "answered": f"{'':40}|>",
    }
    assert str(longest_step(order)) == "longest: from sent to answered, 3588000 ms"


def test_stages_are_sorted_by_time() -> None:
    # A retry keeps when the order was read, and has it queued after that.
    order = entry(created=0, read=2, queued=60, picked_up=61)
    assert list(bars(order)) == ["created", "read", "queued", "picked up"]


def test_a_skewed_clock_draws_nothing_before_the_order() -> None:
    order = entry(created=0, webhook_sent=0, received=-0.1, read=0.6)
    assert bars(order) == {
        "created": f"{'':40}|",
        "webhook sent": f"{'=':40}|",
        "received": f"{'=':40}|",
        "read": f"{'###':40}|",
    }


@pytest.mark.parametrize("order", [entry(created=0), entry(queued=1, picked_up=2), Entry("abc123", 250)])
def test_without_two_stages_there_is_no_longest_step(order: Entry) -> None:
    assert longest_step(order) is None
