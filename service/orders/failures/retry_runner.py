"""Runs retry jobs: a few orders at a time, so that a job can be stopped while its first orders show how it goes.

Each process that runs jobs looks for them; a lease lets one process run each. A job whose process was killed is taken
up again by another, or by the same after its start. After a long time it is not: nobody expects its retries any more.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service import audit
from service.logs import Event
from service.orders.failures.failure_groups import changed_at_ms
from service.orders.failures.failure_kinds import needs_person
from service.orders.failures.retry_jobs import JobState, OrderResult, RetryJob, RetryJobs
from service.orders.state.clocks import redis_time
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import EnqueueResult, Queue
from service.redis.client import TRANSIENT_ERRORS

log = structlog.get_logger()

RETRY = "retry"
"""The source of the orders."""

IN_PROGRESS_MAX = 20
"""So many orders of a job are in progress at a time. A worker attempts 32 at a time, of all stores."""

SLOT_S = 60.0
"""An order that has not finished after so long makes room for the next one: it may take hours, in recovery."""

POLL_INTERVAL_S = 0.5
"""How often a job looks whether its orders have finished."""

FIND_INTERVAL_S = 1.0
"""How often a process looks for jobs."""

INTERRUPTED_AFTER_S = 900.0
"""A job that no process has run for so long is stopped instead of taken up again."""


class RetryRunner:
    """Runs all jobs that no other process runs. Times are in seconds; ``slot_s`` and the interval are for tests."""

    def __init__(self, redis: Redis, *, slot_s: float = SLOT_S, poll_interval_s: float = POLL_INTERVAL_S) -> None:
        self._redis = redis
        self._jobs = RetryJobs(redis)
        self._ledger = Ledger(redis)
        self._queue = Queue(redis)
        self._owner = secrets.token_hex(8)
        self._slot_s = slot_s
        self._poll_interval_s = poll_interval_s
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look for jobs and run them, for ever; wait while Redis is away. When cancelled, it gives up its leases."""
        try:
            while True:
                with suppress(RedisError, *TRANSIENT_ERRORS):
                    await self._start_found()
                await asyncio.sleep(FIND_INTERVAL_S)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(RedisError, *TRANSIENT_ERRORS):
                for store, job_id in self._tasks:
                    await self._jobs.release(store, job_id, self._owner)

    async def _start_found(self) -> None:
        for name, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[name]
                task.result()
        for store, job_id in await self._jobs.running():
            if (store, job_id) not in self._tasks:
                self._tasks[store, job_id] = asyncio.create_task(self._keep_running(store, job_id))

    async def _keep_running(self, store: str, job_id: str) -> None:
        # After an error the job is found again; what it has done is in Redis.
        with suppress(RedisError, *TRANSIENT_ERRORS):
            await self.run_job(store, job_id)

    async def run_job(self, store: str, job_id: str) -> None:
        """Run a job to its end, unless another process runs it. Errors are Redis's own."""
        if not await self._jobs.hold(store, job_id, self._owner):
            return
        job = await self._jobs.find(store, job_id)
        if job is None or not job.is_running:
            await self._jobs.forget(store, job_id)
            return
        if await redis_time(self._redis) - job.touched_ms / 1000 > INTERRUPTED_AFTER_S:
            await self._end(job, JobState.STOPPED, why="interrupted")
            return
        now = asyncio.get_running_loop().time
        since = dict.fromkeys(job.unfinished, now())
        while True:
            since = await self._note_finished(job, since)
            since = {order: begun for order, begun in since.items() if now() - begun < self._slot_s}
            if job.stop_by:
                await self._end(job, JobState.STOPPED)
                return
            queued = await self._take_up(job, job.left[: max(0, IN_PROGRESS_MAX - len(since))])
            since |= dict.fromkeys(queued, now())
            if not since and not job.left:
                await self._end(job, JobState.DONE)
                return
            if since:
                await asyncio.sleep(self._poll_interval_s)
            if not await self._jobs.hold(store, job_id, self._owner):
                return
            await self._jobs.touch(job, round(await redis_time(self._redis) * 1000))
            again = await self._jobs.find(store, job_id)
            if again is None:
                return
            job = again

    async def _note_finished(self, job: RetryJob, since: Mapping[int, float]) -> dict[int, float]:
        """Note the outcomes of those that are finished; returns the others."""
        statuses = await self._ledger.statuses(job.store, job.unfinished)
        finished = {order: status for order, status in statuses.items() if status is not Status.QUEUED}
        await self._jobs.note(job, finished)
        return {order: begun for order, begun in since.items() if order in statuses and order not in finished}

    async def _take_up(self, job: RetryJob, order_ids: Iterable[int]) -> list[int]:
        """Queue these orders, if they are as the person saw them; those that were queued."""
        wanted = list(order_ids)
        changed = await changed_at_ms(self._redis, job.store, wanted)
        entries = await self._ledger.get_parts([(job.store, order) for order in wanted], ("source", "wait_logged"))
        results: dict[int, str] = {
            order: self._refusal(job, order, entry, changed.get(order, 0)) or OrderResult.BEGUN
            for order, entry in zip(wanted, entries, strict=True)
        }
        await self._jobs.note(job, results)
        to_queue = [order for order, result in results.items() if result == OrderResult.BEGUN]
        done: dict[int, str] = {}
        for order in to_queue:
            is_queued = await self._queue.retry(job.store, order, RETRY) is EnqueueResult.QUEUED
            done[order] = OrderResult.QUEUED if is_queued else OrderResult.IN_PROGRESS
        await self._jobs.note(job, done)
        if queued := [order for order, result in done.items() if result == OrderResult.QUEUED]:
            action = audit.Action(job.who, audit.ActionName.RETRY_GROUP, job.store, queued)
            await audit.record_on_orders(self._redis, action)
        return [order for order, result in (results | done).items() if result == OrderResult.QUEUED]

    def _refusal(self, job: RetryJob, order: int, entry: Entry | None, changed_ms: int) -> str | None:
        """What became of an order that is not to be queued; None: it is to be queued.

        One that was begun when a process was killed may have been queued: then it has changed because of that.
        """
        was_begun = job.results.get(order) == OrderResult.BEGUN
        if entry is None:
            return OrderResult.UNKNOWN
        if entry.status is Status.QUEUED:
            return OrderResult.QUEUED if was_begun and entry.source == RETRY else OrderResult.IN_PROGRESS
        if not needs_person(entry) or changed_ms > job.until_ms:
            return entry.status.value if was_begun else OrderResult.CHANGED
        return None

    async def _end(self, job: RetryJob, state: JobState, *, why: str = "") -> None:
        if await self._jobs.end(job, state, self._owner, why=why):
            log.info(
                Event.RETRY_JOB_ENDED,
                store=job.store,
                job=job.id,
                state=state.value,
                reason=why or None,
                retried=len(job.retried),
                refused=len(job.refused),
            )
