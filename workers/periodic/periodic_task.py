"""Periodic tasks: jobs that run again and again for each store in the stores file.

A periodic task is one job per store, which goes back into its queue after each run. So one worker at a time runs it,
however many workers there are.
"""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import structlog
from arq import Retry
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from service.errors import CredentialsRefused, Refused, UpstreamError, WaitUntil
from service.logs import Event
from service.orders.state.clocks import Clock, redis_time
from service.orders.state.job_kinds import MONITOR_HOOKS, PROBE, READ_SUPER_ADMINS, RECONCILE
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

# The first runs of more stores than this are spread over some seconds.
MAX_STORES_AT_ONCE = 20
SPREAD_S = 5.0


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often, in seconds, the periodic tasks of a store run: normally, and while webhooks fail."""

    reconcile_s: float = 60.0
    polling_s: float = 3.0
    hooks_s: float = 600.0
    hooks_problem_s: float = 30.0
    super_admins_s: float = 3600.0
    tokens_s: float = 60.0


async def ensure_periodic_jobs(
    redis: Redis, stores: Collection[str], *, now_due: bool = False, clock: Clock | None = None
) -> None:
    """Queue the periodic jobs of these stores where they are missing. Raises Redis's errors.

    ``now_due`` makes jobs that are queued already due now: an admin may have fixed what made them fail, such as
    refused credentials.
    """
    now = clock() if clock else await redis_time(redis)
    spread = SPREAD_S if len(stores) > MAX_STORES_AT_ONCE else 0.0
    async with redis.pipeline(transaction=False) as pipe:
        for store in stores:
            for kind in (RECONCILE, MONITOR_HOOKS, READ_SUPER_ADMINS):
                due = now + random.uniform(0.0, spread)  # noqa: S311 - jitter, not a secret
                # In this order: an id in the queue has its job.
                pipe.set(kind.key(store), kind.body(store, now=now), nx=True)
                pipe.zadd(kind.queue, {kind.id(store): int(due * 1000)}, nx=not now_due, lt=now_due)
            if now_due:
                pipe.zadd(PROBE.queue, {PROBE.id(store): int(now * 1000)}, xx=True, lt=True)
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
                    is_locked_out = await self._resources.breaker.is_open(store)
                    delay = self._every_s if is_locked_out else await self.run_once(configured.store)
                self._failures.pop(store, None)
            except Exception as error:
                self._failures[store] += 1
                delay = self._delay_after(error, self._failures[store])
                self._log_failure(error, delay, self._failures[store])
        raise Retry(defer=delay)

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
        raw = await redis.get(key)
        try:
            return None if raw is None else cls.model_validate_json(raw)
        except ValidationError:
            return None

    async def write(self, redis: Redis, key: str, *, if_new: bool = False) -> bool:
        """Store the state; with ``if_new`` only where there is none. Returns whether it was stored."""
        return bool(await redis.set(key, self.model_dump_json(by_alias=True), nx=if_new))
