"""The jobs: entries into the life of an order, and what becomes of its verdict.

A job is never lost: it ends with the order's end or its hand-over to recovery, and whatever else happens puts it
back into its queue.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import structlog
from arq import Retry

from service.bigcommerce import Account, StoreApi
from service.logs import Event
from service.orders.cache import Cache
from service.orders.entry import Entry, Stage, Status
from service.orders.window import LENGTH_S
from service.rules import ConfiguredStore
from workers.life import Life
from workers.resources import Resources
from workers.telling import tell_end, tell_later
from workers.verdicts import Ended, Later, Parked

log = structlog.get_logger()

# Far more than a look can take; it only breaks what hangs against all expectation.
LOOK_AT_MOST_S = 60.0

# Trouble of the system's making is tried again for as long as BigCommerce itself would send a webhook again.
GIVE_UP_AFTER_S = 48 * 3600.0

LONGEST_PAUSE_S = 900.0


class Jobs:
    """The functions that the workers run; arq calls them with the arguments that stand in the job."""

    def __init__(self, resources: Resources, *, clock: Callable[[], float] = time.time) -> None:
        self._resources = resources
        self._clock = clock

    async def window(self, ctx: dict[str, Any], store: str, order_id: int) -> None:
        """Enrich an order whose window may still be open; what cannot be done inside it goes to recovery."""
        with structlog.contextvars.bound_contextvars(store=store, order_id=order_id):
            try:
                entry = await self._entry(store, order_id)
                if entry.status.is_final:
                    return
                # One that was picked up too late must not hold up those whose window is open.
                later = Later("picked up after the window", 0.0) if self._is_late(entry) else await self._look(entry)
                if later:
                    await self._resources.queue.hand_over(entry, self._pause(entry, later))
            except Exception as error:
                raise _put_back(ctx, error) from error

    async def recover(self, ctx: dict[str, Any], store: str, order_id: int) -> None:
        """Take up an order that was late, refused for a while or not yet verified, until it has ended."""
        with structlog.contextvars.bound_contextvars(store=store, order_id=order_id):
            try:
                entry = await self._entry(store, order_id)
                if entry.status.is_final:
                    return
                later = await self._look(entry)
                if later:
                    pause = self._pause(entry, later)
                    await self._resources.ledger.note(entry)
            except Exception as error:
                raise _put_back(ctx, error) from error
            if later:
                raise Retry(defer=pause)

    async def _entry(self, store: str, order_id: int) -> Entry:
        entry = await self._resources.ledger.get(store, order_id) or Entry(store, order_id)
        if entry.webhook_id:
            structlog.contextvars.bind_contextvars(webhook_id=entry.webhook_id)
        return entry

    async def _look(self, entry: Entry) -> Later | None:
        """Look at the order and record its end; Later when it has not ended."""
        configured = self._resources.configuration.stores.get(entry.store)
        if configured is None:
            return Later("the store is not in the stores file", 60.0)
        entry.attempts += 1
        entry.times.setdefault(Stage.PICKED_UP, self._clock())
        while True:
            async with asyncio.timeout(LOOK_AT_MOST_S):
                verdict = await self._life(entry, configured).run()
            if not isinstance(verdict, Parked):
                break
            if await self._resources.ledger.park(entry):
                log.info(Event.ORDER_WAITING)
                return None
            # Its status changed in this very moment: look again.
            entry.status = Status.QUEUED
        verdict = self._give_up(entry, verdict)
        if isinstance(verdict, Later):
            entry.trouble = verdict.trouble
            return verdict
        await self._end(entry, verdict)
        return None

    def _life(self, entry: Entry, configured: ConfiguredStore) -> Life:
        resources, store = self._resources, configured.store
        return Life(
            entry,
            configured,
            StoreApi(resources.transport, Account(store.hash, store.access_tokens)),
            resources.ledger,
            Cache(resources.redis, store.hash, clock=self._clock),
            resources.transport.upstream_clock,
            clock=self._clock,
        )

    async def _end(self, entry: Entry, ended: Ended) -> None:
        entry.status, entry.reason, entry.verified = ended.status, ended.reason, ended.verified
        await self._resources.ledger.end(entry)
        tell_end(entry)

    def _give_up(self, entry: Entry, verdict: Ended | Later) -> Ended | Later:
        if isinstance(verdict, Ended) or entry.recovering_since is None:
            return verdict
        if self._clock() - entry.recovering_since < GIVE_UP_AFTER_S:
            return verdict
        return Ended(Status.FAILED, verdict.trouble)

    def _pause(self, entry: Entry, later: Later) -> float:
        """Seconds until the next look; notes since when the order is being recovered."""
        if entry.recovering_since is None:
            entry.recovering_since = self._clock()
        pause = _growing(entry.attempts) if later.seconds is None else later.seconds
        tell_later(entry, later, pause)
        return pause

    def _is_late(self, entry: Entry) -> bool:
        told_at = entry.times.get(Stage.CREATED) or entry.times.get(Stage.WEBHOOK_SENT)
        return told_at is not None and self._resources.transport.upstream_clock.now() - told_at > LENGTH_S


def _put_back(ctx: dict[str, Any], error: Exception) -> Retry:
    """What was not foreseen, a lost Redis included: the job stays, and is run again after a growing pause."""
    log.error(Event.ORDER_CRASHED, error=type(error).__name__, exc_info=error)
    return Retry(defer=_growing(ctx["job_try"]))


def _growing(tries: int) -> float:
    """Seconds to wait after so many tries: doubling, jittered, never more than a quarter of an hour."""
    return min(LONGEST_PAUSE_S, 2.0 ** min(tries, 20)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter only
