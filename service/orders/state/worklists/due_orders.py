"""Orders whose next step is due at some time: verification, re-verification, or a request for their status.

For each of these a store has one sorted set, which one job of the store works off; ``transitions`` adds orders.
"""

from collections.abc import Callable

from redis.asyncio import Redis

from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time


class DueOrders:
    """One of these sets, for all stores; ``key`` returns a store's key. Errors are Redis's own.

    Times are Redis's, unless a ``clock`` is given.
    """

    def __init__(self, redis: Redis, key: Callable[[str], str], *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._key = key
        self._clock = clock

    async def due(self, store: str, *, most: int, ahead_s: float = 0.0) -> list[int]:
        """Up to ``most`` orders that are due within ``ahead_s`` seconds, the first due first."""
        found = await lua.due_orders(
            self._redis,
            orders=self._key(store),
            now_ms=script_time(self._clock),
            ahead_ms=int(ahead_s * 1000),
            most=most,
        )
        return [int(order_id) for order_id in found]

    async def done(self, store: str, *order_ids: int) -> None:
        """Remove orders from the set."""
        if order_ids:
            await self._redis.zrem(self._key(store), *order_ids)
