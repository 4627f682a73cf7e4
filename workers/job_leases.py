"""A worker with short leases on its jobs, so that a dead worker is noticed within seconds.

arq marks a running job with a key that lives longer than any job may take: a killed worker's orders would come back
after their window has closed. Here that key is a lease: it lives for two seconds, names its owner, and is renewed
while the job runs. arq's own worker also checks every running job at each poll, and reads each job in a transaction of
its own; this one claims free jobs and reads them in one step.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from arq import Retry, Worker
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import DeserializationError, deserialize_job_raw
from arq.utils import ms_to_datetime
from redis.exceptions import NoPermissionError

from service.errors import EnrichError
from service.logs import Event
from service.process.task_cancellation import cancel_and_wait
from service.redis.errors import TRANSIENT_ERRORS, diagnose
from workers import lua

log = structlog.get_logger()

# A dead worker's jobs run again within 3 s, inside the window: the lease has to expire and the queue to be polled.
LEASE_S = 2.0
RENEW_INTERVAL_S = 0.5
# The least time between two polls of a queue, however many orders come in: one poll serves many.
MIN_POLL_INTERVAL_S = 0.005
# Without the right to poll the queue, a worker is in the same position as without Redis.
REDIS_LOST: tuple[type[Exception], ...] = (*TRANSIENT_ERRORS, NoPermissionError)
# One poll covers this many ids, so that running jobs at the front do not hide waiting ones behind them.
QUEUE_READ_LIMIT = 5000
# The delay of a job that was rebuilt from its id, or raised an error that it does not handle: one that fails again and
# again must not keep a worker busy.
FAILED_JOB_DELAY_MS = 1000


class LeaseLost(EnrichError):
    """Another worker has taken over the job."""


class LeasedWorker(Worker):
    """An arq worker for one queue: leases with an owner, polling through outages of Redis, graceful shutdown."""

    def __init__(
        self,
        *args: Any,
        guards: Callable[[str], str | None] = lambda _: None,
        rebuild: Callable[[str], bytes | None] = lambda _: None,
        poll_interval_s: float,
        on_lease_lost: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> None:
        """``guards`` returns, for a job's id, the sorted set that it works off: the job stays until that set is empty.

        ``rebuild`` returns the body of a job from its id; None for an unknown kind of id. ``on_lease_lost`` is called
        for each job that another worker took over. The queue is polled when ``wake`` is called, and at least every
        ``poll_interval_s``.
        """
        super().__init__(
            *args,
            # The interval between polls is set below.
            poll_delay=0.0,
            handle_signals=False,
            **kwargs,
        )
        self._work_list_of = guards
        self._rebuild = rebuild
        self._on_lease_lost = on_lease_lost
        self._poll_interval_s = poll_interval_s
        self._wake_up = asyncio.Event()
        self.ctx["ensure_lease"] = self.ensure_lease
        self.owner = uuid.uuid4().hex
        self._claims: dict[str, _Claimed] = {}
        self._stopping = False
        self._redis_is_lost = False

    @property
    def running(self) -> int:
        """How many jobs this worker runs."""
        return self.job_counter

    def wake(self) -> None:
        """Poll the queue now: a job was added."""
        self._wake_up.set()

    async def main(self) -> None:
        """Poll until cancelled. arq's own ``main`` first asks INFO, which a Redis user may well not be allowed."""
        self.ctx["redis"] = self.pool
        while True:
            await self._poll_iteration()

    async def _poll_iteration(self) -> None:
        """Claim due jobs, then wait for the next poll. Raises what kept an ended job from being closed.

        This replaces arq's own poll, which compares due times with this machine's clock instead of Redis's.
        """
        polled_at = self.loop.time()
        ended = [self.tasks.pop(job_id) for job_id, task in list(self.tasks.items()) if task.done()]
        # A cancelled one, such as by ``drain``, says nothing of the queue.
        errors = [error for task in ended if not task.cancelled() and (error := task.exception())]
        if self.allow_pick_jobs:
            await self.claim_due_jobs()
        if errors:  # Redis was lost as the jobs were closed: they wait for that no longer than one pause together
            raise errors[0]
        if self._redis_is_lost:
            self._redis_is_lost = False
            log.info(Event.REDIS_BACK, queue=self.queue_name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_interval_s):
                await self._wake_up.wait()
        if (too_soon_s := polled_at + MIN_POLL_INTERVAL_S - self.loop.time()) > 0:
            await asyncio.sleep(too_soon_s)
        self._wake_up.clear()

    async def claim_due_jobs(self) -> None:
        """Claim and start due jobs: as many as slots are free, and for one store at most half of all slots."""
        free_slots = self.max_jobs - self.job_counter
        if free_slots <= 0:
            return
        claimed_at = time.monotonic()
        claimed, unreadable = await lua.claim_jobs(
            self.pool,
            queue=self.queue_name,
            now_ms=None,
            owner=self.owner,
            lease_ms=int(LEASE_S * 1000),
            limit=free_slots,
            lease_prefix=in_progress_key_prefix,
            job_prefix=job_key_prefix,
            tries_prefix=retry_key_prefix,
            store_limit=max(1, self.max_jobs // 2),
            read_limit=QUEUE_READ_LIMIT,
            running=list(self.tasks),
        )
        for job_id in unreadable:
            log.error(Event.JOB_UNREADABLE, job=job_id[:200], rebuilt=False)
        for job_id, due_ms, body, tries in claimed:
            self._start(job_id, _Claimed(int(float(due_ms)), body, tries, claimed_at))

    def _start(self, job_id: str, claimed: "_Claimed") -> None:
        self.job_counter += 1
        self._claims[job_id] = claimed
        task = self.loop.create_task(self.run_job(job_id, claimed.due_ms))
        task.add_done_callback(lambda _: self._job_done(job_id))
        self.tasks[job_id] = task

    def _job_done(self, job_id: str) -> None:
        if self.job_counter >= self.max_jobs:
            self.wake()  # a job may wait for this slot
        self.job_counter -= 1
        self._claims.pop(job_id, None)

    async def run_job(self, job_id: str, score: int) -> None:
        """Run a claimed job, then close it, or requeue it if it raises ``Retry`` or is cancelled.

        A job's function returns True where it has closed the job itself, in the same step as what the job was for.
        It replaces arq's own, which would drop a job that raises another error, that was tried too often or that takes
        too long. Here each job limits its own time, and the order's lifecycle decides when to give up.
        """
        claimed = self._claims[job_id]
        is_done, delay_ms = False, None
        try:
            function, arguments, named, _, enqueued_ms = deserialize_job_raw(
                claimed.body.encode(), deserializer=self.job_deserializer
            )
            coroutine, enqueued_at = self.functions[function].coroutine, ms_to_datetime(enqueued_ms)
        except (DeserializationError, KeyError, TypeError, ValueError, OverflowError):
            await asyncio.shield(self._finish_unreadable(job_id))
            return
        ctx = {
            **self.ctx,
            "job_id": job_id,
            "job_try": claimed.tries,
            "enqueue_time": enqueued_at,
            "score": score,
        }
        try:
            if await coroutine(ctx, *arguments, **named) is True:
                return
            is_done = True
        except Retry as retry:
            delay_ms = retry.defer_score or None  # 0: due as before
        except asyncio.CancelledError:
            pass  # the lease is lost, or the worker stops: the job is due as before
        except Exception as error:
            log.error(Event.JOB_CRASHED, job=job_id, error=type(error).__name__, exc_info=error)
            delay_ms = FAILED_JOB_DELAY_MS
        finally:
            claimed.is_running = False
        await asyncio.shield(self._finish(job_id, is_done=is_done, delay_ms=delay_ms))

    async def _finish(self, job_id: str, *, is_done: bool, delay_ms: int | None) -> None:
        """Close or requeue the job, unless another worker has taken it over."""
        await lua.finish_job(
            self.pool,
            lease=in_progress_key_prefix + job_id,
            job=job_key_prefix + job_id,
            tries=retry_key_prefix + job_id,
            queue=self.queue_name,
            work_list=self._work_list_of(job_id),
            now_ms=None,
            owner=self.owner,
            job_id=job_id,
            due_ms=self._claims[job_id].due_ms,
            is_done=is_done,
            delay_ms=delay_ms,
        )

    async def _finish_unreadable(self, job_id: str) -> None:
        """Rebuild a job that cannot be read from its id, or drop it when the id is not of a known kind."""
        body = self._rebuild(job_id)
        log.error(Event.JOB_UNREADABLE, job=job_id[:200], rebuilt=body is not None)
        if body is not None:
            await self.pool.set(job_key_prefix + job_id, body)
        await self._finish(job_id, is_done=body is None, delay_ms=FAILED_JOB_DELAY_MS)

    async def ensure_lease(self, job_id: str) -> None:
        """Check that this worker still has the lease, before a step that cannot be undone.

        Raises LeaseLost when another worker has the job. This asks Redis only when the last renewal was too long ago,
        after a pause of this process or of Redis.
        """
        lease = self._claims.get(job_id)
        if lease is None or time.monotonic() - lease.renewed_at < LEASE_S - RENEW_INTERVAL_S:
            return
        if await self._renew([job_id]):
            raise LeaseLost(job_id)

    async def serve(self) -> None:
        """Poll the queue until ``drain``. Outages of Redis do not end it; running jobs continue meanwhile."""
        renewing = asyncio.create_task(self._renew_leases())
        # Without renewal every longer job would run twice: if it ends, polling ends, and this loop is restarted.
        renewing.add_done_callback(lambda _: self.main_task and self.main_task.cancel())
        try:
            while not self._stopping:
                try:
                    await self.async_run()
                except asyncio.CancelledError:
                    break
                except REDIS_LOST as error:
                    if not self._redis_is_lost:
                        log.warning(Event.REDIS_LOST, queue=self.queue_name, error=str(diagnose(error)))
                    self._redis_is_lost = True
                except Exception:
                    log.exception(Event.INTERNAL_ERROR, place=self.queue_name)
                await asyncio.sleep(RENEW_INTERVAL_S)
        finally:
            await cancel_and_wait([renewing])

    async def drain(self, timeout_s: float) -> int:
        """Claim no more jobs, wait for the running ones, and end ``serve``.

        Returns how many did not finish within ``timeout_s``; they are cancelled and requeued.
        """
        self.allow_pick_jobs = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.tasks:
                    await asyncio.wait(list(self.tasks.values()))
                    # The next poll removes finished tasks.
                    self.wake()
                    await asyncio.sleep(MIN_POLL_INTERVAL_S)
        unfinished = [task for task in self.tasks.values() if not task.done()]
        await cancel_and_wait(unfinished)
        self._stopping = True
        if self.main_task is not None:
            await cancel_and_wait([self.main_task])
        return len(unfinished)

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(RENEW_INTERVAL_S)
            running = [job_id for job_id, task in self.tasks.items() if not task.done()]
            if not running:
                continue
            try:
                lost = await self._renew(running)
            except TRANSIENT_ERRORS:
                continue
            except Exception:
                # Never end this loop: without it every longer job would run twice.
                log.exception(Event.INTERNAL_ERROR, place=self.queue_name)
                continue
            for job_id, reason in lost.items():
                # A job that is gone has usually just finished here: let it complete. One whose function has ended is
                # being closed, which changes nothing of another worker's.
                claimed, task = self._claims.get(job_id), self.tasks.get(job_id)
                if reason == "taken" and task and claimed and claimed.is_running:
                    log.warning(Event.LEASE_LOST, job=job_id)
                    self._on_lease_lost()
                    task.cancel()

    async def _renew(self, job_ids: list[str]) -> dict[str, str]:
        """Renew the leases; returns those that are lost, as "taken" or "gone"."""
        renewed_at = time.monotonic()
        answer = await lua.renew_leases(
            self.pool,
            queue=self.queue_name,
            owner=self.owner,
            lease_ms=int(LEASE_S * 1000),
            lease_prefix=in_progress_key_prefix,
            due_ms_by_job={job_id: lease.due_ms for job_id in job_ids if (lease := self._claims.get(job_id))},
        )
        lost = dict(zip(answer[::2], answer[1::2], strict=True))
        for job_id in set(job_ids) - lost.keys():
            if lease := self._claims.get(job_id):
                lease.renewed_at = renewed_at
        return lost


@dataclass(slots=True)
class _Claimed:
    """A job that this worker has a lease on.

    When it was due, its body ('' if there is none that is text), how often it was claimed, when its lease was last
    renewed, on the monotonic clock, and whether its function has not ended yet.
    """

    due_ms: int
    body: str
    tries: int
    renewed_at: float
    is_running: bool = True


def store_of(job_id: str) -> str:
    """The store of a job. Ids are ``<kind>:<store>:<order>`` or ``<kind>:<store>``."""
    return job_id.partition(":")[2].partition(":")[0]
