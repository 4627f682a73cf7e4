"""Orders that wait inside their window for values that an app writes after the order was placed.

An order that waits takes no worker slot: its window job is due again at the deadline, whatever dies until then. Two
things wake it sooner: the store's poll that finds a new metafield, and the metafield's own webhook.
"""

import json
from collections.abc import Mapping
from contextlib import suppress

import structlog
from arq.constants import in_progress_key_prefix
from redis.asyncio import Redis

from service.logs import Event
from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import POLL_VALUES, WINDOW
from service.orders.state.keys import entry_key, late_key, late_misses_key, late_seen_key, late_told_key, late_turns_key
from service.redis.errors import TRANSIENT_ERRORS

POLL_INTERVAL_S = 1.0
"""How often the metafields of a store's waiting orders are listed: one call for all of them."""

SLOW_POLL_INTERVAL_S = 3.0
"""The same where the metafields' webhooks have proven themselves: then the list only makes up for a lost one."""

PROVEN_AFTER = 3
"""So many late values in a row, each told of by its webhook before anything else found it, are proof."""

PROOF_EXPIRES_S = 86_400
"""Proof is about lately: without a late value for a day it is forgotten."""

METAFIELD, LIST = "metafield", "list"
"""What wakes an order that waits inside its window: the metafield's own webhook, or the poll."""

MAX_MISSES = 50
"""After so many waits in a row that brought nothing, the store's orders no longer wait."""

SAMPLE = 20
"""Then one order in so many still waits, to notice when values come late again."""

MAX_LISTED = 250

TURNS_EXPIRE_S = 60
"""A turn is forgotten after so long: far longer than any order waits."""

LONGEST_WAIT_MS = 8000
"""No order waits longer: its window would close. (``workers.orders.waiting.late_values``)"""

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

    async def note_outcome(self, store: str, *, brought_value: bool, woken_by: str | None) -> None:
        """Count a wait that has ended, and what ended it: None for the deadline.

        A count that Redis does not take now is not worth an order's window.
        """
        with suppress(*TRANSIENT_ERRORS):
            if brought_value:
                await self._redis.delete(late_misses_key(store))
                await self._note_source(store, woken_by)
            elif await self._redis.incr(late_misses_key(store)) == MAX_MISSES:
                log.warning(Event.LATE_VALUES_STOPPED, store=store, waits=MAX_MISSES)

    async def _note_source(self, store: str, woken_by: str | None) -> None:
        if woken_by == METAFIELD:
            await self._redis.incr(late_told_key(store))
            await self._redis.expire(late_told_key(store), PROOF_EXPIRES_S)
        else:
            await self._redis.delete(late_told_key(store))

    async def poll_interval_s(self, store: str) -> float:
        """How often the store's list is read: seldom where webhooks have lately told of each value first."""
        with suppress(*TRANSIENT_ERRORS):
            if int(await self._redis.get(late_told_key(store)) or 0) >= PROVEN_AFTER:
                return SLOW_POLL_INTERVAL_S
        return POLL_INTERVAL_S

    async def wait(self, store: str, order_id: int, *, seen: str) -> None:
        """Wake the order as soon as it has other metafields than its attempt has ``seen``."""
        await lua.await_values(
            self._redis,
            late=late_key(store),
            seen=late_seen_key(store),
            told=late_told_key(store),
            job=POLL_VALUES.key(store),
            queue=POLL_VALUES.queue,
            now_ms=script_time(self._clock),
            order_id=order_id,
            digest=seen,
            job_id=POLL_VALUES.id(store),
            body=POLL_VALUES.open_body(store),
            poll_ms=int(POLL_INTERVAL_S * 1000),
            told_ms=int(SLOW_POLL_INTERVAL_S * 1000),
            told_often=PROVEN_AFTER,
        )

    async def wake(self, store: str, order_id: int, *, source: str) -> bool:
        """Have the order attempted now; False where it does not wait. ``source``: METAFIELD or LIST."""
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
            source=json.dumps(source),
        )
        return woken == 1

    async def waiting(self, store: str) -> Mapping[int, str]:
        """The orders that wait for metafields, each with what its attempt saw."""
        now_ms = await self._now_ms()
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(late_key(store), "-inf", now_ms - LONGEST_WAIT_MS)
            pipe.zrange(late_key(store), 0, MAX_LISTED - 1)
            pipe.hgetall(late_seen_key(store))
            _, orders, seen = await pipe.execute()
        return {int(order_id): seen.get(order_id, b"").decode() for order_id in orders}

    async def take_turn(self, store: str, order_id: int, *, opened_at: float) -> int:
        """The order waits, and its window opened then (on BigCommerce's clock): it takes its turn among the others.

        Returns how many orders of the store wait.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            # Those of orders whose worker was killed are left.
            pipe.zremrangebyscore(late_turns_key(store), "-inf", round((opened_at - TURNS_EXPIRE_S) * 1000))
            pipe.zadd(late_turns_key(store), {str(order_id): round(opened_at * 1000)})
            pipe.expire(late_turns_key(store), TURNS_EXPIRE_S)
            pipe.zcard(late_turns_key(store))
            return int((await pipe.execute())[-1])

    async def turns(self, store: str, *, since: float) -> Mapping[int, float]:
        """When the windows of the waiting orders opened, of those not opened before ``since``."""
        found = await self._redis.zrangebyscore(late_turns_key(store), round(since * 1000), "+inf", withscores=True)
        return {int(order_id): opened_ms / 1000 for order_id, opened_ms in found}

    async def move_up(self, store: str, due_in: Mapping[int, float]) -> None:
        """Make the window jobs of these orders due in so many seconds, where they were due later."""
        if due_in:
            now_ms = await self._now_ms()
            due = {WINDOW.id(store, order_id): now_ms + round(max(0.0, s) * 1000) for order_id, s in due_in.items()}
            await self._redis.zadd(WINDOW.queue, due, xx=True, lt=True)

    async def _now_ms(self) -> int:
        now_ms = script_time(self._clock)
        if now_ms is not None:
            return now_ms
        seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def remove(self, store: str, order_id: int) -> None:
        """The order waits no longer: an attempt at it has begun."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrem(late_key(store), order_id)
            pipe.zrem(late_turns_key(store), order_id)
            pipe.hdel(late_seen_key(store), str(order_id))
            await pipe.execute()
