"""Leases name their owner, are renewed while the job runs, and expire with a dead worker."""

import asyncio
from typing import Any

import pytest
from arq import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix
from redis.exceptions import ResponseError

from service.orders.state.job_kinds import WINDOW
from tests.fakes.processes.leased_worker import (
    LONG_LEASE_S,
    enqueue,
    exists,
    is_empty,
    is_renewed,
    is_so,
    until,
    worker_for,
    working,
)
from workers import job_leases, lua


async def test_a_lease_names_its_owner_and_is_renewed(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_leases, "LEASE_S", LONG_LEASE_S)
    monkeypatch.setattr(job_leases, "RENEW_INTERVAL_S", 0.05)
    go = asyncio.Event()

    async def job(_: int) -> None:
        await go.wait()

    key = in_progress_key_prefix + await enqueue(redis, 1)
    async with working(redis, job) as worker:
        await until(lambda: exists(redis, key))
        for _ in range(3):
            assert await redis.get(key) == worker.owner.encode()
            await is_renewed(redis, key)
        go.set()
        await until(lambda: is_empty(redis))
    assert not await redis.exists(key)


async def test_another_worker_runs_a_dead_workers_job_after_its_lease_has_expired(redis: ArqRedis) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    job_id = await enqueue(redis, 1)
    await redis.set(in_progress_key_prefix + job_id, "a-dead-worker", px=300)
    async with working(redis, job):
        await until(lambda: is_empty(redis))
    assert done == [1]


async def test_a_job_that_another_worker_took_over_is_stopped_and_left_to_it(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_leases, "RENEW_INTERVAL_S", 0.05)
    began, stopped = asyncio.Event(), asyncio.Event()

    async def job(_: int) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise

    job_id = await enqueue(redis, 1)
    async with working(redis, job) as worker:
        await asyncio.wait_for(began.wait(), 30.0)
        await redis.set(in_progress_key_prefix + job_id, "another-worker", px=60_000)
        await asyncio.wait_for(stopped.wait(), 30.0)
        await until(lambda: is_so(worker.running == 0))

        assert await redis.get(in_progress_key_prefix + job_id) == b"another-worker"
        assert await redis.exists(job_key_prefix + job_id)
        assert await redis.zscore(WINDOW.queue, job_id) == 1


async def test_an_expired_lease_that_nobody_claimed_is_taken_back(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_leases, "RENEW_INTERVAL_S", 0.05)
    go = asyncio.Event()

    async def job(_: int) -> None:
        await go.wait()

    async with working(redis, job) as worker:
        key = in_progress_key_prefix + await enqueue(redis, 1)
        await until(lambda: is_so(worker.running == 1))
        # No worker polls: as after a pause of Redis that was longer than the lease.
        worker.allow_pick_jobs = False
        await redis.delete(key)
        await until(lambda: exists(redis, key))
        go.set()
        await until(lambda: is_empty(redis))


@pytest.mark.parametrize("error", [ResponseError("MISCONF no space left"), ValueError("a bug"), OSError("strange")])
async def test_leases_are_renewed_after_any_error(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(job_leases, "LEASE_S", LONG_LEASE_S)
    monkeypatch.setattr(job_leases, "RENEW_INTERVAL_S", 0.05)
    go = asyncio.Event()
    fails = 2

    async def job(_: int) -> None:
        await go.wait()

    key = in_progress_key_prefix + await enqueue(redis, 1)
    async with working(redis, job) as worker:
        renew = lua.renew_leases

        async def flaky(*redis: Any, **named: Any) -> Any:
            nonlocal fails
            if fails:
                fails -= 1
                raise error
            return await renew(*redis, **named)

        monkeypatch.setattr(lua, "renew_leases", flaky)
        await until(lambda: exists(redis, key))
        await until(lambda: is_so(fails == 0))
        await is_renewed(redis, key)
        assert await redis.get(key) == worker.owner.encode()
        assert worker.running == 1
        go.set()
        await until(lambda: is_empty(redis))


async def test_a_lease_of_the_wrong_type_does_not_stop_renewal(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_leases, "RENEW_INTERVAL_S", 0.05)
    go = asyncio.Event()

    async def job(_: int) -> None:
        await go.wait()

    async with working(redis, job) as worker:
        key = in_progress_key_prefix + await enqueue(redis, 1)
        await until(lambda: is_so(worker.running == 1))
        worker.allow_pick_jobs = False
        async with redis.pipeline(transaction=True) as pipe:  # so that no renewal comes in between
            pipe.delete(key)
            pipe.hset(key, "not", "a lease")
            await pipe.execute()
        await asyncio.sleep(0.2)
        await redis.delete(key)
        await until(lambda: exists(redis, key))
        go.set()
        await until(lambda: is_empty(redis))


async def test_polling_ends_with_the_renewal_of_leases(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the loop is restarted as a whole: a worker that polls without renewing would run jobs twice."""

    async def job(_: int) -> None:
        return

    async def ends(_: job_leases.LeasedWorker) -> None:
        await asyncio.sleep(0.05)

    monkeypatch.setattr(job_leases.LeasedWorker, "_renew_leases", ends)
    worker = worker_for(redis, job)
    async with asyncio.timeout(10):
        await worker.serve()


async def test_jobs_that_end_as_their_leases_turn_out_to_be_lost_do_not_end_the_worker(redis: ArqRedis) -> None:
    """After a pause all that is overdue goes on at once: jobs end while the renewal says that they are lost."""
    go = asyncio.Event()

    async def job(_: int) -> None:
        await go.wait()

    async with working(redis, job, max_jobs=100) as worker:
        renew = worker._renew

        async def renew_late(job_ids: list[str]) -> dict[str, str]:
            go.set()
            return await renew(job_ids)

        worker._renew = renew_late  # type: ignore[method-assign]
        job_ids = [await enqueue(redis, number) for number in range(1, 41)]
        await until(lambda: is_so(worker.running == len(job_ids)))
        for job_id in job_ids:
            await redis.set(in_progress_key_prefix + job_id, "another", px=60_000)
        await until(lambda: is_so(worker.running == 0))

        for job_id in job_ids:
            await redis.delete(in_progress_key_prefix + job_id)
        await until(lambda: is_empty(redis))  # it goes on polling


async def test_a_worker_survives_a_job_whose_closing_was_cancelled(redis: ArqRedis) -> None:
    async def job(_: int) -> None:
        return

    async with working(redis, job) as worker:
        cancelled = asyncio.create_task(asyncio.Event().wait())
        cancelled.cancel()
        worker.tasks["window:abc123:9"] = cancelled
        await until(lambda: is_so("window:abc123:9" not in worker.tasks))
        await enqueue(redis, 1)
        await until(lambda: is_empty(redis))
