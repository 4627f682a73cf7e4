"""The polling fallback: while a store's webhooks fail, its newest orders are polled every few seconds.

Reconciling and the hook monitor start it when they notice missing webhooks. Reconciling does the polling, and ends it
once webhooks arrive again.
"""

import time
from collections.abc import Callable

import structlog
from pydantic import Field
from redis.asyncio import Redis

from service.hooks import has_delivery_problem
from service.logs import Event
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.job_kinds import RECONCILE
from service.orders.state.keys import polling_key, webhook_seen_key
from workers.periodic.periodic_task import State

log = structlog.get_logger()

# Polling ends when for so long no webhook was missed.
QUIET_S = 60.0

# How far BigCommerce's clock may be off, as we know it: ``date_created`` has whole seconds.
CLOCK_TOLERANCE_S = 1.0


class PollingState(State):
    """The state of a store's polling. Times are seconds since the epoch, on our clock. Aliases are the stored names."""

    since: float
    reason: str
    missed_webhook_at: float = Field(validation_alias="untold_at", serialization_alias="untold_at")
    """When a missing webhook was last noticed."""
    awaited_order_at: float | None = Field(default=None, validation_alias="asked_for", serialization_alias="asked_for")
    """When an order was created that polling found before its webhook. The webhook may still arrive."""

    def after_window(self, now: float, webhook_at: float | None) -> "PollingState":
        """The state once the awaited order's window has passed: its webhook arrived, or it was missed."""
        if self.awaited_order_at is None or now - self.awaited_order_at <= WINDOW_LENGTH_S:
            return self
        arrived = webhook_at is not None and webhook_at >= self.awaited_order_at - CLOCK_TOLERANCE_S
        missed_at = self.missed_webhook_at if arrived else now
        return self.model_copy(update={"awaited_order_at": None, "missed_webhook_at": missed_at})

    def is_over(self, now: float, webhook_at: float | None) -> bool:
        """Whether webhooks arrive in time again, and have for ``QUIET_S``."""
        arrived = webhook_at is not None and webhook_at > self.since
        return arrived and self.awaited_order_at is None and now - self.missed_webhook_at >= QUIET_S


class PollingFallback:
    """Starts, updates and ends the polling of stores. Methods raise Redis's errors."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock

    async def get(self, store: str) -> PollingState | None:
        """The state of the store's polling; None if the store is not polled."""
        return await PollingState.read(self._redis, polling_key(store))

    async def start(self, store: str, reason: str) -> None:
        """Start polling the store, unless it is polled already."""
        now = self._clock()
        polling = PollingState(since=now, reason=reason, missed_webhook_at=now)
        if await polling.write(self._redis, polling_key(store), if_new=True):
            log.warning(Event.POLLING_STARTED, store=store, reason=reason)
        # Make the next run of reconciling due now.
        await self._redis.zadd(RECONCILE.queue, {RECONCILE.id(store): int(now * 1000)}, xx=True, lt=True)

    async def update(
        self, store: str, polling: PollingState, *, missed_webhook: bool, found_order_at: float | None
    ) -> None:
        """Store the state after a run of reconciling, or end the polling.

        ``found_order_at`` is when the newest order was created (on our clock) that was found before its webhook.
        """
        now, webhook_at = self._clock(), await self.webhook_at(store)
        polling = polling.after_window(now, webhook_at)
        if missed_webhook:
            polling = polling.model_copy(update={"missed_webhook_at": now})
        if polling.is_over(now, webhook_at) and not await has_delivery_problem(self._redis, store):
            await self._end(store, polling)
            return
        if found_order_at is not None and polling.awaited_order_at is None:
            polling = polling.model_copy(update={"awaited_order_at": found_order_at})
        await polling.write(self._redis, polling_key(store))

    async def webhook_at(self, store: str) -> float | None:
        """When a webhook of the store last arrived in time, on our clock."""
        seen = await self._redis.get(webhook_seen_key(store))
        return None if seen is None else int(seen) / 1000

    async def _end(self, store: str, polling: PollingState) -> None:
        await self._redis.delete(polling_key(store))
        lasted_s = round(self._clock() - polling.since)
        log.info(Event.POLLING_ENDED, store=store, reason=polling.reason, lasted_s=lasted_s)
