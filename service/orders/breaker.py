"""The breaker of a store: while BigCommerce refuses its credentials, its orders are parked and no calls are made."""

import time
from collections.abc import Callable
from itertools import chain

from redis.asyncio import Redis

from service.orders import lua
from service.orders.entry import Entry
from service.orders.jobs import PROBE, RECOVERY
from service.orders.keys import breaker_key, entry_key, parked_key

# The first probe; each further one waits twice as long, up to the longest.
FIRST_PROBE_S = 5.0
LONGEST_PROBE_S = 300.0


class Breaker:
    """Opens, parks, releases. Errors are Redis's own."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock
        self._park = lua.load(redis, "park")
        self._release = lua.load(redis, "release")

    async def is_open(self, store: str) -> bool:
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

    async def park(self, entry: Entry) -> bool:
        """Let the order wait for the credentials; False when the breaker is not open any more."""
        done = await self._park(
            keys=[entry_key(entry.store, entry.order_id), breaker_key(entry.store), parked_key(entry.store)],
            args=[entry.order_id, int(self._clock() * 1000), *chain.from_iterable(entry.to_hash().items())],
        )
        return bool(done)

    async def first_parked(self, store: str) -> int | None:
        """The order that has waited longest."""
        found = await self._redis.zrange(parked_key(store), 0, 0)
        return int(found[0]) if found else None

    async def unpark(self, entry: Entry) -> None:
        """The order needs no release: something has come of it."""
        await self._redis.zrem(parked_key(entry.store), entry.order_id)

    async def release(self, store: str) -> int:
        """Let all parked orders go to recovery and close the breaker; how many there were."""
        released = 0
        while True:
            order_id = await self.first_parked(store)
            now = self._clock()
            closed = await self._release(
                keys=[
                    breaker_key(store),
                    parked_key(store),
                    RECOVERY.key(store, order_id or 0),
                    RECOVERY.queue,
                ],
                args=[
                    "" if order_id is None else order_id,
                    RECOVERY.id(store, order_id or 0),
                    RECOVERY.body(store, order_id or 0, now=now),
                    int(now * 1000),
                ],
            )
            released += order_id is not None
            if closed:
                return released
