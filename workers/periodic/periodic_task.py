"""Periodic tasks: jobs that run again and again for each store in the stores file.

A periodic task is one job per store, which goes back into its queue after each run. So one worker at a time runs it,
however many workers there are.
"""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import structlog
from arq import Retry
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from service.errors import CredentialsRefused, Refused, UpstreamError, WaitUntil
from service.logs import Event
from service.orders.state.clocks import Clock, redis_time
from service.orders.state.job_kinds import MONITOR_HOOKS, PROBE, READ_SUPER_ADMINS, RECONCILE, JobKind
from service.redis.client import TRANSIENT_ERRORS
from service.stores import Store
from workers.backoff import exponential_backoff
from workers.resources import Resources

log = structlog.get_logger()

# Much longer than any run takes: it only ends a run that hangs.
RUN_TIMEOUT_S = 300.0

# Transient errors may end at any time, and orders may be waiting whose webhook was lost.
MAX_BACKOFF_S = 15.0
# Quota that is due at once must not make a busy loop.
MIN_QUOTA_WAIT_S = 0.5

_KINDS = (RECONCILE, MONITOR_HOOKS, READ_SUPER_ADMINS)

# The first runs of more stores than this are spread over a time that grows with their number.
MAX_STORES_AT_ONCE = 20
SPREAD_S = 5.0

# By then each store has been read for the first time, as is promised of a store without orders.
LONGEST_SPREAD_S = 240.0

# A first run takes a worker about 4 ms of CPU (reconciling), or 3: so thousands of new stores take half a core, and
# leave the other half for orders.
SPREAD_S_PER_STORE = {RECONCILE: 0.01, MONITOR_HOOKS: 0.02, READ_SUPER_ADMINS: 0.02}

# One exchange about so many stores or jobs keeps Redis from other commands for a few milliseconds.
AT_ONCE = 1_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often, in seconds, the periodic tasks of a store run: normally, without orders, and while webhooks fail."""

    reconcile_s: float = 60.0
    quiet_reconcile_s: float = 300.0
    polling_s: float = 3.0
    hooks_s: float = 600.0
    hooks_problem_s: float = 30.0
    super_admins_s: float = 3600.0
    tokens_s: float = 60.0


async def ensure_periodic_jobs(
    redis: Redis, stores: Collection[str], *, now_due: bool = False, clock: Clock | None = None
) -> None:
    """Queue the periodic jobs of these stores where they are missing. Raises Redis's errors.

    Mostly none is: then that costs one exchange for each ``AT_ONCE`` stores, and no write.

    ``now_due`` makes jobs that are queued already due now: an admin may have fixed what made them fail, such as
    refused credentials.
    """
    now = clock() if clock else await redis_time(redis)
    names, missing = list(stores), _Missing()
    for batch in _batches(names):
        missing += [(kind, store) for store in batch for kind in _KINDS] if now_due else await _missing(redis, batch)
    spread = spread_s(len({store for _, store in missing}))
    for jobs in _batches(missing):
        await _queue(redis, jobs, now, spread, now_due=now_due)
    if now_due:
        for batch in _batches(names):
            await redis.zadd(PROBE.queue, {PROBE.id(store): int(now * 1000) for store in batch}, xx=True, lt=True)


_Missing = list[tuple[JobKind, str]]


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[first : first + AT_ONCE] for first in range(0, len(items), AT_ONCE))


def spread_s(stores: int) -> Mapping[JobKind, float]:
    """Over how many seconds the first runs of so many stores are spread."""
    if stores <= MAX_STORES_AT_ONCE:
        return dict.fromkeys(_KINDS, 0.0)
    return {kind: min(max(SPREAD_S, stores * SPREAD_S_PER_STORE[kind]), LONGEST_SPREAD_S) for kind in _KINDS}


async def _missing(redis: Redis, stores: Sequence[str]) -> _Missing:
    """The periodic jobs of these stores that are not queued, or have no body."""
    async with redis.pipeline(transaction=False) as pipe:
        for kind in _KINDS:
            pipe.zmscore(kind.queue, [kind.id(store) for store in stores])
            pipe.exists(*(kind.key(store) for store in stores))
        answers = await pipe.execute()
    missing: _Missing = []
    for kind, scores, bodies in zip(_KINDS, answers[::2], answers[1::2], strict=True):
        is_whole = bodies == len(stores)
        # Which body is missing is not known: writing one that is there changes nothing.
        missing += [(kind, store) for store, score in zip(stores, scores, strict=True) if score is None or not is_whole]
    return missing


async def _queue(
    redis: Redis, jobs: Sequence[tuple[JobKind, str]], now: float, spread: Mapping[JobKind, float], *, now_due: bool
) -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for kind, store in jobs:
            due = now + random.uniform(0.0, spread[kind])  # noqa: S311 - jitter, not a secret
            # In this order: an id in the queue has its job.
            pipe.set(kind.key(store), kind.body(store, now=now), nx=True)
            pipe.zadd(kind.queue, {kind.id(store): int(due * 1000)}, nx=not now_due, lt=now_due)
        await pipe.execute()


class PeriodicTask(ABC):
    """A periodic task. Subclasses implement ``run_once``; an error delays the next run but never ends the task."""

    name: ClassVar[str]
    """The task's name in the log."""

    def __init__(self, resources: Resources, *, every_s: float, clock: Callable[[], float] = time.time) -> None:
        """``every_s`` is the normal interval between runs, in seconds."""
        self._resources = resources
        self._every_s = every_s
        self._clock = clock
        self._failures: Counter[str] = Counter()

    @abstractmethod
    async def run_once(self, store: Store) -> float:
        """Run once for a store; returns in how many seconds the next run is due."""

    async def run(self, _: dict[str, Any], store: str) -> None:
        """The job: run once and schedule the next run, by raising Retry. Ends when the store is not configured."""
        configured = self._resources.configuration.stores.get(store)
        if configured is None:
            return
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                async with asyncio.timeout(RUN_TIMEOUT_S):
                    # While the store's credentials are refused, only the probe calls BigCommerce.
                    is_locked_out = await self._is_locked_out(store)
                    delay = self._every_s if is_locked_out else await self.run_once(configured.store)
                self._failures.pop(store, None)
            except Exception as error:
                self._failures[store] += 1
                delay = self._delay_after(error, self._failures[store])
                self._log_failure(error, delay, self._failures[store])
        raise Retry(defer=delay)

    async def _is_locked_out(self, store: str) -> bool:
        return await self._resources.breaker.is_open(store)

    def _delay_after(self, error: Exception, failures: int) -> float:
        match error:
            case WaitUntil(seconds=seconds):
                return min(max(seconds, MIN_QUOTA_WAIT_S), self._every_s)
            case CredentialsRefused() | Refused():
                return self._every_s  # only a person can fix it
            case _:
                return exponential_backoff(failures, longest_s=min(MAX_BACKOFF_S, self._every_s))

    def _log_failure(self, error: Exception, delay: float, failures: int) -> None:
        if not isinstance(error, (UpstreamError, *TRANSIENT_ERRORS)):
            log.error(Event.INTERNAL_ERROR, place=self.name, exc_info=error)
            return
        # A lasting error is logged once. Waiting for quota is normal.
        is_new = failures == 1 and not isinstance(error, WaitUntil)
        write = log.warning if is_new else log.debug
        trouble = str(error) if isinstance(error, UpstreamError) else type(error).__name__
        write(Event.PERIODIC_TASK_POSTPONED, task=self.name, trouble=trouble, retry_in_ms=round(delay * 1000))


class State(BaseModel):
    """What a periodic task keeps between runs, as JSON in Redis. Methods raise Redis's errors."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    @classmethod
    async def read(cls, redis: Redis, key: str) -> Self | None:
        """The stored state; None if there is none, or none that this version can read."""
        return cls.parse(await redis.get(key))

    @classmethod
    def parse(cls, raw: bytes | None) -> Self | None:
        """The same from what is stored."""
        try:
            return None if raw is None else cls.model_validate_json(raw)
        except ValidationError:
            return None

    async def write(self, redis: Redis, key: str, *, if_new: bool = False) -> bool:
        """Store the state; with ``if_new`` only where there is none. Returns whether it was stored."""
        return bool(await redis.set(key, self.model_dump_json(by_alias=True), nx=if_new))
