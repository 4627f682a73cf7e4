"""Notes of a receiver on webhooks that leave no other trace, while `enrich rehearse` measures a store."""

import asyncio
import time
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.orders.state.keys import rehearsal_key

LOOK_EVERY_S = 2.0
"""How often a receiver asks whether a store is rehearsed, however many webhooks come."""

NOTE_TIMEOUT_S = 0.5


class RehearsalNotes:
    """What a receiver notes. It never raises, and never takes longer than half a second."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._looked: dict[str, tuple[float, bool]] = {}

    async def note(self, store: str, scope: str, order_id: int | None, received_at: float) -> None:
        """Note an event other than a new order or a status, if the store is being rehearsed."""
        now = self._clock()
        looked_at, is_rehearsed = self._looked.get(store, (None, False))
        if order_id is None or (looked_at is not None and now - looked_at < LOOK_EVERY_S and not is_rehearsed):
            return
        key = rehearsal_key(store)
        try:
            async with asyncio.timeout(NOTE_TIMEOUT_S):
                is_rehearsed = bool(await self._redis.exists(key))
                self._looked[store] = now, is_rehearsed
                if is_rehearsed:
                    await self._redis.hsetnx(key, event_field(scope, order_id), f"{received_at:.3f}")  # type: ignore[misc]
        except (RedisError, TimeoutError):
            self._looked[store] = now, False


def event_field(scope: str, order_id: int) -> str:
    """The field of a store's notes that says when such an event of an order was received first."""
    return f"{scope}:{order_id}"
