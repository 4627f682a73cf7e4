"""The watch over a store whose webhooks fail: its new orders are asked for every few seconds.

Whoever notices that webhooks fail starts it; the store's reconciling does the asking, and ends it.
"""

import time
from collections.abc import Callable

import structlog
from redis.asyncio import Redis

from service.logs import Event
from service.orders.create_window import LENGTH_S
from service.orders.state.jobs import RECONCILE
from service.orders.state.keys import polling_key, webhook_seen_key
from workers.periodic.task import State

log = structlog.get_logger()

# How long webhooks must have come again without fail.
QUIET_S = 60.0

# What BigCommerce's clock may be off by, as far as we know it: ``date_created`` has whole seconds.
DOUBT_S = 1.0


class PollingState(State):
    """A watch that is on. Times are seconds since the epoch, on our clock."""

    since: float
    reason: str
    untold_at: float
    """When it was last noticed that no webhook had told of an order."""
    asked_for: float | None = None
    """When an order was created that was found before a webhook told of it. One may still come."""

    def judged(self, now: float, webhook_at: float | None) -> "PollingState":
        """The same, once it can be said whether webhooks came for the order that was found first."""
        if self.asked_for is None or now - self.asked_for <= LENGTH_S:
            return self
        came = webhook_at is not None and webhook_at >= self.asked_for - DOUBT_S
        return self.model_copy(update={"asked_for": None, "untold_at": self.untold_at if came else now})

    def is_over(self, now: float, webhook_at: float | None) -> bool:
        """Webhooks come in time again, and have for a while."""
        came = webhook_at is not None and webhook_at > self.since
        return came and self.asked_for is None and now - self.untold_at >= QUIET_S


class PollingFallback:
    """Starts, keeps and ends them. Errors are Redis's own."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock

    async def get(self, store: str) -> PollingState | None:
        """The store's watch, or None when it is not being watched."""
        return await PollingState.read(self._redis, polling_key(store))

    async def start(self, store: str, reason: str) -> None:
        """Watch the store from now on, if it is not being watched."""
        now = self._clock()
        watch = PollingState(since=now, reason=reason, untold_at=now)
        if await watch.write(self._redis, polling_key(store), if_new=True):
            log.warning(Event.POLLING_STARTED, store=store, reason=reason)
        # The next look need not be waited for.
        await self._redis.zadd(RECONCILE.queue, {RECONCILE.id(store): int(now * 1000)}, xx=True, lt=True)

    async def keep(self, store: str, watch: PollingState) -> None:
        """Note how a watch stands."""
        await watch.write(self._redis, polling_key(store))

    async def end(self, store: str, watch: PollingState) -> None:
        """Stop watching the store."""
        await self._redis.delete(polling_key(store))
        log.info(Event.POLLING_ENDED, store=store, reason=watch.reason, lasted_s=round(self._clock() - watch.since))

    async def webhook_at(self, store: str) -> float | None:
        """When a webhook of the store was last received in time, on our clock."""
        seen = await self._redis.get(webhook_seen_key(store))
        return None if seen is None else int(seen) / 1000
