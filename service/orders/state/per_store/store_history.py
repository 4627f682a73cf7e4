"""What a store's orders have shown lately, which says something about the next one.

All of it only helps to decide how long to wait, or whether one more call is worth it. So an error of Redis is never
raised: the answer is then that nothing is known.
"""

import json
import time
from contextlib import suppress

from redis.asyncio import Redis

from service.orders.state.keys import order_date_key, order_type_misses_key, record_seen_key
from service.redis.errors import TRANSIENT_ERRORS

MAX_TYPE_MISSES = 200
"""After so many orders in a row without an ``orderType`` metafield, the store's orders are not waited for."""

SAMPLE = 20
"""Then one order in so many still is, to notice when the metafields come again."""

NOTE_DATE_EVERY_S = 1.0
"""In a burst, the orders of one second have the same date, and one note of it is enough."""

_NEWEST = "order"


class StoreHistory:
    """The history of all stores. Times are Unix seconds on BigCommerce's clock."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._date_noted_at: dict[str, float] = {}

    async def note_date(self, store: str, order_id: int, created_at: float) -> None:
        """Note the ``date_created`` of an order that was just made: its webhook must confirm it."""
        now = time.monotonic()
        if now - self._date_noted_at.get(store, -NOTE_DATE_EVERY_S) < NOTE_DATE_EVERY_S:
            return
        self._date_noted_at[store] = now
        with suppress(*TRANSIENT_ERRORS):
            await self._redis.set(order_date_key(store), json.dumps([order_id, created_at]))

    async def date_before(self, store: str, order_id: int) -> float | None:
        """The date of the order that was noted last; None if it does not have a smaller id."""
        with suppress(*TRANSIENT_ERRORS):
            noted_id, created_at = json.loads(await self._redis.get(order_date_key(store)) or "[0, null]")
            return created_at if noted_id < order_id else None
        return None

    async def note_record(self, store: str, order_id: int) -> None:
        """Note that B2B Edition has shown the record of an order, whoever made it."""
        with suppress(*TRANSIENT_ERRORS):
            await self._redis.zadd(record_seen_key(store), {_NEWEST: order_id}, gt=True)

    async def has_later_record(self, store: str, order_id: int) -> bool:
        """Whether the record of a later order was seen."""
        with suppress(*TRANSIENT_ERRORS):
            highest = await self._redis.zscore(record_seen_key(store), _NEWEST)
            return highest is not None and highest > order_id
        return False

    async def is_order_type_expected(self, store: str, order_id: int) -> bool:
        """Whether the store's orders have shown ``orderType`` metafields, or this one is the sample that finds out."""
        with suppress(*TRANSIENT_ERRORS):
            misses = int(await self._redis.get(order_type_misses_key(store)) or 0)
            return misses < MAX_TYPE_MISSES or order_id % SAMPLE == 0
        return True

    async def note_order_type(self, store: str, *, is_shown: bool) -> None:
        """Count an order that was waited for in vain, or forget the count: one has shown its metafield."""
        with suppress(*TRANSIENT_ERRORS):
            if is_shown:
                await self._redis.delete(order_type_misses_key(store))
            else:
                await self._redis.incr(order_type_misses_key(store))
