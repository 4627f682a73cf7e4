"""A worker that was taken for dead: it must not touch a job that is no longer its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from arq import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix

from service.orders.state.job_kinds import WINDOW
from tests.fakes.processes.leased_worker import (
    enqueue,
    worker_for,
)
from workers import job_leases
from workers.job_leases import LeasedWorker, LeaseLost


async def nothing(_: int) -> None:
    return


async def claimed_by(worker: LeasedWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the worker claim what is due, but not run it."""
    monkeypatch.setattr(LeasedWorker, "run_job", lambda *_: asyncio.Event().wait())
    await worker.claim_due_jobs()


async def close(worker: LeasedWorker, job_id: str, *, retry_in_ms: int | None = None) -> None:
    await worker._finish(job_id, is_done=retry_in_ms is None, delay_ms=retry_in_ms)


@asynccontextmanager
async def two_workers(redis: ArqRedis) -> AsyncIterator[tuple[LeasedWorker, LeasedWorker]]:
    workers = worker_for(redis, nothing), worker_for(redis, nothing)
    try:
        yield workers
    finally:
        for worker in workers:
            await worker.drain(0.0)


async def test_a_stale_worker_neither_closes_nor_renews_a_job_of_another_worker(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_workers(redis) as (stale, other):
        job_id = await enqueue(redis, 1)
        await claimed_by(stale, monkeypatch)
        await redis.delete(in_progress_key_prefix + job_id)  # it was paused, and its lease expired
        await claimed_by(other, monkeypatch)
        before = await redis.zscore(WINDOW.queue, job_id)

        assert job_id in await stale._renew([job_id])
        await close(stale, job_id)
        await close(stale, job_id, retry_in_ms=60_000)

        assert await redis.get(in_progress_key_prefix + job_id) == other.owner.encode()
        assert await redis.zscore(WINDOW.queue, job_id) == before
        assert await redis.exists(job_key_prefix + job_id)


async def test_a_stale_worker_neither_closes_nor_renews_a_new_job_with_the_same_id(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_workers(redis) as (stale, _):
        job_id = await enqueue(redis, 1, score=1000)
        await claimed_by(stale, monkeypatch)
        await redis.delete(in_progress_key_prefix + job_id, job_key_prefix + job_id, WINDOW.queue)  # it is finished
        await enqueue(redis, 1, score=2000)  # and is retried

        assert job_id in await stale._renew([job_id])
        await close(stale, job_id)
        await close(stale, job_id, retry_in_ms=60_000)

        assert await redis.zscore(WINDOW.queue, job_id) == 2000
        assert await redis.exists(job_key_prefix + job_id)
        assert not await redis.exists(in_progress_key_prefix + job_id)


async def test_a_job_that_moved_on_is_not_requeued(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_workers(redis) as (worker, _):
        job_id = await enqueue(redis, 1)
        await claimed_by(worker, monkeypatch)
        keys = (in_progress_key_prefix, job_key_prefix, retry_key_prefix)
        await redis.delete(*(prefix + job_id for prefix in keys), WINDOW.queue)

        await close(worker, job_id, retry_in_ms=1000)

        assert await redis.keys("*") == []


async def test_a_worker_that_was_paused_checks_its_lease_before_it_goes_on(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_workers(redis) as (stale, other):
        job_id = await enqueue(redis, 1)
        await claimed_by(stale, monkeypatch)
        await stale.ensure_lease(job_id)
        stale._claims[job_id].renewed_at -= job_leases.LEASE_S
        await stale.ensure_lease(job_id)  # no other worker has claimed it
        assert await redis.get(in_progress_key_prefix + job_id) == stale.owner.encode()

        await redis.delete(in_progress_key_prefix + job_id)
        await claimed_by(other, monkeypatch)
        stale._claims[job_id].renewed_at -= job_leases.LEASE_S
        with pytest.raises(LeaseLost):
            await stale.ensure_lease(job_id)
