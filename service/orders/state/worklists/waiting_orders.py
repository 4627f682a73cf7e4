"""Orders whose required rule has no value yet: they wait until something wakes them, or their next attempt is due.

They hold no job and no worker. ``Transitions.await_value`` lets an order wait; the store's job ``WAKE_WAITING`` wakes
those that are due, in case no webhook tells of the change.
"""

import json

from redis.asyncio import Redis

from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import RECOVERY, WINDOW
from service.orders.state.keys import awaiting_value_key, entry_key, index_key
from service.orders.state.worklists.due_orders import DueOrders

POLL = "poll"
"""What wakes an order that nobody told of: its next attempt is due. Such an attempt reads at the lowest priority."""


class WaitingOrders:
    """The waiting orders of all stores. Errors are Redis's own. Times are Redis's, unless a ``clock`` is given."""

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock
        self._due = DueOrders(redis, awaiting_value_key, clock=clock)

    async def wake(self, store: str, order_id: int, *, source: str) -> bool:
        """Queue the order, if it waits for a value; False where it does not. Harmless for any order.

        ``source`` says what told of the change, or is ``POLL``. If an attempt is about to let the order wait, it begins
        again instead.
        """
        woken = await lua.wake_waiting(
            self._redis,
            entry=entry_key(store, order_id),
            window_job=WINDOW.key(store, order_id),
            recovery_job=RECOVERY.key(store, order_id),
            window_queue=WINDOW.queue,
            recovery_queue=RECOVERY.queue,
            index=index_key(store),
            awaiting_value=awaiting_value_key(store),
            now_ms=script_time(self._clock),
            window_ms=int(WINDOW_LENGTH_S * 1000),
            window_id=WINDOW.id(store, order_id),
            recovery_id=RECOVERY.id(store, order_id),
            window_body=WINDOW.open_body(store, order_id),
            recovery_body=RECOVERY.open_body(store, order_id),
            order_id=order_id,
            source=json.dumps(source),
            is_news=source != POLL,
        )
        return woken == 1

    async def wake_due(self, store: str, *, most: int) -> int:
        """Wake up to ``most`` orders whose next attempt is due; returns how many were due."""
        due = await self._due.due(store, most=most)
        for order_id in due:
            await self.wake(store, order_id, source=POLL)
        return len(due)
