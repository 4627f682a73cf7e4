"""Orders that wait inside their window for values that an app writes after the order was placed.

An order that waits takes no worker slot: its window job is due again at the deadline, whatever dies until then. Two
things wake it sooner: the store's poll that finds a new metafield, and the metafield's own webhook.
"""

from collections.abc import Mapping
from contextlib import suppress

import structlog
from arq.constants import in_progress_key_prefix
from redis.asyncio import Redis

from service.logs import Event
from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import POLL_VALUES, WINDOW
from service.orders.state.keys import entry_key, late_key, late_misses_key, late_seen_key
from service.redis.errors import TRANSIENT_ERRORS

POLL_INTERVAL_S = 1.0
"""How often the metafields of a store's waiting orders are listed: one call for all of them."""

MAX_MISSES = 50
"""After so many waits in a row that brought nothing, the store's orders no longer wait."""

SAMPLE = 20
"""Then one order in so many still waits, to notice when values come late again."""

MAX_LISTED = 250

LONGEST_WAIT_MS = 8000
"""No order waits longer: its window would close. (``workers.orders.late_values``)"""

log = structlog.get_logger()


class LateOrders:
    """The waiting orders of all stores. Errors are Redis's own. Times are Redis's, unless a ``clock`` is given."""

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock

    async def is_worth_waiting(self, store: str, order_id: int) -> bool:
        """Whether the store's last waits brought anything, or this order is the sample that finds out."""
        try:
            return not await self.is_stopped(store) or order_id % SAMPLE == 0
        except TRANSIENT_ERRORS:
            return True

    async def is_stopped(self, store: str) -> bool:
        """Whether so many waits in a row found nothing that the store's orders, but for the sample, do not wait."""
        return int(await self._redis.get(late_misses_key(store)) or 0) >= MAX_MISSES

    async def note_outcome(self, store: str, *, brought_value: bool) -> None:
        """Count a wait that has ended. A count that Redis does not take now is not worth an order's window."""
        with suppress(*TRANSIENT_ERRORS):
            if brought_value:
                await self._redis.delete(late_misses_key(store))
            elif await self._redis.incr(late_misses_key(store)) == MAX_MISSES:
                log.warning(Event.LATE_VALUES_STOPPED, store=store, waits=MAX_MISSES)

    async def wait(self, store: str, order_id: int, *, seen: str) -> None:
        """Wake the order as soon as it has other metafields than its attempt has ``seen``."""
        await lua.await_values(
            self._redis,
            late=late_key(store),
            seen=late_seen_key(store),
            job=POLL_VALUES.key(store),
            queue=POLL_VALUES.queue,
            now_ms=script_time(self._clock),
            order_id=order_id,
            digest=seen,
            job_id=POLL_VALUES.id(store),
            body=POLL_VALUES.open_body(store),
            poll_ms=int(POLL_INTERVAL_S * 1000),
        )

    async def wake(self, store: str, order_id: int) -> bool:
        """Have the order attempted now; False where it does not wait."""
        woken = await lua.wake_order(
            self._redis,
            late=late_key(store),
            seen=late_seen_key(store),
            entry=entry_key(store, order_id),
            lease=in_progress_key_prefix + WINDOW.id(store, order_id),
            queue=WINDOW.queue,
            now_ms=script_time(self._clock),
            order_id=order_id,
            job_id=WINDOW.id(store, order_id),
        )
        return woken == 1

    async def waiting(self, store: str) -> Mapping[int, str]:
        """The orders that wait for metafields, each with what its attempt saw."""
        now_ms = script_time(self._clock)
        if now_ms is None:
            seconds, microseconds = await self._redis.time()
            now_ms = seconds * 1000 + microseconds // 1000
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(late_key(store), "-inf", now_ms - LONGEST_WAIT_MS)
            pipe.zrange(late_key(store), 0, MAX_LISTED - 1)
            pipe.hgetall(late_seen_key(store))
            _, orders, seen = await pipe.execute()
        return {int(order_id): seen.get(order_id, b"").decode() for order_id in orders}

    async def remove(self, store: str, order_id: int) -> None:
        """The order waits no longer: an attempt at it has begun."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrem(late_key(store), order_id)
            pipe.hdel(late_seen_key(store), str(order_id))
            await pipe.execute()
