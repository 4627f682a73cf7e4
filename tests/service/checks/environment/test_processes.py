"""Who works, and how long orders wait."""

from collections import Counter

import pytest
from arq import ArqRedis

from service.checks.environment.processes import (
    check_flow,
    check_processes,
    overdue_findings,
    polling_findings,
    receiver_finding,
    wait_findings,
    worker_finding,
)
from service.gauges import QueueState, State
from service.orders.state.heartbeats import Alive, Heartbeats, own_version
from service.orders.state.order_entry import Entry, Stage
from service.orders.state.queue import Queue
from service.redis.client import connect
from tests.fakes.stacks.checks import lines

OWN = own_version()


def alive(*versions: str | None) -> Alive:
    return Alive(Counter(versions))


def state(jobs: int = 0, overdue_s: float = 0.0) -> State:
    return State(0, {"window": QueueState(jobs, overdue_s), "recovery": QueueState(0, 0.0)}, {})


@pytest.mark.parametrize(
    ("workers", "jobs", "line"),
    [
        (alive(), 0, "warning  workers  none is running. Start it: `enrich up`, or `enrich worker`."),
        (
            alive(),
            7,
            "error  workers  none is running, and 7 orders wait for one. Start it: `enrich up`, or `enrich worker`.",
        ),
        (alive(OWN, OWN), 7, f"ok  workers  2 workers of this version ({OWN})."),
        (
            alive(OWN, "0.0.9"),
            0,
            f"warning  workers  1 worker of 0.0.9; this command is {OWN}. That is fine during an upgrade; else restart"
            " them.",
        ),
        (
            alive("0.0.9", None),
            0,
            f"warning  workers  2 workers of 0.0.9, an older version; this command is {OWN}. Restart them: none"
            " has this"
            " version.",
        ),
    ],
)
def test_workers_are_counted_by_version(workers: Alive, jobs: int, line: str) -> None:
    assert lines([worker_finding(workers, state(jobs))]) == [line]


def test_without_a_receiver_most_orders_miss_their_window() -> None:
    assert lines([receiver_finding(alive()), receiver_finding(alive(OWN))]) == [
        f"warning  receivers  none is running, or it is older than {OWN}. New orders are found only by"
        " reconciling, once"
        " a minute, and most miss their ten seconds. Start it: `enrich up`, or `enrich web`.",
        f"ok  receivers  1 receiver of this version ({OWN}).",
    ]


def test_orders_that_wait_although_workers_run_are_a_warning() -> None:
    assert overdue_findings(alive(OWN), state(9, 4.9)) == []
    assert overdue_findings(alive(), state(9, 60.0)) == [], "said already"
    (line,) = lines(overdue_findings(alive(OWN), state(9, 61.0)))
    assert line.startswith(
        "warning  workers  the oldest order in its window has waited for 61 s. The workers are too few"
    )


async def test_they_are_read_from_redis(redis: ArqRedis) -> None:
    await Queue(redis).enqueue("abc123", 1, source="reconcile")
    await Heartbeats(redis, "receivers").write("a:1")
    found = lines(await check_processes(redis))
    assert [line[:60] for line in found] == [
        "error  workers  none is running, and 1 order waits for one. ",
        f"ok  receivers  1 receiver of this version ({OWN}).",
    ]
    async with connect("redis://127.0.0.1:1/0") as nowhere:
        assert await check_processes(nowhere) == []
        assert await check_flow(nowhere, "abc123") == []


def test_a_store_that_is_polled_says_why() -> None:
    assert polling_findings("abc123", None) == []
    for stored, reason in ((b'{"reason": "webhook inactive"}', "webhook inactive"), (b"7", "unknown")):
        (line,) = lines(polling_findings("abc123", stored))
        assert f"is polled every 3 s, because its webhooks do not come or come late ({reason})." in line


def picked_up_after(*waits: float, source: str = "webhook") -> list[Entry]:
    times = [{Stage.QUEUED: 100.0, Stage.PICKED_UP: 100.0 + wait} for wait in waits]
    return [Entry("abc123", at, source=source, times=each) for at, each in enumerate(times)]


def test_how_long_the_last_orders_waited() -> None:
    assert wait_findings("abc123", []) == []
    assert wait_findings("abc123", picked_up_after(50.0, source="backfill")) == []
    assert lines(wait_findings("abc123", picked_up_after(0.004, 0.006, 2.5))) == [
        "ok  last orders  the last 3 waited for a worker for 6 ms (median), 2.5 s at most."
    ]
    (line,) = lines(wait_findings("abc123", picked_up_after(4.0, 6.0)))
    assert line.startswith(
        "warning  last orders  the last 2 waited for a worker for 5.0 s (median), 6.0 s at most. Did"
    )
