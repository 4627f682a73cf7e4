"""The breaker of a store: while BigCommerce refuses its credentials, its orders are parked and no calls are made."""

import time
from collections.abc import Callable

from redis.asyncio import Redis

from service.orders.state import lua
from service.orders.state.jobs import PROBE, RECOVERY
from service.orders.state.keys import breaker_key, parked_key
from service.orders.state.transitions import FIRST_PROBE_S

# Each probe waits twice as long as the one before it, up to this.
LONGEST_PROBE_S = 300.0


class Breaker:
    """Opens and releases. Errors are Redis's own."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock

    async def is_open(self, store: str) -> bool:
        """Whether no calls should be made for the store."""
        return bool(await self._redis.exists(breaker_key(store)))

    async def open(self, store: str) -> bool:
        """Stop calling for the store and have its credentials probed; True for the first who says so."""
        now = self._clock()
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(breaker_key(store), f"{now:.3f}", nx=True)
            pipe.set(PROBE.key(store), PROBE.body(store, now=now), nx=True)
            pipe.zadd(PROBE.queue, {PROBE.id(store): (now + FIRST_PROBE_S) * 1000}, nx=True)
            first, _, _ = await pipe.execute()
        return bool(first)

    async def first_parked(self, store: str) -> int | None:
        """The order that has waited longest."""
        found = await self._redis.zrange(parked_key(store), 0, 0)
        return int(found[0]) if found else None

    async def release(self, store: str) -> int:
        """Let all parked orders go to recovery and close the breaker; how many there were."""
        released = 0
        while True:
            order_id = await self.first_parked(store)
            now = self._clock()
            closed = await lua.release_parked(
                self._redis,
                breaker=breaker_key(store),
                parked=parked_key(store),
                job=RECOVERY.key(store, order_id or 0),
                queue=RECOVERY.queue,
                order_id=order_id,
                job_id=RECOVERY.id(store, order_id or 0),
                body=RECOVERY.body(store, order_id or 0, now=now),
                due_ms=int(now * 1000),
            )
            released += order_id is not None
            if closed:
                return released
