"""Orders that are held because nothing may be written for their store: they wait until that is over.

Their values are known and nothing was sent. They hold no job and no worker, and they do not expire.
``Transitions.hold`` holds an order.
"""

from collections.abc import Callable

from redis.asyncio import Redis

from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import RECOVERY
from service.orders.state.keys import entry_key, held_key, index_key, paused_key

BATCH = 500


class HeldOrders:
    """The held orders of all stores. Errors are Redis's own. Times are Redis's, unless a ``clock`` is given."""

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock

    async def count(self, store: str) -> int:
        """How many orders of the store are held."""
        return int(await self._redis.zcard(held_key(store)))

    async def release(self, store: str, on_progress: Callable[[int], None] = lambda _: None) -> int:
        """Move the store's held orders to recovery, those first that are held longest; returns how many there were.

        It stops when writing is paused again. ``on_progress`` gets how many there were so far, now and then. What an
        interruption leaves, the worker's next reconcile releases.
        """
        released = 0
        while members := await self._redis.zrange(held_key(store), 0, BATCH - 1):
            for order_id in map(int, members):
                if not await self._release(store, order_id):
                    return released
                released += 1
            on_progress(released)
        return released

    async def _release(self, store: str, order_id: int) -> bool:
        released = await lua.release_held(
            self._redis,
            entry=entry_key(store, order_id),
            paused=paused_key(store),
            held=held_key(store),
            recovery_job=RECOVERY.key(store, order_id),
            recovery_queue=RECOVERY.queue,
            index=index_key(store),
            now_ms=script_time(self._clock),
            order_id=order_id,
            recovery_id=RECOVERY.id(store, order_id),
            recovery_body=RECOVERY.open_body(store, order_id),
        )
        return released == 1
