"""Runs: joined while they are in progress, kept for ten minutes, and never more than a few at a time."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from service.console.runs.runs import KEEP_S, MAX_KEPT, MAX_RUNNING, Run, RunKey, Runs, TooManyRuns
from service.errors import EnrichError

KEY = RunKey("ana", "/stores/abc123/check")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def ended(runs: Runs, key: RunKey = KEY) -> Run:
    await runs.wait(key, 5)
    run = runs.find(key)
    assert run is not None
    assert not run.is_running
    return run


async def test_who_asks_again_while_it_runs_joins_it() -> None:
    runs, begun, go_on = Runs(), list[str](), asyncio.Event()

    async def work(_: Run) -> str:
        begun.append("once")
        await go_on.wait()
        return "done"

    runs.start(KEY, work)
    await asyncio.sleep(0)
    runs.start(KEY, work)
    assert runs.is_running(KEY)
    go_on.set()
    assert (await ended(runs)).result == "done"
    assert begun == ["once"]
    runs.start(KEY, work)
    await ended(runs)
    assert begun == ["once", "once"]


async def test_a_run_belongs_to_one_person() -> None:
    runs = Runs()
    runs.start(KEY, lambda _: asyncio.sleep(0, "secret"))
    await ended(runs)
    assert runs.find(RunKey("ben", KEY.path)) is None
    assert runs.find(RunKey("ana", "/stores/other1/check")) is None


async def test_a_result_is_forgotten_after_ten_minutes_and_the_oldest_ones_before() -> None:
    clock = Clock()
    runs = Runs(clock)
    runs.start(KEY, lambda _: asyncio.sleep(0, 1))
    await ended(runs)
    clock.now += KEEP_S
    assert runs.find(KEY)
    clock.now += 1
    assert runs.find(KEY) is None
    for number in range(MAX_KEPT + 1):
        runs.start(RunKey("ana", str(number)), lambda _: asyncio.sleep(0, 1))
        await ended(runs, RunKey("ana", str(number)))
    assert runs.find(RunKey("ana", "0")) is None
    assert runs.find(RunKey("ana", "1"))


async def test_more_than_a_few_at_a_time_are_refused() -> None:
    runs = Runs()
    for number in range(MAX_RUNNING):
        runs.start(RunKey("ana", str(number)), lambda _: asyncio.sleep(60))
    with pytest.raises(TooManyRuns, match="Try again in a minute"):
        runs.start(KEY, lambda _: asyncio.sleep(0))
    await runs.close()
    await asyncio.sleep(0)
    runs.require_room()


async def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (EnrichError("Get an Order: 404: no such order"), "Get an Order: 404: no such order"),
        (RedisConnectionError("lost"), "Redis does not answer"),
        (ZeroDivisionError("s3cret"), "Something went wrong. The log says what (internal_error)."),
    ],
)
async def test_what_went_wrong_is_said(error: Exception, text: str) -> None:
    runs = Runs()
    with capture_logs():
        runs.start(KEY, lambda _: fail(error))
        run = await ended(runs)
    assert run.error.startswith(text)
    assert run.result is None


def test_progress_says_what_it_waits_for_and_for_how_long() -> None:
    clock = Clock()
    run = Run(clock.now, _clock=clock)
    assert run.progress == "Reading from BigCommerce …"
    run.waits("Get an Order", 40.2)
    assert run.progress == "Get an Order: waits 41 s for BigCommerce's quota. Orders go first."
    clock.now += 30
    assert "waits 11 s" in run.progress
    clock.now += 30
    assert run.progress == "Get an Order …"
    run.waits("Get an Order", 0.3)
    assert run.progress == "Get an Order …"
    run.waits("Get an Order", 40.0)
    run.does("12 calls so far")
    assert run.progress == "12 calls so far …"
