"""Which jobs a leased worker claims, and what happens to a job that is done or retried."""

import asyncio
from typing import Any

import pytest
from arq import ArqRedis, Retry
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from redis.exceptions import ConnectionError as RedisConnectionError

from service.orders.state.job_kinds import WINDOW
from service.process.task_cancellation import cancel_and_wait
from tests.fakes.processes.leased_worker import (
    LONG_LEASE_S,
    STORE,
    enqueue,
    is_empty,
    is_so,
    until,
    worker_for,
    working,
)
from workers import job_leases, lua


async def test_a_job_that_is_done_leaves_nothing_in_redis(redis: ArqRedis) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    await enqueue(redis, 1)
    async with working(redis, job):
        await until(lambda: is_empty(redis))

    assert done == [1]
    assert await redis.keys("arq:*") == []


async def test_jobs_are_claimed_in_the_order_of_their_score(redis: ArqRedis) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    for order_id in (3, 1, 2):
        await enqueue(redis, order_id)
    async with working(redis, job, max_jobs=1):
        await until(lambda: is_empty(redis))

    assert done == [1, 2, 3]


async def test_a_worker_claims_no_more_jobs_than_it_has_slots(redis: ArqRedis) -> None:
    running, most = 0, 0
    go = asyncio.Event()

    async def job(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    for order_id in range(1, 8):
        await enqueue(redis, order_id, store=f"store{order_id}")
    async with working(redis, job, max_jobs=3) as worker:
        await until(lambda: is_so(running == 3))
        assert worker.running == 3
        go.set()
        await until(lambda: is_empty(redis))

    assert most == 3


async def test_running_jobs_do_not_hide_the_jobs_behind_them(redis: ArqRedis) -> None:
    """Two workers with ten slots each run all of twenty jobs, although the first ten stay at the front."""
    started: set[int] = set()
    go = asyncio.Event()

    async def job(order_id: int) -> None:
        started.add(order_id)
        await go.wait()

    for order_id in range(1, 21):
        await enqueue(redis, order_id, store=f"store{order_id % 5}")
    async with working(redis, job), working(redis, job):
        await until(lambda: is_so(len(started) == 20))
        go.set()
        await until(lambda: is_empty(redis))


async def test_a_busy_store_leaves_slots_for_the_others(redis: ArqRedis) -> None:
    started: list[int] = []
    go = asyncio.Event()

    async def job(order_id: int) -> None:
        started.append(order_id)
        await go.wait()

    for order_id in range(1, 31):
        await enqueue(redis, order_id, store="busy")
    async with working(redis, job) as worker:
        await until(lambda: is_so(worker.running == 5))
        # Due later than all the others, but started at once.
        await enqueue(redis, 100, store="quiet")
        await until(lambda: is_so(len(started) == 6))
        assert sorted(started) == [1, 2, 3, 4, 5, 100]
        go.set()
        await until(lambda: is_empty(redis))


async def test_the_other_orders_of_a_store_that_has_its_share_cost_redis_nothing(redis: ArqRedis) -> None:
    """Redis does nothing else meanwhile, and a store may have thousands of them at every poll."""

    async def job(_: int) -> None:
        await asyncio.sleep(60)

    worker = worker_for(redis, job)
    for order_id in range(1, 501):
        await enqueue(redis, order_id)
    await redis.config_resetstat()

    await worker.claim_due_jobs()

    assert worker.running == 5
    # One for the lease of each job, and one for its body.
    assert (await redis.info("commandstats"))["cmdstat_get"]["calls"] <= 10
    await cancel_and_wait(list(worker.tasks.values()))


async def test_a_claim_whose_answer_got_lost_is_made_again_at_once(redis: ArqRedis) -> None:
    """A connection that ends between the claim and its answer must not cost an order the time of a lease."""
    done: list[int] = []
    go = asyncio.Event()

    async def job(order_id: int) -> None:
        await go.wait()
        done.append(order_id)

    worker, other = worker_for(redis, job), worker_for(redis, job)
    await enqueue(redis, 1)
    await lua.claim_jobs(
        redis,
        queue=WINDOW.queue,
        now_ms=None,
        owner=worker.owner,
        lease_ms=int(LONG_LEASE_S * 1000),
        limit=10,
        lease_prefix=in_progress_key_prefix,
        job_prefix=job_key_prefix,
        tries_prefix=retry_key_prefix,
        store_limit=10,
        read_limit=10,
        running=[],
    )

    await other.claim_due_jobs()
    assert other.running == 0
    await worker.claim_due_jobs()
    await worker.claim_due_jobs()
    assert worker.running == 1
    go.set()
    await asyncio.gather(*worker.tasks.values())
    assert done == [1]


async def test_stores_take_turns_when_there_are_not_enough_slots(redis: ArqRedis) -> None:
    started: list[int] = []

    async def job(order_id: int) -> None:
        started.append(order_id)

    for order_id in range(1, 7):
        await enqueue(redis, order_id, store="one")
    await enqueue(redis, 7, store="two")
    async with working(redis, job, max_jobs=2):
        await until(lambda: is_empty(redis))

    assert 7 in started[:2]
    assert [order_id for order_id in started if order_id != 7] == [1, 2, 3, 4, 5, 6]


async def test_workers_never_run_one_job_together(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_leases, "LEASE_S", LONG_LEASE_S)
    runs: list[int] = []

    async def job(order_id: int) -> None:
        runs.append(order_id)
        await asyncio.sleep(0)

    for order_id in range(1, 301):
        await enqueue(redis, order_id)
    async with working(redis, job), working(redis, job), working(redis, job):
        await until(lambda: is_empty(redis))

    assert sorted(runs) == list(range(1, 301))


async def test_a_retried_job_runs_again_after_its_delay(redis: ArqRedis) -> None:
    runs: list[int] = []

    async def job(order_id: int) -> None:
        runs.append(order_id)
        if len(runs) < 3:
            raise Retry(defer=0.05)

    await enqueue(redis, 1)
    async with working(redis, job):
        await until(lambda: is_empty(redis))

    assert runs == [1, 1, 1]
    assert await redis.keys(f"{retry_key_prefix}*") == []


async def test_a_job_that_has_closed_itself_is_not_touched_again(redis: ArqRedis) -> None:
    """Its order has moved on, and may have a new job by now, with the same id and even the same due time."""
    job_id = WINDOW.id(STORE, 1)

    async def job(order_id: int) -> bool:
        keys = (prefix + job_id for prefix in (in_progress_key_prefix, job_key_prefix, retry_key_prefix))
        await redis.delete(*keys, WINDOW.queue)
        await enqueue(redis, order_id)
        return True

    worker = worker_for(redis, job)
    await enqueue(redis, 1)
    await worker.claim_due_jobs()
    await asyncio.gather(*worker.tasks.values())

    assert await redis.zscore(WINDOW.queue, job_id) == 1
    assert await redis.exists(job_key_prefix + job_id)


async def test_jobs_that_could_not_be_closed_delay_no_others(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage of Redis many jobs end with an error. A pause for each would cost new orders their window."""
    monkeypatch.setattr(job_leases, "RENEW_INTERVAL_S", 3600.0)  # the pause after an error
    is_away, started = True, set[int]()
    finish_job = lua.finish_job

    async def away(*arguments: Any, **options: Any) -> Any:
        if is_away:
            raise RedisConnectionError("away")
        return await finish_job(*arguments, **options)

    monkeypatch.setattr(lua, "finish_job", away)

    async def job(order_id: int) -> None:
        started.add(order_id)

    for order_id in range(1, 6):
        await enqueue(redis, order_id)
    worker = worker_for(redis, job)
    await worker.claim_due_jobs()
    await asyncio.wait(list(worker.tasks.values()))
    assert len(started) == 5
    is_away = False
    await enqueue(redis, 6, store="other")

    serving = asyncio.create_task(worker.serve())
    await until(lambda: is_so(6 in started))
    await cancel_and_wait([serving])
