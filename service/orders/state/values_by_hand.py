"""Writes the values that a person sets for one order, and has the order attempted with them."""

import json
import secrets
from collections.abc import Mapping

from arq.constants import in_progress_key_prefix
from redis.asyncio import Redis

from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import RECOVERY, WINDOW
from service.orders.state.keys import (
    awaiting_value_key,
    entry_key,
    held_key,
    index_key,
    parked_key,
    verify_key,
    waiting_key,
)
from service.orders.state.order_entry import Entry
from service.orders.state.requeue_fields import NEW_VALUES, START_OVER
from service.orders.state.set_values import BY_HAND, ByHand, SetValue
from service.orders.state.worklists.late_orders import LateOrders


class ValuesByHand:
    """The values by hand of all orders. Errors are Redis's own. Times are Redis's, unless a ``clock`` is given."""

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock
        self._late = LateOrders(redis, clock=clock)

    async def write(
        self,
        entry: Entry,
        values: Mapping[str, SetValue],
        *,
        replace: tuple[str, ...] = (),
        new_values: Mapping[str, object] | None = None,
    ) -> lua.SetByHandResult:
        """Make these the order's values by hand, and queue the order if it is not in progress.

        ``entry`` is the entry as just read: nothing is done where it has moved on ("changed"). ``new_values`` are the
        fields of its entry that an order gets which need not be read again. ``replace`` as in ``ByHand``.
        """
        store, order_id = entry.store, entry.order_id
        by_hand = ByHand(secrets.token_hex(8), values, replace)
        if new_values is None:
            fields: dict[str, object] = {**START_OVER}
        else:
            fields = {**NEW_VALUES, **new_values, "by_hand_used": by_hand.id}
        fields["source"] = BY_HAND
        result = await lua.set_by_hand(
            self._redis,
            entry=entry_key(store, order_id),
            window_job=WINDOW.key(store, order_id),
            recovery_job=RECOVERY.key(store, order_id),
            recovery_lease=in_progress_key_prefix + RECOVERY.id(store, order_id),
            recovery_queue=RECOVERY.queue,
            index=index_key(store),
            to_verify=verify_key(store),
            parked=parked_key(store),
            held=held_key(store),
            awaiting_status=waiting_key(store),
            awaiting_value=awaiting_value_key(store),
            now_ms=script_time(self._clock),
            seen_id=entry.by_hand.id if entry.by_hand else None,
            seen_status=entry.status.value,
            new_id=by_hand.id,
            by_hand=by_hand.to_json(),
            order_id=order_id,
            recovery_id=RECOVERY.id(store, order_id),
            recovery_body=RECOVERY.open_body(store, order_id),
            fields={name: json.dumps(value) for name, value in fields.items()},
        )
        if result == "in_progress":
            await self._late.wake(store, order_id, source=BY_HAND)  # it may wait for other values in its window
        return result
