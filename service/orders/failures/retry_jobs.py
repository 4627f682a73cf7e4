"""Retries of a group of orders, as jobs in Redis: who began them, their orders, what became of each.

One job of a group runs at a time. ``retry_runner`` runs them.
"""

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from redis.asyncio import Redis

from service.orders.failures import lua
from service.orders.state.order_entry import Status
from service.redis.leases import hold_lease, release_lease

ORDERS_MAX = 2000
"""Of a larger group, one job retries so many."""

KEEP_MS = 30 * 86_400_000
"""A job can be looked at for so long."""

LEASE_MS = 10_000
"""After a process was killed, another one takes up its job after so long."""

_RUNNING = "enrich:retry-jobs"


class JobState(StrEnum):
    """The state of a job."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"


class OrderResult(StrEnum):
    """What a job has done with an order. One that was queued has an outcome later: its status."""

    BEGUN = "begun"
    """It is being queued. After a kill, the order itself tells whether it was."""
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    """Refused: something else had queued it."""
    CHANGED = "changed"
    """Refused: it had changed since the person saw it."""
    UNKNOWN = "unknown"
    """Refused: it has no entry any more."""


REFUSALS: Mapping[str, str] = {
    OrderResult.IN_PROGRESS: "in progress already, not queued again",
    OrderResult.CHANGED: "has changed since it was listed, not queued again",
    OrderResult.UNKNOWN: "not known any more",
}
"""The results that are refusals, in words."""


@dataclass(frozen=True, slots=True)
class RetryJob:
    """A job. Times are ms since the epoch, on Redis's clock.

    ``until_ms`` is when the orders were listed: one that has changed since is not retried. ``stop_by`` is who has
    asked to stop it; empty: nobody. ``why`` is why it was stopped otherwise. ``results`` holds an ``OrderResult`` or a
    status for each order that was taken up.
    """

    store: str
    id: str
    group: str
    reason: str
    who: str
    state: JobState
    began_ms: int
    touched_ms: int
    until_ms: int
    ended_ms: int | None
    stop_by: str
    why: str
    order_ids: Sequence[int]
    results: Mapping[int, str]

    @property
    def is_running(self) -> bool:
        return self.state is JobState.RUNNING

    @property
    def left(self) -> list[int]:
        """The orders that were not taken up yet, and the one at which a process was killed."""
        return [order for order in self.order_ids if self.results.get(order, OrderResult.BEGUN) == OrderResult.BEGUN]

    @property
    def retried(self) -> list[int]:
        """The orders that were queued."""
        return [order for order, result in self.results.items() if result not in (*REFUSALS, OrderResult.BEGUN)]

    @property
    def refused(self) -> list[int]:
        """The orders that were not queued, for a reason."""
        return [order for order, result in self.results.items() if result in REFUSALS]

    @property
    def unfinished(self) -> list[int]:
        """The orders that were queued, and whose outcome is not known to the job."""
        return [order for order, result in self.results.items() if result == OrderResult.QUEUED]

    @property
    def outcomes(self) -> Counter[Status]:
        """How many of the queued orders have which status."""
        return Counter(Status(self.results[order]) for order in self.retried)


class RetryJobs:
    """Starts, finds and stops jobs. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def start(
        self, store: str, group: str, order_ids: Sequence[int], *, reason: str, who: str, until_ms: int
    ) -> tuple[str, bool]:
        """Start a job: its id, and whether it is new. Where one of the same group runs, that one is returned."""
        job_id = secrets.token_hex(8)
        keys = _Keys(store, job_id)
        running = await lua.start_retry_job(
            self._redis,
            active=_active(store, group),
            job=keys.job,
            orders=keys.orders,
            running=_RUNNING,
            recent=_recent(store),
            job_id=job_id,
            name=keys.name,
            order_ids=json.dumps(list(order_ids[:ORDERS_MAX])),
            keep_ms=KEEP_MS,
            fields={
                "group": group,
                "reason": json.dumps(reason),  # as ASCII: half a surrogate pair is no UTF-8
                "who": json.dumps(who),
                "until_ms": str(until_ms),
            },
        )
        return running, running == job_id

    async def find(self, store: str, job_id: str) -> RetryJob | None:
        """The job; None when there is none of this id."""
        keys = _Keys(store, job_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(keys.job)
            pipe.get(keys.orders)
            pipe.hgetall(keys.results)
            stored, orders, results = await pipe.execute()
        return _parse(
            store,
            job_id,
            {name.decode(): value.decode() for name, value in stored.items()},
            orders,
            {name.decode(): value.decode() for name, value in results.items()},
        )

    async def recent(self, store: str, most: int) -> list[RetryJob]:
        """The store's newest jobs, the newest first."""
        found = await lua.recent_retry_jobs(self._redis, recent=_recent(store), most=most, prefix=_Keys(store, "").job)
        jobs = [_parse(store, job_id, _pairs(job), orders, _pairs(results)) for job_id, job, orders, results in found]
        return [job for job in jobs if job is not None]

    async def running(self) -> list[tuple[str, str]]:
        """Store and id of all jobs that run, the oldest first."""
        names = [name.decode() for name in await self._redis.zrange(_RUNNING, 0, -1)]
        return [(store, job_id) for store, _, job_id in (name.partition(":") for name in names)]

    async def request_stop(self, job: RetryJob, who: str) -> bool:
        """Have the job stopped before its next orders. False when somebody has asked for that before."""
        return bool(await self._redis.hsetnx(_Keys(job.store, job.id).job, "stop_by", json.dumps(who)))  # type: ignore[misc]

    async def hold(self, store: str, job_id: str, owner: str) -> bool:
        """Take or renew the lease of a job; False when another process has it."""
        return await hold_lease(self._redis, _Keys(store, job_id).lease, owner, ttl_ms=LEASE_MS)

    async def release(self, store: str, job_id: str, owner: str) -> None:
        """Give the lease back, for another process to go on at once."""
        await release_lease(self._redis, _Keys(store, job_id).lease, owner)

    async def touch(self, job: RetryJob, now_ms: int) -> None:
        """Note that the job goes on."""
        await self._redis.hset(_Keys(job.store, job.id).job, "touched_ms", str(now_ms))  # type: ignore[misc]

    async def note(self, job: RetryJob, results: Mapping[int, str]) -> None:
        """Note what was done with some of its orders."""
        if results:
            await self._redis.hset(_Keys(job.store, job.id).results, mapping=dict(results))  # type: ignore[misc]

    async def end(self, job: RetryJob, state: JobState, owner: str, *, why: str = "") -> bool:
        """End the job; False when ``owner`` does not have its lease any more."""
        keys = _Keys(job.store, job.id)
        ended = await lua.end_retry_job(
            self._redis,
            active=_active(job.store, job.group),
            job=keys.job,
            orders=keys.orders,
            results=keys.results,
            running=_RUNNING,
            lease=keys.lease,
            owner=owner,
            job_id=job.id,
            name=keys.name,
            state=state.value,
            why=why,
            keep_ms=KEEP_MS,
        )
        return bool(ended)

    async def forget(self, store: str, job_id: str) -> None:
        """Remove a job whose data is gone from those that run."""
        await self._redis.zrem(_RUNNING, _Keys(store, job_id).name)


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    """A hash as a script returns it."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _parse(
    store: str, job_id: str, fields: Mapping[str, str], orders: str | bytes | None, results: Mapping[str, str]
) -> RetryJob | None:
    """None when its data is gone."""
    if not fields or orders is None:
        return None
    ended = fields.get("ended_ms")
    return RetryJob(
        store,
        job_id,
        fields["group"],
        json.loads(fields["reason"]),
        json.loads(fields["who"]),
        JobState(fields["state"]),
        int(fields["began_ms"]),
        int(fields["touched_ms"]),
        int(fields["until_ms"]),
        int(ended) if ended else None,
        json.loads(fields.get("stop_by", '""')),
        fields.get("why", ""),
        json.loads(orders),
        {int(order): result for order, result in results.items()},
    )


class _Keys:
    def __init__(self, store: str, job_id: str) -> None:
        self.name = f"{store}:{job_id}"
        self.job = f"enrich:retry-job:{self.name}"
        self.orders = f"{self.job}:orders"
        self.results = f"{self.job}:results"
        self.lease = f"{self.job}:lease"


def _active(store: str, group: str) -> str:
    return f"enrich:retry-job-of:{store}:{group}"


def _recent(store: str) -> str:
    return f"enrich:retry-jobs:{store}"
