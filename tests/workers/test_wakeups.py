"""Wake-up notifications: a queued order wakes the workers, and nothing is lost without them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from arq import ArqRedis
from structlog.testing import capture_logs

from service.orders.state.job_kinds import RECOVERY, WINDOW
from service.orders.state.queue import EnqueueResult, Queue
from service.process.task_cancellation import cancel_and_wait
from service.redis.client import connect
from tests.fakes.redis.server import running_redis
from workers.wakeups import listen_for_wakeups


class Listener:
    """A worker of the window queue."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()

    async def next(self) -> None:
        """Wait for the next wake-up."""
        async with asyncio.timeout(30):
            await self.woken.wait()
        self.woken.clear()


@asynccontextmanager
async def listening(redis: ArqRedis) -> AsyncIterator[Listener]:
    listener = Listener()
    task = asyncio.create_task(
        listen_for_wakeups(redis, {WINDOW.queue: listener.woken.set, RECOVERY.queue: lambda: None})
    )
    await listener.next()  # the first comes on connecting
    yield listener
    await cancel_and_wait([task])


async def enqueue(redis: ArqRedis, order_id: int) -> EnqueueResult:
    return await Queue(redis).enqueue("abc123", order_id, source="reconcile")


async def test_queued_order_wakes_the_workers_of_its_queue(redis_url: str) -> None:
    async with connect(redis_url) as redis, listening(redis) as listener:
        for order_id in (1, 2):
            assert await enqueue(redis, order_id) is EnqueueResult.QUEUED
            await listener.next()


async def test_duplicate_wakes_no_worker(redis_url: str) -> None:
    async with connect(redis_url) as redis, listening(redis) as listener:
        await enqueue(redis, 1)
        await listener.next()
        assert await enqueue(redis, 1) is EnqueueResult.DUPLICATE
        await enqueue(redis, 2)
        await listener.next()
        assert not listener.woken.is_set()


async def test_listening_survives_a_restart_of_redis() -> None:
    async with running_redis() as server, connect(server.url) as redis, listening(redis) as listener:
        server.kill()
        await server.restart()
        await listener.next()  # it reconnects, and messages that were missed are made up for
        await enqueue(redis, 1)
        await listener.next()


@pytest.fixture
async def strict() -> AsyncIterator[ArqRedis]:
    """A Redis whose user has all permissions except publish and subscribe."""
    async with running_redis() as server, connect(server.url) as redis:
        await redis.acl_setuser(
            "default", enabled=True, nopass=True, keys=["*"], commands=["+@all"], reset_channels=True
        )
        yield redis


async def test_orders_are_queued_without_permission_to_publish(strict: ArqRedis) -> None:
    assert await enqueue(strict, 1) is EnqueueResult.QUEUED
    assert await strict.zcard(WINDOW.queue) == 1


async def test_missing_permission_to_subscribe_is_logged_once(strict: ArqRedis) -> None:
    with capture_logs() as logs:
        await listen_for_wakeups(strict, {})
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("wakeups_unavailable", "warning")
