"""Retries of a group as jobs: each order once, whoever runs them, and nothing lost in silence."""

import asyncio
from collections.abc import Sequence

import pytest
from arq import ArqRedis
from structlog.testing import capture_logs

from service.orders.failures.retry_jobs import ORDERS_MAX, JobState, OrderResult, RetryJob, RetryJobs
from service.orders.failures.retry_runner import IN_PROGRESS_MAX, RetryRunner
from service.orders.state.clocks import redis_time
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Status
from service.orders.state.queue import EnqueueResult, Queue
from service.orders.state.transitions import Transitions
from tests.fakes.stacks.backfill_stack import until

STORE = "abc123"


async def now_ms(redis: ArqRedis) -> int:
    return round(await redis_time(redis) * 1000)


async def fail(redis: ArqRedis, *order_ids: int) -> None:
    for order_id in order_ids:
        entry, _ = await Transitions(redis).begin_attempt(STORE, order_id)
        entry.status, entry.reason = Status.FAILED, "Cost Center"
        await Transitions(redis).finish(entry)


async def start(redis: ArqRedis, order_ids: Sequence[int], *, group: str = "g1", who: str = "ana") -> str:
    job_id, _ = await RetryJobs(redis).start(
        STORE, group, order_ids, reason="Cost Center", who=who, until_ms=await now_ms(redis)
    )
    return job_id


async def found(redis: ArqRedis, job_id: str) -> RetryJob:
    job = await RetryJobs(redis).find(STORE, job_id)
    assert job is not None
    return job


async def statuses(redis: ArqRedis, *order_ids: int) -> list[Status]:
    by_id = await Ledger(redis).statuses(STORE, order_ids)
    return [by_id[order_id] for order_id in order_ids]


def runner(redis: ArqRedis) -> RetryRunner:
    """One that waits for no order."""
    return RetryRunner(redis, slot_s=0.0, poll_interval_s=0.0)


class SlowWorker:
    """Finishes a few queued orders at each look of the job, with this status; counts how many are in progress."""

    def __init__(self, redis: ArqRedis, status: Status, order_ids: Sequence[int]) -> None:
        self._redis, self._status, self._order_ids = redis, status, order_ids
        self.most = 0

    async def __call__(self, _: float) -> None:
        by_id = await Ledger(self._redis).statuses(STORE, self._order_ids)
        queued = [order_id for order_id, status in by_id.items() if status is Status.QUEUED]
        self.most = max(self.most, len(queued))
        for order_id in queued[:8]:
            entry, _ = await Transitions(self._redis).begin_attempt(STORE, order_id)
            entry.status = self._status
            await Transitions(self._redis).finish(entry)


async def test_a_job_queues_each_order_and_says_how_it_ended(redis: ArqRedis) -> None:
    await fail(redis, 1, 2)
    job_id = await start(redis, [1, 2])
    with capture_logs() as logs:
        await runner(redis).run_job(STORE, job_id)
    assert await statuses(redis, 1, 2) == [Status.QUEUED, Status.QUEUED]
    job = await found(redis, job_id)
    assert (job.state, job.retried, job.refused, job.left) == (JobState.DONE, [1, 2], [], [])
    assert job.ended_ms is not None
    assert logs == [
        {
            "event": "retry_job_ended",
            "log_level": "info",
            "store": STORE,
            "job": job_id,
            "state": "done",
            "reason": None,
            "retried": 2,
            "refused": 0,
        }
    ]
    assert await RetryJobs(redis).running() == []
    assert await redis.pttl(f"enrich:retry-job:{STORE}:{job_id}:results") > 0
    assert [each.id for each in await RetryJobs(redis).recent(STORE, 5)] == [job_id]


async def test_only_a_few_orders_are_in_progress_at_a_time(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = list(range(1, 51))
    await fail(redis, *orders)
    job_id = await start(redis, orders)
    worker = SlowWorker(redis, Status.UPDATED, orders)
    monkeypatch.setattr(asyncio, "sleep", worker)
    await RetryRunner(redis).run_job(STORE, job_id)
    monkeypatch.undo()
    assert worker.most == IN_PROGRESS_MAX
    job = await found(redis, job_id)
    assert (job.state, job.outcomes) == (JobState.DONE, {Status.UPDATED: 50})


async def test_a_job_of_the_same_group_is_the_one_that_runs_already(redis: ArqRedis) -> None:
    await fail(redis, 1, 2)
    ids = await asyncio.gather(*(start(redis, [1, 2], who=f"person {n}") for n in range(5)))
    assert len(set(ids)) == 1
    assert await start(redis, [1], group="g2") not in ids
    await runner(redis).run_job(STORE, ids[0])
    assert await start(redis, [1]) not in ids


async def test_an_order_that_has_changed_since_it_was_listed_is_refused(redis: ArqRedis) -> None:
    await fail(redis, 1, 2, 3, 4)
    job_id = await start(redis, [1, 2, 3, 4, 5])
    await Queue(redis).retry(STORE, 1)  # by somebody else
    await Queue(redis).retry(STORE, 2)
    entry, _ = await Transitions(redis).begin_attempt(STORE, 2)
    entry.status = Status.UPDATED
    await Transitions(redis).finish(entry)  # and it went well
    await redis.zadd(f"enrich:orders:{STORE}:failed", {"3": await now_ms(redis) + 1000})  # it failed once more
    await runner(redis).run_job(STORE, job_id)
    job = await found(redis, job_id)
    assert job.results == {
        1: OrderResult.IN_PROGRESS,
        2: OrderResult.CHANGED,
        3: OrderResult.CHANGED,
        4: OrderResult.QUEUED,
        5: OrderResult.UNKNOWN,
    }
    assert (job.retried, job.refused) == ([4], [1, 2, 3, 5])
    assert (await statuses(redis, 2, 3)) == [Status.UPDATED, Status.FAILED]


async def test_an_order_that_waits_for_a_value_is_retried(redis: ArqRedis) -> None:
    entry, _ = await Transitions(redis).begin_attempt(STORE, 7)
    entry.wait_logged = True
    assert await Transitions(redis).await_value(entry, "Cost Center", retry_in=60.0)
    await runner(redis).run_job(STORE, await start(redis, [7]))
    assert await statuses(redis, 7) == [Status.QUEUED]


async def test_a_job_stops_before_its_next_orders(redis: ArqRedis) -> None:
    await fail(redis, 1, 2)
    job_id = await start(redis, [1, 2])
    jobs = RetryJobs(redis)
    assert await jobs.request_stop(await found(redis, job_id), "ben")
    assert not await jobs.request_stop(await found(redis, job_id), "ana")
    await runner(redis).run_job(STORE, job_id)
    job = await found(redis, job_id)
    assert (job.state, job.stop_by, job.left) == (JobState.STOPPED, "ben", [1, 2])
    assert await statuses(redis, 1, 2) == [Status.FAILED, Status.FAILED]
    # The rest can be retried.
    await runner(redis).run_job(STORE, await start(redis, [1, 2]))
    assert await statuses(redis, 1, 2) == [Status.QUEUED, Status.QUEUED]


async def test_one_process_runs_a_job_and_another_takes_it_up_after_a_kill(redis: ArqRedis) -> None:
    await fail(redis, 1, 2)
    job_id = await start(redis, [1, 2])
    jobs = RetryJobs(redis)
    assert await jobs.hold(STORE, job_id, "killed")
    await runner(redis).run_job(STORE, job_id)
    assert await statuses(redis, 1, 2) == [Status.FAILED, Status.FAILED], "another process has it"
    assert not await jobs.end(await found(redis, job_id), JobState.DONE, "other")
    await redis.delete(f"enrich:retry-job:{STORE}:{job_id}:lease")  # it expires
    await runner(redis).run_job(STORE, job_id)
    assert await statuses(redis, 1, 2) == [Status.QUEUED, Status.QUEUED]


async def test_the_lease_expires(redis: ArqRedis) -> None:
    job_id = await start(redis, [1])
    assert await RetryJobs(redis).hold(STORE, job_id, "one")
    assert await RetryJobs(redis).hold(STORE, job_id, "one")
    assert 0 < await redis.pttl(f"enrich:retry-job:{STORE}:{job_id}:lease") <= 10_000


@pytest.mark.parametrize("ended", [None, Status.UPDATED, Status.FAILED])
async def test_an_order_that_was_queued_just_before_a_kill_is_not_queued_twice(
    redis: ArqRedis, ended: Status | None
) -> None:
    await fail(redis, 1)
    job_id = await start(redis, [1])
    await RetryJobs(redis).note(await found(redis, job_id), {1: OrderResult.BEGUN})
    await asyncio.sleep(0.002)  # the clock's step, so that what follows is later than the list
    await Queue(redis).retry(STORE, 1, "retry")
    if ended:
        entry, _ = await Transitions(redis).begin_attempt(STORE, 1)
        entry.status = ended
        await Transitions(redis).finish(entry)
    await runner(redis).run_job(STORE, job_id)
    job = await found(redis, job_id)
    assert (job.results, job.retried) == ({1: ended or OrderResult.QUEUED}, [1])
    assert await statuses(redis, 1) == [ended or Status.QUEUED]


async def test_a_process_that_dies_while_it_queues_an_order_leaves_that_in_redis(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail(redis, 1, 2)
    job_id = await start(redis, [1, 2])
    queue_it = Queue.retry

    async def queue_and_die(queue: Queue, store: str, order_id: int, source: str) -> EnqueueResult:
        await queue_it(queue, store, order_id, source)
        raise ConnectionError

    monkeypatch.setattr(Queue, "retry", queue_and_die)
    with pytest.raises(ConnectionError):
        await runner(redis).run_job(STORE, job_id)
    monkeypatch.undo()
    await redis.delete(f"enrich:retry-job:{STORE}:{job_id}:lease")  # it expires
    await runner(redis).run_job(STORE, job_id)
    assert (await found(redis, job_id)).results == {1: OrderResult.QUEUED, 2: OrderResult.QUEUED}


async def test_an_order_that_was_not_queued_before_a_kill_is_queued(redis: ArqRedis) -> None:
    await fail(redis, 1)
    job_id = await start(redis, [1])
    await RetryJobs(redis).note(await found(redis, job_id), {1: OrderResult.BEGUN})
    await runner(redis).run_job(STORE, job_id)
    assert await statuses(redis, 1) == [Status.QUEUED]


async def test_a_job_that_nobody_ran_for_long_is_shown_as_stopped(redis: ArqRedis) -> None:
    await fail(redis, 1)
    job_id = await start(redis, [1])
    await RetryJobs(redis).touch(await found(redis, job_id), await now_ms(redis) - 3_600_000)
    with capture_logs() as logs:
        await runner(redis).run_job(STORE, job_id)
    job = await found(redis, job_id)
    assert (job.state, job.why, job.left) == (JobState.STOPPED, "interrupted", [1])
    assert await statuses(redis, 1) == [Status.FAILED]
    assert logs[0]["reason"] == "interrupted"


async def test_the_runner_finds_jobs_and_gives_up_its_leases_when_it_is_cancelled(redis: ArqRedis) -> None:
    await fail(redis, 1)
    job_id = await start(redis, [1])
    running = asyncio.create_task(RetryRunner(redis).run())
    await until(lambda: _is_queued(redis, 1))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.sleep(0.005)  # the lease is given up, which takes Redis a millisecond
    assert await RetryJobs(redis).hold(STORE, job_id, "next")
    assert (await found(redis, job_id)).is_running


async def _is_queued(redis: ArqRedis, order_id: int) -> bool:
    return await statuses(redis, order_id) == [Status.QUEUED]


async def test_a_job_takes_a_bounded_number_of_orders(redis: ArqRedis) -> None:
    job_id = await start(redis, range(1, ORDERS_MAX + 100))
    assert len((await found(redis, job_id)).order_ids) == ORDERS_MAX


async def test_text_that_is_no_utf8_can_be_the_reason_of_a_job(redis: ArqRedis) -> None:
    job_id, _ = await RetryJobs(redis).start(STORE, "g1", [1], reason="a\ud800b", who="\ud800", until_ms=0)
    assert (await found(redis, job_id)).reason == "a\ud800b"


async def test_a_job_whose_data_is_gone_is_forgotten(redis: ArqRedis) -> None:
    job_id = await start(redis, [1])
    await redis.delete(f"enrich:retry-job:{STORE}:{job_id}")
    await runner(redis).run_job(STORE, job_id)
    assert await RetryJobs(redis).running() == []
