"""Orders whose next step is due at some time: verification, re-verification, or a request for their status.

For each of these a store has one sorted set, which one job of the store works off; ``transitions`` adds orders.
"""

import time
from collections.abc import Callable

from redis.asyncio import Redis


class DueOrders:
    """One of these sets, for all stores; ``key`` returns a store's key. Errors are Redis's own."""

    def __init__(self, redis: Redis, key: Callable[[str], str], *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._key = key
        self._clock = clock

    async def due(self, store: str, *, most: int, ahead_s: float = 0.0) -> list[int]:
        """Up to ``most`` orders that are due within ``ahead_s`` seconds, the first due first."""
        until = int((self._clock() + ahead_s) * 1000)
        found = await self._redis.zrangebyscore(self._key(store), min="-inf", max=until, start=0, num=most)
        return [int(order_id) for order_id in found]

    async def done(self, store: str, *order_ids: int) -> None:
        """Remove orders from the set."""
        if order_ids:
            await self._redis.zrem(self._key(store), *order_ids)
