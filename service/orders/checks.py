"""The records that are to be looked at: each once to verify it, and once more later.

A store's checks are one sorted set, worked off many at once by one job for the store.
"""

import time
from collections.abc import Callable

from redis.asyncio import Redis

from service import scripts
from service.orders.jobs import CHECK
from service.orders.keys import checks_key


class Checks:
    """Errors are Redis's own."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock
        self._check = scripts.load(redis, "service.orders", "check")

    async def look_again(self, store: str, order_id: int, delay: float) -> None:
        """Have the record of an order that has ended looked at once more in ``delay`` seconds."""
        now = self._clock()
        await self._check(
            keys=[checks_key(store), CHECK.key(store), CHECK.queue],
            args=[order_id, int((now + delay) * 1000), CHECK.id(store), CHECK.body(store, now=now)],
        )

    async def due(self, store: str, *, ahead_s: float, most: int) -> dict[int, float]:
        """The orders that are due within ``ahead_s`` seconds, the first due first, and when (Unix seconds)."""
        until = int((self._clock() + ahead_s) * 1000)
        found = await self._redis.zrangebyscore(
            checks_key(store), min="-inf", max=until, start=0, num=most, withscores=True
        )
        return {int(order_id): due / 1000 for order_id, due in found}

    async def done(self, store: str, *order_ids: int) -> None:
        """These need no further look."""
        if order_ids:
            await self._redis.zrem(checks_key(store), *order_ids)
