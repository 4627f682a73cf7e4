"""A worker that holds its jobs on a short lease, so that a dead one is noticed in seconds.

arq marks a running job with a key that lives longer than any job may take; a killed worker's orders would come back
after their window has closed. Here the key lives for two seconds, names its owner, and is renewed while the job
runs. The stock worker also looks at every running job at each poll; this one takes free jobs in one step.
"""

import asyncio
import contextlib
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from arq import Worker
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.utils import timestamp_ms

from service.errors import EnrichError
from service.logs import Event
from service.redis.client import TRANSIENT_ERRORS
from workers import lua

log = structlog.get_logger()

LEASE_S = 2.0
RENEW_EVERY_S = 0.5
# However many orders come in, so much lies between two looks at a queue: one look serves many.
MIN_POLL_GAP_S = 0.005
# One look at the queue covers this many ids, so that running jobs at its front hide no waiting ones behind them.
QUEUE_READ_LIMIT = 5000


class LeaseLost(EnrichError):
    """Another worker has the job by now."""


class LeasedWorker(Worker):
    """An arq worker for one queue: leases with an owner, polling that survives Redis, an orderly end."""

    def __init__(
        self,
        *args: Any,
        guards: Callable[[str], str | None] = lambda _: None,
        rebuild: Callable[[str], bytes | None] = lambda _: None,
        poll_interval_s: float,
        on_lease_lost: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> None:
        """``guards`` names, for a job's id, the sorted set that it works off: the job stays while that has any.

        ``rebuild`` makes a job from its id alone; None for an id that is not ours. ``on_lease_lost`` is called for each
        job that another worker took over. The queue is looked at every ``poll_interval_s``, and whenever ``wake`` is
        called.
        """
        super().__init__(
            *args,
            # The pause between two looks is ours.
            poll_delay=0.0,
            queue_read_limit=QUEUE_READ_LIMIT,
            handle_signals=False,
            keep_result=0,
            # Our code decides when an order is given up; arq must never drop one.
            max_tries=1_000_000_000,
            # A job bounds itself. When arq's time-out strikes, the job is gone: it must never come.
            job_timeout=10 * 365 * 86_400,
            # arq's own health key says nothing that ours does not: write it once and leave it.
            health_check_interval=86_400,
            **kwargs,
        )
        self._guards = guards
        self._rebuild = rebuild
        self._on_lease_lost = on_lease_lost
        self._poll_interval_s = poll_interval_s
        self._woken = asyncio.Event()
        self.ctx["ensure_lease"] = self.ensure_lease
        self.owner = uuid.uuid4().hex
        self._held: dict[str, _Held] = {}
        self._stopping = False
        self._lost = False

    @property
    def running(self) -> int:
        """How many jobs this worker runs."""
        return self.job_counter

    def wake(self) -> None:
        """There is something new in the queue: look now."""
        self._woken.set()

    async def _poll_iteration(self) -> None:
        await super()._poll_iteration()
        if self._lost:
            self._lost = False
            log.info(Event.REDIS_BACK, queue=self.queue_name)
        await asyncio.sleep(MIN_POLL_GAP_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_interval_s):
                await self._woken.wait()
        self._woken.clear()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Take as many of the due jobs as there is room for, no store more than half the places, and start them."""
        room = self.max_jobs - self.job_counter
        if strange := [job_id for job_id in job_ids if not _is_text(job_id)]:
            log.error(Event.JOB_UNREADABLE, job=ascii(strange[0])[:200], rebuilt=False)
            await self.pool.zrem(self.queue_name, *strange)
        waiting = [job_id for job_id in job_ids if _is_text(job_id) and job_id.decode() not in self.tasks]
        if not waiting or room <= 0:
            return
        claimed_at = time.monotonic()
        claimed = await lua.claim_jobs(
            self.pool,
            queue=self.queue_name,
            owner=self.owner,
            lease_ms=int(LEASE_S * 1000),
            now_ms=timestamp_ms(),
            limit=room,
            lease_prefix=in_progress_key_prefix,
            store_limit=max(1, self.max_jobs // 2),
            running_by_store=json.dumps(Counter(store_of(job_id) for job_id in self.tasks)),
            job_ids=waiting,
        )
        for job_id, score in zip(claimed[::2], claimed[1::2], strict=True):
            self._start(job_id, _Held(int(float(score)), claimed_at))

    def _start(self, job_id: str, held: "_Held") -> None:
        self.job_counter += 1
        self._held[job_id] = held
        task = self.loop.create_task(self.run_job(job_id, held.due_ms))
        task.add_done_callback(lambda _: self._job_done(job_id))
        self.tasks[job_id] = task

    def _job_done(self, job_id: str) -> None:
        if self.job_counter >= self.max_jobs:
            self.wake()  # somebody may wait for this place
        self.job_counter -= 1
        self._held.pop(job_id, None)

    async def finish_job(
        self,
        job_id: str,
        finish: bool,
        result_data: bytes | None,
        result_timeout_s: float | None,
        keep_result_forever: bool,
        incr_score: int | None,
        keep_in_progress: float | None,
    ) -> None:
        """Close the job or put it back, unless another worker has taken it over."""
        held = self._held[job_id]
        await lua.finish_job(
            self.pool,
            lease=in_progress_key_prefix + job_id,
            job=job_key_prefix + job_id,
            tries=retry_key_prefix + job_id,
            queue=self.queue_name,
            work_list=self._guards(job_id),
            owner=self.owner,
            job_id=job_id,
            due_ms=held.due_ms,
            is_done=finish,
            next_due_ms=held.due_ms + (incr_score or 0),
        )

    async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:
        """The job cannot be read. What it was is told by its id: put it together anew, or drop it if it is not ours."""
        body = self._rebuild(job_id)
        log.error(Event.JOB_UNREADABLE, job=job_id[:200], rebuilt=body is not None)
        if body is not None:
            await self.pool.set(job_key_prefix + job_id, body)
        await self.finish_job(job_id, body is None, None, None, False, 1000, None)

    async def ensure_lease(self, job_id: str) -> None:
        """Make sure that the job is still ours, before something is done that cannot be undone.

        Raises LeaseLost when another worker has it. Only after a pause, of this process or of Redis, that is longer
        than usual does this ask Redis.
        """
        held = self._held.get(job_id)
        if held is None or time.monotonic() - held.renewed_at < LEASE_S - RENEW_EVERY_S:
            return
        if await self._extend([job_id]):
            raise LeaseLost(job_id)

    async def serve(self) -> None:
        """Poll the queue until ``drain``. Redis may go and come back; jobs in hand run on meanwhile."""
        renewing = asyncio.create_task(self._keep_leases())
        while not self._stopping:
            try:
                await self.async_run()
            except asyncio.CancelledError:
                break
            except TRANSIENT_ERRORS as error:
                if not self._lost:
                    log.warning(Event.REDIS_LOST, queue=self.queue_name, error=type(error).__name__)
                self._lost = True
            except Exception:
                log.exception(Event.INTERNAL_ERROR, place=self.queue_name)
            await asyncio.sleep(RENEW_EVERY_S)
        renewing.cancel()

    async def drain(self, patience_s: float) -> int:
        """Take nothing new, wait for the jobs in hand, and end ``serve``.

        Returns how many were not done after ``patience_s``; they are stopped and go back to the queue.
        """
        self.allow_pick_jobs = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self.tasks:
                    await asyncio.wait(list(self.tasks.values()))
                    # The next look lets go of what is done.
                    self.wake()
                    await asyncio.sleep(MIN_POLL_GAP_S)
        left = [task for task in self.tasks.values() if not task.done()]
        await end(left)
        self._stopping = True
        if self.main_task is not None:
            await end([self.main_task])
        return len(left)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            held = [job_id for job_id, task in self.tasks.items() if not task.done()]
            if not held:
                continue
            try:
                lost = await self._extend(held)
            except TRANSIENT_ERRORS:
                continue
            except Exception:
                # Whatever it is, an end of this loop would make every longer job run twice.
                log.exception(Event.INTERNAL_ERROR, place=self.queue_name)
                continue
            for job_id, how in lost.items():
                # A job that is gone has mostly just ended here: it may finish what is left to do.
                if how == "taken" and (task := self.job_tasks.get(job_id)):
                    log.warning(Event.LEASE_LOST, job=job_id)
                    self._on_lease_lost()
                    task.cancel()

    async def _extend(self, job_ids: list[str]) -> dict[str, str]:
        """Renew the leases; of those that are not ours any more, whether they are "taken" or "gone"."""
        renewed_at = time.monotonic()
        answer = await lua.renew_leases(
            self.pool,
            queue=self.queue_name,
            owner=self.owner,
            lease_ms=int(LEASE_S * 1000),
            lease_prefix=in_progress_key_prefix,
            due_ms_by_job={job_id: held.due_ms for job_id in job_ids if (held := self._held.get(job_id))},
        )
        lost = dict(zip(answer[::2], answer[1::2], strict=True))
        for job_id in set(job_ids) - lost.keys():
            if held := self._held.get(job_id):
                held.renewed_at = renewed_at
        return lost


@dataclass(slots=True)
class _Held:
    """A job in hand: when it was due, and when (monotonic) its lease was last known to be ours."""

    due_ms: int
    renewed_at: float


def store_of(job_id: str) -> str:
    """The store that a job is for. Ids are ``<kind>:<store>:<order>`` or ``<kind>:<store>``."""
    return job_id.partition(":")[2].partition(":")[0]


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


async def end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel until it is so: Python 3.11's ``wait_for``, which redis-py uses, can swallow a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
