"""Chores: what is done for a store again and again, for as long as it is in the stores file.

A chore is one job per store that goes back into its queue after each turn, so that however many workers there are,
one of them does it.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import NoReturn, Self

import structlog
from arq import Retry
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from service.errors import CredentialsRefused, Refused, UpstreamError, WaitUntil
from service.logs import Event
from service.orders.state.jobs import MONITOR_HOOKS, PROBE, RECONCILE
from service.redis.client import TRANSIENT_ERRORS
from workers.backoff import exponential_backoff

log = structlog.get_logger()

# Far more than a turn can take; it only breaks what hangs against all expectation.
TURN_AT_MOST_S = 300.0

# Passing trouble may end at any time, and orders may be waiting that nobody else tells of.
MAX_BACKOFF_S = 15.0
SHORTEST_WAIT_S = 0.5

# So many stores may begin at once; the first turns of more are spread.
AT_ONCE = 20
SPREAD_S = 5.0


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often, in seconds, a store's chores are done: in quiet times and while there is trouble."""

    reconcile_s: float = 60.0
    watch_s: float = 3.0
    guard_s: float = 600.0
    trouble_s: float = 30.0


async def ensure_periodic_jobs(
    redis: Redis, stores: Collection[str], *, now_due: bool = False, clock: Callable[[], float] = time.time
) -> None:
    """Put the chores of these stores into their queue, where they are not. Errors are Redis's own.

    ``now_due`` has those done now that are there already: what kept them from succeeding may be mended, and refused
    credentials may be others.
    """
    now = clock()
    spread = SPREAD_S if len(stores) > AT_ONCE else 0.0
    async with redis.pipeline(transaction=False) as pipe:
        for store in stores:
            for kind in (RECONCILE, MONITOR_HOOKS):
                due = now + random.uniform(0.0, spread)  # noqa: S311 - jitter, not a secret
                # In this order: an id in the queue has its job.
                pipe.set(kind.key(store), kind.body(store, now=now), nx=True)
                pipe.zadd(kind.queue, {kind.id(store): int(due * 1000)}, nx=not now_due, lt=now_due)
            if now_due:
                pipe.zadd(PROBE.queue, {PROBE.id(store): int(now * 1000)}, xx=True, lt=True)
        await pipe.execute()


class PeriodicTask:
    """Keeps a chore going: trouble makes it wait, for ``every_s`` seconds at most, and nothing ends it."""

    def __init__(self, name: str, *, every_s: float) -> None:
        self._name = name
        self._every_s = every_s
        self._failures: Counter[str] = Counter()

    async def turn(self, store: str, do: Callable[[], Awaitable[float]]) -> NoReturn:
        """Do one turn, which tells in how many seconds the next is due; raises arq's Retry in any case."""
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                async with asyncio.timeout(TURN_AT_MOST_S):
                    pause = await do()
                self._failures.pop(store, None)
            except Exception as error:
                self._failures[store] += 1
                pause = self._pause_after(error, self._failures[store])
                self._tell(error, pause, self._failures[store])
        raise Retry(defer=pause)

    def _pause_after(self, error: Exception, failures: int) -> float:
        match error:
            case WaitUntil(seconds=seconds):
                return min(max(seconds, SHORTEST_WAIT_S), self._every_s)
            case CredentialsRefused() | Refused():
                return self._every_s  # only a person can mend it
            case _:
                return exponential_backoff(failures, longest_s=min(MAX_BACKOFF_S, self._every_s))

    def _tell(self, error: Exception, pause: float, failures: int) -> None:
        if not isinstance(error, (UpstreamError, *TRANSIENT_ERRORS)):
            log.error(Event.INTERNAL_ERROR, place=self._name, exc_info=error)
            return
        # What lasts is said once. Waiting for one's turn is no trouble at all.
        is_news = failures == 1 and not isinstance(error, WaitUntil)
        tell = log.warning if is_news else log.debug
        trouble = str(error) if isinstance(error, UpstreamError) else type(error).__name__
        tell(Event.PERIODIC_TASK_POSTPONED, task=self._name, trouble=trouble, retry_in_ms=round(pause * 1000))


class State(BaseModel):
    """What a chore remembers from one turn to the next, as JSON in Redis. Errors are Redis's own."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    async def read(cls, redis: Redis, key: str) -> Self | None:
        """What was written last; None when there is nothing, or nothing that this version understands."""
        raw = await redis.get(key)
        try:
            return None if raw is None else cls.model_validate_json(raw)
        except ValidationError:
            return None

    async def write(self, redis: Redis, key: str, *, if_new: bool = False) -> bool:
        """False when it was to be new and is there already."""
        return bool(await redis.set(key, self.model_dump_json(), nx=if_new))
