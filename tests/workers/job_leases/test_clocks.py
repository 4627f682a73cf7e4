"""Due times and the clocks of machines: only Redis's clock counts, however wrong the others are."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from arq import ArqRedis, Retry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.orders.state.clocks import redis_time
from service.orders.state.job_kinds import WINDOW, from_json, to_json
from service.orders.state.queue import EnqueueResult, Queue, Webhook
from service.redis.client import connect
from tests.fakes.processes.leased_worker import STORE, enqueue, worker_for
from workers.job_leases import LeasedWorker

skews = st.floats(-60.0, 60.0)
PROFILE = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@contextmanager
def clock_off_by(skew_s: float) -> Iterator[None]:
    """Shift this machine's clock."""
    real = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + skew_s)
        yield


async def poll(worker: LeasedWorker) -> int:
    """Poll once, and run the claimed jobs to their end; returns how many there were."""
    await worker.claim_due_jobs()
    claimed = list(worker.tasks.values())
    await asyncio.gather(*claimed)
    worker.tasks.clear()
    return len(claimed)


async def webhook_is_picked_up(redis: ArqRedis, receiver_skew_s: float, worker_skew_s: float, late_s: float) -> None:
    async def job(_: int) -> None:
        return

    await redis.flushall()
    with clock_off_by(receiver_skew_s):
        created_at = await redis_time(redis) - late_s
        webhook = Webhook(STORE, 250, "msg_1", "store/order/created", created_at, time.time())
        assert await Queue(redis).accept(webhook) is EnqueueResult.QUEUED
    with clock_off_by(worker_skew_s):
        assert await poll(worker_for(redis, job)) == 1


@pytest.mark.parametrize("skew_s", [-9.0, -4.0, 4.0, 9.0])
async def test_a_worker_whose_clock_is_wrong_picks_up_an_order_at_once(redis: ArqRedis, skew_s: float) -> None:
    await webhook_is_picked_up(redis, 0.0, skew_s, late_s=0.3)


@PROFILE
@given(receiver_skew_s=skews, worker_skew_s=skews, late_s=st.floats(-60.0, 9.0))
def test_an_order_is_claimed_at_the_next_poll(
    redis_url: str, receiver_skew_s: float, worker_skew_s: float, late_s: float
) -> None:
    """``late_s``: how long ago the order was created by BigCommerce's clock, which may be ahead as well."""

    async def run() -> None:
        async with connect(redis_url, serializer=to_json, deserializer=from_json) as redis:
            await webhook_is_picked_up(redis, receiver_skew_s, worker_skew_s, late_s)

    asyncio.run(run())


@PROFILE
@given(first_skew_s=skews, other_skew_s=skews, delay_ms=st.integers(1, 100_000))
def test_a_deferred_job_is_due_after_its_delay_on_redis_clock(
    redis_url: str, first_skew_s: float, other_skew_s: float, delay_ms: int
) -> None:
    async def job(_: int) -> None:
        raise Retry(defer=delay_ms / 1000)

    async def run() -> None:
        async with connect(redis_url, serializer=to_json, deserializer=from_json) as redis:
            await redis.flushall()
            job_id = await enqueue(redis, 1)
            earliest = await redis_time(redis) * 1000 + delay_ms
            with clock_off_by(first_skew_s):
                assert await poll(worker_for(redis, job)) == 1
            latest = await redis_time(redis) * 1000 + delay_ms

            due_ms = await redis.zscore(WINDOW.queue, job_id)
            assert due_ms is not None
            assert earliest - 2 <= due_ms <= latest  # times are in whole milliseconds

            with clock_off_by(other_skew_s):
                worker = worker_for(redis, job)
                before = due_ms <= int(await redis_time(redis) * 1000)
                polled = await poll(worker)
                assert before <= polled <= (due_ms <= await redis_time(redis) * 1000)
                # Now its delay is over.
                await redis.zadd(WINDOW.queue, {job_id: int(await redis_time(redis) * 1000)})
                assert await poll(worker) == 1

    asyncio.run(run())


async def test_a_clock_that_is_set_during_a_job_does_not_change_its_delay(redis: ArqRedis) -> None:
    async def job(_: int) -> None:
        raise Retry(defer=5.0)

    job_id = await enqueue(redis, 1)
    with clock_off_by(0.0):
        worker = worker_for(redis, job)
        await worker.claim_due_jobs()
        with clock_off_by(-3600.0):
            await asyncio.gather(*worker.tasks.values())
    due_ms = await redis.zscore(WINDOW.queue, job_id)
    assert due_ms is not None
    assert abs(due_ms - (await redis_time(redis) + 5.0) * 1000) < 5000
