"""Draining a leased worker, and polling through an outage of Redis."""

import asyncio

from arq import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix

from service.orders.state.job_kinds import WINDOW, from_json, to_json
from service.redis.client import connect
from tests.fakes.processes.leased_worker import (
    STORE,
    enqueue,
    is_so,
    until,
    working,
)
from tests.fakes.redis.server import running_redis


async def test_drain_finishes_running_jobs_and_claims_no_new_ones(redis: ArqRedis) -> None:
    done: list[int] = []
    go = asyncio.Event()

    async def job(order_id: int) -> None:
        await go.wait()
        done.append(order_id)

    await enqueue(redis, 1)
    async with working(redis, job, max_jobs=1) as worker:
        await until(lambda: is_so(worker.running == 1))
        await enqueue(redis, 2)
        finishing = asyncio.create_task(worker.drain(30.0))
        go.set()

        assert await finishing == 0
    assert done == [1]
    assert await redis.zrange(WINDOW.queue, 0, -1) == [WINDOW.id(STORE, 2).encode()]


async def test_a_job_that_does_not_finish_before_the_drain_timeout_is_requeued(redis: ArqRedis) -> None:
    began = asyncio.Event()

    async def job(_: int) -> None:
        began.set()
        await asyncio.Event().wait()

    job_id = await enqueue(redis, 1)
    async with working(redis, job) as worker:
        await asyncio.wait_for(began.wait(), 30.0)
        assert await worker.drain(0.05) == 1

    assert await redis.zscore(WINDOW.queue, job_id) == 1
    assert await redis.exists(job_key_prefix + job_id)
    assert not await redis.exists(in_progress_key_prefix + job_id), "free for the next worker at once"


async def test_polling_survives_restarts_of_redis() -> None:
    done: set[int] = set()

    async def job(order_id: int) -> None:
        done.add(order_id)

    async with (
        running_redis() as server,
        connect(server.url, serializer=to_json, deserializer=from_json) as redis,
        working(redis, job) as worker,
    ):
        await enqueue(redis, 1)
        await until(lambda: is_so(done == {1}))
        for order_id in (2, 3, 4):
            server.kill()
            await server.restart()
            await enqueue(redis, order_id)
            await until(lambda: is_so(len(done) == order_id))  # noqa: B023 - awaited in the same iteration
        await until(lambda: is_so(worker.running == 0))
