"""The records that are to be looked at: each once to verify it, and once more later.

Of both a store has one sorted set, worked off many at once by one job for the store. Second looks can always wait,
and so they have a set and a job of their own: those that wait for quota stand before no first one.
"""

import time
from collections.abc import Callable

from redis.asyncio import Redis

from service import scripts
from service.orders.jobs import SECOND_LOOK
from service.orders.keys import checks_key, second_looks_key


class Checks:
    """Orders whose records are to be verified; ``places`` puts them here. Errors are Redis's own."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock

    async def due(self, store: str, *, most: int, ahead_s: float = 0.0) -> list[int]:
        """The orders that are due within ``ahead_s`` seconds, the first due first."""
        until = int((self._clock() + ahead_s) * 1000)
        found = await self._redis.zrangebyscore(self._key(store), min="-inf", max=until, start=0, num=most)
        return [int(order_id) for order_id in found]

    async def done(self, store: str, *order_ids: int) -> None:
        """These need no further look."""
        if order_ids:
            await self._redis.zrem(self._key(store), *order_ids)

    def _key(self, store: str) -> str:
        return checks_key(store)


class SecondLooks(Checks):
    """Orders that have ended, and whose records are to be looked at once more. Errors are Redis's own."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(redis, clock=clock)
        self._add = scripts.load(redis, "service.orders", "look_again")

    async def add(self, store: str, order_id: int, delay: float) -> None:
        """Have the record of an order that has ended looked at once more in ``delay`` seconds."""
        now = self._clock()
        await self._add(
            keys=[second_looks_key(store), SECOND_LOOK.key(store), SECOND_LOOK.queue],
            args=[order_id, int((now + delay) * 1000), SECOND_LOOK.id(store), SECOND_LOOK.body(store, now=now)],
        )

    def _key(self, store: str) -> str:
        return second_looks_key(store)
