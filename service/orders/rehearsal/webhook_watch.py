"""Which webhooks of test orders reach the service, and how long they take.

A new order's webhook leaves its entry in the ledger. Other events leave a trace only while a store is rehearsed: the
receiver looks for the rehearsal's key at most every two seconds, and only when such an event comes.
"""

import time
from collections.abc import Callable

from redis.asyncio import Redis

from service.orders.state.keys import rehearsal_key
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Stage
from service.orders.state.per_store.rehearsal_notes import event_field

EXPIRES_AFTER_S = 600
"""Longer than any rehearsal. A killed one leaves nothing behind."""

_SINCE = "since"


class WebhookWatch:
    """What a rehearsal asks. Errors are Redis's own."""

    def __init__(self, redis: Redis, store: str, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._store = store
        self._clock = clock

    async def open(self) -> None:
        """Let receivers note the events of the store's orders from now on."""
        key = rehearsal_key(self._store)
        await self._redis.delete(key)
        await self._redis.hset(key, _SINCE, str(self._clock()))  # type: ignore[misc]
        await self._redis.expire(key, EXPIRES_AFTER_S)

    async def close(self) -> None:
        """Let receivers note nothing more."""
        await self._redis.delete(rehearsal_key(self._store))

    async def received_at(self, order_id: int, scope: str) -> float | None:
        """When an event of an order was first received (Unix seconds); None if it was not."""
        at = await self._redis.hget(rehearsal_key(self._store), event_field(scope, order_id))  # type: ignore[misc]
        return None if at is None else float(at)

    async def new_order_age(self, order_id: int) -> float | None:
        """How old the order was when its first webhook was received, in seconds; None while it is not."""
        entry = await Ledger(self._redis).get(self._store, order_id)
        if entry is None or entry.source != "webhook" or Stage.WEBHOOK_SENT not in entry.times:
            return None
        return entry.age_at(Stage.RECEIVED)
