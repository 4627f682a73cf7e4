"""The common poll: it wakes the workers of queues with free due jobs, and no others."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import pytest
from arq import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError
from structlog.testing import capture_logs

from service.process.task_cancellation import cancel_and_wait
from service.redis.client import connect
from tests.fakes.processes.leased_worker import enqueue, is_empty, until, worker_for
from tests.fakes.redis.server import running_redis
from workers import lua, queue_poller
from workers.job_leases import LeasedWorker
from workers.queue_poller import poll_queues

FAR_MS = 4_000_000_000_000
"""A time that this test does not live to see."""


class Sleeper:
    """Stands in for a worker that has so many running jobs, and counts how often it is woken."""

    def __init__(self, queue: str, running: int = 0) -> None:
        self.queue_name, self.running, self.woken = queue, running, 0
        self._wake_up = asyncio.Event()

    def wake(self) -> None:
        self.woken += 1
        self._wake_up.set()

    async def next(self) -> None:
        self._wake_up.clear()
        async with asyncio.timeout(30):
            await self._wake_up.wait()


@asynccontextmanager
async def polling(
    redis: ArqRedis, *sleepers: Sleeper, every_s: Mapping[str, float] | None = None
) -> AsyncIterator[None]:
    intervals_s = {each.queue_name: 0.0 for each in sleepers} | dict(every_s or {})
    task = asyncio.create_task(poll_queues(redis, cast("list[LeasedWorker]", sleepers), intervals_s))
    try:
        yield
    finally:
        await cancel_and_wait([task])


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_poller, "TICK_S", 0.01)


async def test_only_workers_with_a_free_due_job_are_woken(redis: ArqRedis) -> None:
    due, later, empty = Sleeper("due"), Sleeper("later"), Sleeper("empty")
    await redis.zadd("due", {"job": 1})
    await redis.zadd("later", {"job": FAR_MS})

    async with polling(redis, due, later, empty):
        for _ in range(3):
            await due.next()

    assert (later.woken, empty.woken) == (0, 0)


async def test_a_worker_that_runs_all_due_jobs_is_left_alone_until_there_is_one_more(redis: ArqRedis) -> None:
    busy, due = Sleeper("busy", running=2), Sleeper("due")
    await redis.zadd("busy", {"first": 1, "second": 2, "third": FAR_MS})
    await redis.zadd("due", {"job": 1})

    async with polling(redis, busy, due):
        for _ in range(3):
            await due.next()
        assert busy.woken == 0
        await redis.zadd("busy", {"third": 3})
        await busy.next()


async def test_each_queue_is_polled_at_its_own_interval(redis: ArqRedis) -> None:
    often, seldom = Sleeper("often"), Sleeper("seldom")
    await redis.zadd("often", {"job": 1})
    await redis.zadd("seldom", {"job": 1})

    async with polling(redis, often, seldom, every_s={"seldom": 0.05}):
        while often.woken < 11:
            await often.next()

    assert seldom.woken == 3, "at the first tick, the sixth and the eleventh"


async def test_polling_survives_an_outage_of_redis() -> None:
    async with running_redis() as server, connect(server.url) as redis:
        sleeper = Sleeper("queue")
        async with polling(redis, sleeper):
            server.kill()
            await server.restart()
            async with connect(server.url) as other:
                await other.zadd("queue", {"job": 1})
            await sleeper.next()


async def test_a_queue_that_cannot_be_read_keeps_no_other_from_being_polled(redis: ArqRedis) -> None:
    broken, due = Sleeper("broken"), Sleeper("due")
    await redis.set("broken", "another program wrote this")
    await redis.zadd("due", {"job": 1})

    async with polling(redis, broken, due):
        await due.next()

    assert broken.woken > 0, "its own worker tells what is wrong"


@pytest.mark.parametrize(
    ("error", "logged"),
    [(NoPermissionError("zrangebyscore"), 0), (ResponseError("BUSY"), 1), (RedisConnectionError("gone"), 0)],
)
async def test_no_error_of_redis_ends_the_poll(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch, error: Exception, logged: int
) -> None:
    monkeypatch.setattr(queue_poller, "ERROR_PAUSE_S", 0.0)
    queues_to_poll, sleeper = lua.queues_to_poll, Sleeper("queue")
    await redis.zadd("queue", {"job": 1})

    async def fails_once(*_: object, **__: object) -> tuple[str, ...]:
        monkeypatch.setattr(lua, "queues_to_poll", queues_to_poll)
        raise error

    monkeypatch.setattr(lua, "queues_to_poll", fails_once)
    with capture_logs() as logs:
        async with polling(redis, sleeper):
            await sleeper.next()

    assert len([line for line in logs if line["event"] == "internal_error"]) == logged


async def test_a_job_that_no_notification_told_of_is_run_at_the_next_common_poll(redis: ArqRedis) -> None:
    done = asyncio.Event()

    async def job(_: int) -> None:
        done.set()

    worker = worker_for(redis, job, poll_interval_s=3600.0)
    await worker.claim_due_jobs()  # Redis knows the script now: the worker's first poll is over before the job is there
    serving = asyncio.create_task(worker.serve())
    await asyncio.sleep(0.1)
    await enqueue(redis, 1)
    poll = asyncio.create_task(poll_queues(redis, [worker], {worker.queue_name: 0.0}))
    async with asyncio.timeout(30):
        await done.wait()
    await until(lambda: is_empty(redis))
    await worker.drain(0.1)
    await cancel_and_wait([poll, serving])
