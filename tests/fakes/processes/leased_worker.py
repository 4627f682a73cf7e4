"""Leased workers on a real Redis, with a job that the test writes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from arq import ArqRedis
from arq.worker import func

from service.orders.state.job_kinds import WINDOW, from_json, to_json
from workers.job_leases import LeasedWorker

Job = Callable[[int], Awaitable[object]]

STORE = "abc123"

LONG_LEASE_S = 60.0
"""A lease that does not expire while a busy machine pauses."""


async def enqueue(redis: ArqRedis, order_id: int, *, store: str = STORE, score: int | None = None) -> str:
    job_id = WINDOW.id(store, order_id)
    await redis.set(WINDOW.key(store, order_id), WINDOW.body(store, order_id, now=1_700_000_000.0))
    await redis.zadd(WINDOW.queue, {job_id: score if score is not None else order_id})
    return job_id


def worker_for(redis: ArqRedis, job: Job, *, max_jobs: int = 10, poll_interval_s: float = 0.01) -> LeasedWorker:
    async def run(ctx: dict[str, Any], *args: Any, **_: Any) -> object:
        return await job(args[1])

    return LeasedWorker(
        [func(run, name=WINDOW.function)],
        queue_name=WINDOW.queue,
        redis_pool=redis,
        max_jobs=max_jobs,
        poll_interval_s=poll_interval_s,
        rebuild=lambda job_id: WINDOW.rebuilt(job_id, time.time()),
        job_serializer=to_json,
        job_deserializer=from_json,
    )


@asynccontextmanager
async def working(redis: ArqRedis, job: Job, *, max_jobs: int = 10) -> AsyncIterator[LeasedWorker]:
    worker = worker_for(redis, job, max_jobs=max_jobs)
    serving = asyncio.create_task(worker.serve())
    try:
        yield worker
    finally:
        await worker.drain(0.1)
        await serving


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - the condition is a state of Redis
            await asyncio.sleep(0.01)


async def is_renewed(redis: ArqRedis, key: str) -> None:
    """Shorten the lease to its half, and return when it has been renewed."""
    await redis.pexpire(key, int(LONG_LEASE_S * 500))
    await until(lambda: _lasts(redis, key, LONG_LEASE_S * 0.75))


async def is_empty(redis: ArqRedis) -> bool:
    return not await redis.exists(WINDOW.queue)


async def is_so(condition: bool) -> bool:
    return condition


async def _lasts(redis: ArqRedis, key: str, seconds: float) -> bool:
    return bool(await redis.pttl(key) > seconds * 1000)


async def exists(redis: ArqRedis, key: str) -> bool:
    return bool(await redis.exists(key))
