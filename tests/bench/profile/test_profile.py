"""Tests of the profiles: rows that add up, and both tools in a tiny size."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.bench.profile.flood import by_function, by_module, profile_flood, within
from tests.bench.profile.order import profile_orders
from tests.bench.profile.path import NOTIFICATION, ON_ITS_WAY, REST, Recorded
from tests.bench.profile.recorded import ACCEPT, CLAIM, CREATE, RECEIVER_ROOT, WAKE, WORKER_ROOT
from tests.bench.profile.spans import Span
from tests.bench.profile.tables import flood_table, order_table

RECEIVER = [
    Span(1, 0, RECEIVER_ROOT, 1.0, 6.0, "s0:7"),
    Span(2, 1, ACCEPT, 2.0, 4.0),
    Span(3, 0, RECEIVER_ROOT, 1.5, 1.6, "s0:8"),
]
WORKER = [
    Span(1, 0, WAKE, 0.5, 0.5),
    Span(2, 0, WAKE, 5.0, 5.0),
    Span(3, 0, CLAIM, 7.0, 8.0, "s0:7"),
    Span(4, 0, WORKER_ROOT, 9.0, 30.0, "s0:7"),
    Span(5, 4, "redis GET", 10.0, 12.0),
    Span(6, 4, "redis HGETALL", 10.0, 14.0),
    Span(7, 4, "redis GET", 14.0, 15.0),
    Span(8, 4, CREATE, 16.0, 20.0),
    Span(9, 4, "redis transition", 21.0, 25.0),
]


def test_rows_are_what_the_order_waits_for_and_add_up_to_the_whole() -> None:
    rows, seconds = Recorded(RECEIVER, WORKER).path("s0:7", sent=0.0)
    assert seconds == 20.0
    assert sum(row.on_path for row in rows) == pytest.approx(seconds)
    assert {row.key: row.on_path for row in rows if row.on_path} == {
        (ON_ITS_WAY,): 1.0,
        (RECEIVER_ROOT,): 1.0,
        (RECEIVER_ROOT, ACCEPT): 2.0,
        (NOTIFICATION,): 1.0,
        (REST,): 2.0,
        (CLAIM,): 1.0,
        ("claimed: the job's task starts",): 1.0,
        (WORKER_ROOT,): 2.0,
        # Of the two that run at the same time, the one that ends last.
        (WORKER_ROOT, "redis HGETALL"): 4.0,
        (WORKER_ROOT, "redis GET (2)"): 1.0,
        (WORKER_ROOT, CREATE): 4.0,
    }


def test_a_worker_that_is_woken_before_the_receiver_has_its_answer_goes_on_at_once() -> None:
    woken = [Span(2, 0, WAKE, 3.0, 3.0), *WORKER[2:]]
    rows, seconds = Recorded(RECEIVER, woken).path("s0:7", sent=0.0)
    on_path = {row.key: row.on_path for row in rows}
    assert (on_path[RECEIVER_ROOT, ACCEPT], on_path[(NOTIFICATION,)], on_path[(REST,)]) == (1.0, 0.0, 4.0)
    assert sum(on_path.values()) == pytest.approx(seconds)


def test_an_order_that_was_not_recorded_is_named() -> None:
    with pytest.raises(AssertionError, match="s0:8: the worker has recorded nothing"):
        Recorded(RECEIVER, WORKER).path("s0:8", sent=0.0)
    with pytest.raises(AssertionError, match="s0:7: its Create was not recorded"):
        Recorded(RECEIVER, [each for each in WORKER if each.name != CREATE]).path("s0:7", sent=0.0)


def test_samples_are_counted_by_package_by_function_and_within_what_calls() -> None:
    stacks = Counter(
        {
            ("asyncio.runners:run", "workers.a:f", "json.decoder:decode"): 3,
            ("asyncio.runners:run", "workers.a:f", "workers.a:f"): 2,
            ("asyncio.runners:run",): 1,
        }
    )
    assert by_module(stacks) == {"json": 3, "workers.a": 2, "asyncio": 1}
    assert by_function(stacks) == {"json.decoder:decode": 3, "workers.a:f": 2, "asyncio.runners:run": 1}
    assert within(stacks) == {"workers.a:f": 5}


@pytest.mark.chaos
async def test_orders_are_profiled_one_after_another() -> None:
    profile = await profile_orders(3, 1, lambda _: None, warm_up=1)

    steps = {step.key[-1]: step for step in profile.steps}
    assert sum(step.mean for step in profile.steps) == pytest.approx(profile.mean, rel=0.01)
    assert sum(step.first for step in profile.steps) == pytest.approx(profile.first, rel=0.01)
    for name in (ACCEPT, CLAIM, "redis begin_attempt", "redis save_entry", "call Get an Order", "evaluate the rules"):
        assert (steps[name].orders, steps[name].mean > 0) == (1.0, True), name
    assert CREATE in order_table(profile)
    assert json.loads(json.dumps(profile.to_json()))["orders"] == 3


@pytest.mark.chaos
async def test_a_worker_is_profiled_in_the_flood(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks"
    profile = await profile_flood(60, lambda _: None, stores=2, stacks=stacks, idle_s=0.5, settled_s=1.0)

    assert profile.calls["Create an Order"] == 1.0
    assert profile.exchanges.calls["script enqueue_order"] == pytest.approx(1.0)
    assert profile.exchanges.calls["script transition"] >= 2.0
    assert profile.exchanges.us["script transition"] > 0
    # What scripts do inside is not counted beside them.
    assert sum(profile.exchanges.calls.values()) < 40
    assert profile.samples > 0
    assert sum(profile.modules.values()) == pytest.approx(1.0)
    assert "workers.startup:main;" in stacks.read_text()
    assert "script transition" in flood_table(profile)
