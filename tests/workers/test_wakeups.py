"""An order that is queued wakes the workers; and nothing is lost where it cannot."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from arq import ArqRedis
from structlog.testing import capture_logs

from service.orders.state.jobs import RECOVERY, WINDOW
from service.orders.state.queue import EnqueueResult, Queue
from service.redis.client import connect
from tests.fakes.redis_server import running_redis
from workers.lease import end
from workers.wakeups import listen_for_wakeups


class Sleeper:
    """Somebody who is woken for the window queue."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()

    async def next(self) -> None:
        """Wait until it is woken once more."""
        async with asyncio.timeout(30):
            await self.woken.wait()
        self.woken.clear()


@asynccontextmanager
async def listening(redis: ArqRedis) -> AsyncIterator[Sleeper]:
    sleeper = Sleeper()
    task = asyncio.create_task(
        listen_for_wakeups(redis, {WINDOW.queue: sleeper.woken.set, RECOVERY.queue: lambda: None})
    )
    await sleeper.next()  # once as soon as it listens
    yield sleeper
    await end([task])


async def tell(redis: ArqRedis, order_id: int) -> EnqueueResult:
    return await Queue(redis).enqueue("abc123", order_id, source="reconcile")


async def test_an_order_that_is_queued_wakes_whoever_works_off_its_queue(redis_url: str) -> None:
    async with connect(redis_url) as redis, listening(redis) as sleeper:
        for order_id in (1, 2):
            assert await tell(redis, order_id) is EnqueueResult.QUEUED
            await sleeper.next()


async def test_a_duplicate_wakes_nobody(redis_url: str) -> None:
    async with connect(redis_url) as redis, listening(redis) as sleeper:
        await tell(redis, 1)
        await sleeper.next()
        assert await tell(redis, 1) is EnqueueResult.DUPLICATE
        await tell(redis, 2)
        await sleeper.next()
        assert not sleeper.woken.is_set()


async def test_redis_may_go_and_come_back() -> None:
    async with running_redis() as server, connect(server.url) as redis, listening(redis) as sleeper:
        server.kill()
        await server.restart()
        await sleeper.next()  # it listens again, and whatever was missed is looked for
        await tell(redis, 1)
        await sleeper.next()


@pytest.fixture
async def strict() -> AsyncIterator[ArqRedis]:
    """A Redis in which our user may do anything but publish and listen."""
    async with running_redis() as server, connect(server.url) as redis:
        await redis.acl_setuser(
            "default", enabled=True, nopass=True, keys=["*"], commands=["+@all"], reset_channels=True
        )
        yield redis


async def test_a_user_who_may_not_publish_queues_orders_all_the_same(strict: ArqRedis) -> None:
    assert await tell(strict, 1) is EnqueueResult.QUEUED
    assert await strict.zcard(WINDOW.queue) == 1


async def test_a_user_who_may_not_listen_is_told_once(strict: ArqRedis) -> None:
    with capture_logs() as logs:
        await listen_for_wakeups(strict, {})
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("wakeups_unavailable", "warning")
