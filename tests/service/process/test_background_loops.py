"""Loops that end are restarted; one that keeps failing stops its process."""

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from service.process import background_loops as process_loops
from service.process.background_loops import LoopFailed, Loops
from service.process.task_cancellation import cancel_and_wait


async def until_stopped(stop: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        await stop.wait()


class Flaky:
    """A loop that fails so many times and then runs."""

    def __init__(self, fails: int, error: BaseException | None = None) -> None:
        self.fails = fails
        self.error = error
        self.runs = 0
        self.running = asyncio.Event()

    async def run(self) -> None:
        self.runs += 1
        if self.runs <= self.fails:
            if self.error is not None:
                raise self.error
            return
        self.running.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "exception"),
    [(ValueError("x"), "ValueError"), (asyncio.CancelledError(), "CancelledError"), (None, "the loop returned")],
)
async def test_a_loop_that_ends_is_logged_and_restarted(error: BaseException | None, exception: str) -> None:
    stop, flaky = asyncio.Event(), Flaky(2, error)
    loops = Loops(stop, backoff_s=0.001)
    with capture_logs() as logs:
        loops.start("polling", flaky.run)
        async with asyncio.timeout(30):
            await flaky.running.wait()
    assert [(line["event"], line["log_level"], line["place"]) for line in logs] == [
        ("internal_error", "error", "polling")
    ] * 2
    assert all(exception == line.get("exception") or line.get("exc_info") for line in logs)
    assert not stop.is_set()
    assert loops.stuck() == []
    await loops.end()


async def test_a_loop_that_keeps_failing_stops_the_process() -> None:
    stop, flaky, other = asyncio.Event(), Flaky(100, ValueError("x")), Flaky(0)
    loops = Loops(stop, backoff_s=0.001, max_restarts=3)
    with capture_logs() as logs:
        loops.start("polling", flaky.run)
        loops.start("other", other.run)
        loops.raise_if_failed()
        await until_stopped(stop)
    assert flaky.runs == 4
    assert [line["event"] for line in logs] == ["internal_error"] * 4 + ["loop_failed"]
    assert logs[-1] == {"event": "loop_failed", "log_level": "error", "place": "polling"}
    assert loops.stuck() == ["polling"]
    with pytest.raises(LoopFailed, match="polling"):
        loops.raise_if_failed()
    await loops.end()


async def test_failures_before_a_long_run_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_loops, "RECOVERED_AFTER_S", 0.0)
    stop, flaky = asyncio.Event(), Flaky(20, ValueError("x"))
    loops = Loops(stop, backoff_s=0.001, max_restarts=1)
    with capture_logs():
        loops.start("polling", flaky.run)
        async with asyncio.timeout(30):
            await flaky.running.wait()
    assert not stop.is_set()
    await loops.end()


async def test_the_delay_before_a_restart_doubles() -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    started: list[float] = []

    async def fail() -> None:
        started.append(loop.time())
        raise ValueError

    loops = Loops(stop, backoff_s=0.02, max_restarts=3)
    with capture_logs():
        loops.start("polling", fail)
        await until_stopped(stop)
    delays = [later - earlier for earlier, later in pairwise(started)]
    assert all(delay >= 0.02 * 2**number for number, delay in enumerate(delays))


async def test_a_loop_may_end_where_that_is_said_and_while_the_process_stops() -> None:
    stop, once = asyncio.Event(), Flaky(1)
    loops = Loops(stop)
    with capture_logs() as logs:
        await loops.start("once", once.run, may_end=True)
        assert loops.stuck() == []
        serving = loops.start("serving", stop.wait)  # type: ignore[arg-type]
        stop.set()
        await serving
    assert logs == []
    assert loops.stuck() == []


async def test_stop_cuts_a_backoff_short() -> None:
    stop, flaky = asyncio.Event(), Flaky(1, ValueError("x"))
    loops = Loops(stop, backoff_s=1000)
    with capture_logs() as logs:
        task = loops.start("polling", flaky.run)
        while not logs:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        stop.set()
        async with asyncio.timeout(30):
            await task


async def test_a_loop_without_a_turn_for_too_long_is_stuck() -> None:
    loops = Loops(asyncio.Event())
    loops.start("hangs", asyncio.Event().wait, stale_after_s=0.05)  # type: ignore[arg-type]
    loops.start("turns", asyncio.Event().wait, stale_after_s=0.05)  # type: ignore[arg-type]
    loops.start("waits", asyncio.Event().wait)  # type: ignore[arg-type]
    assert loops.stuck() == []
    await asyncio.sleep(0.1)
    loops.turned("turns")
    assert loops.stuck() == ["hangs"]
    await loops.end()


async def test_cancel_insists_where_a_cancellation_is_swallowed() -> None:
    swallowed = 0

    async def swallow() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1

    task = asyncio.create_task(swallow())
    await asyncio.sleep(0)
    await cancel_and_wait([task])
    assert task.done()
