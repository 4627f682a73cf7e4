"""A retry of a group of orders whose console is killed: another one takes it up, and no order is retried twice."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from service.orders.failures.retry_jobs import JobState, OrderResult, RetryJob, RetryJobs
from service.orders.failures.retry_runner import IN_PROGRESS_MAX
from service.orders.state.clocks import redis_time
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Status
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.fakes.console import STORES
from tests.fakes.orders import failed
from tests.fakes.running_console import console_process
from tests.fakes.stacks.backfill_stack import until

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

ORDERS = range(1, IN_PROGRESS_MAX + 11)


async def test_a_retry_goes_on_in_the_next_console_after_a_kill(redis_url: str, tmp_path: Path) -> None:
    async with connect(redis_url) as redis:
        transitions, jobs = Transitions(redis), RetryJobs(redis)

        async def job() -> RetryJob:
            found = await jobs.find("abc123", job_id)
            assert found is not None
            return found

        async def finish(order_ids: Iterable[int]) -> None:
            for order_id in order_ids:
                entry, _ = await transitions.begin_attempt("abc123", order_id)
                entry.status = Status.UPDATED
                await transitions.finish(entry)

        async def has_queued(count: int) -> bool:
            return list((await job()).results.values()).count(OrderResult.QUEUED) == count

        for order_id in ORDERS:
            await transitions.finish(failed(order_id))
        seen_ms = round(await redis_time(redis) * 1000)
        job_id, _ = await jobs.start("abc123", "g1", ORDERS, reason="Cost Center", who="ana", until_ms=seen_ms)

        with console_process(tmp_path, STORES, redis_url) as console:
            await until(lambda: has_queued(IN_PROGRESS_MAX))
            console.process.kill()
            console.process.wait()
        assert not await jobs.hold("abc123", job_id, "somebody else"), "the lease outlives the killed process"
        await redis.delete(f"enrich:retry-job:abc123:{job_id}:lease")  # what time does, ten seconds later

        first = (await job()).unfinished
        with console_process(tmp_path, STORES, redis_url):
            await finish(first)
            rest = [order_id for order_id in ORDERS if order_id not in first]
            await until(lambda: has_queued(len(rest)))
            await finish(rest)

            async def is_done() -> bool:
                return (await job()).state is JobState.DONE

            await until(is_done)
        assert (await job()).outcomes == {Status.UPDATED: len(ORDERS)}
        assert {entry.attempts for entry in await Ledger(redis).get_many("abc123", ORDERS)} == {1}
