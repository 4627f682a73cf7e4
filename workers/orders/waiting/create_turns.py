"""Until when an order may wait for late values, so that each waiting order of its store still gets its Create.

Two things make an order's last moment earlier than three seconds before its window closes: Creates go out one after
the other, and the quota of a store is given out in windows of its own. What is left of the present one is lost when the
next one begins. So where more orders wait than the next one has calls, the first to close use up the present one.
"""

from collections.abc import Mapping
from contextlib import suppress

from service.bigcommerce import Api, BudgetState, Transport
from service.orders.create_window import WINDOW_LENGTH_S, Window
from service.orders.state.worklists.late_orders import LateOrders
from service.redis.client import TRANSIENT_ERRORS

CREATE_NEEDS_S = 3.0
"""The Create and its retries need so much of the window: nothing waits beyond that."""

CREATES_PER_S = 50.0
"""So fast waiting orders go out: an eighth of what a worker does in a burst. (benchmarks, `worker`)"""

CROWD = 100
"""Up to so many waiting orders, each that joins moves the others. Beyond, that would cost more than it is worth."""

BEFORE_RESET_S = 0.5
"""What must still come out of the present quota is sent so long before it ends: the reset is known that well."""


def last_moments(windows: Mapping[int, Window], quota: BudgetState | None, *, now: float) -> dict[int, float]:
    """The last safe moment of each waiting order's Create; like ``now``, on BigCommerce's clock.

    Going backwards from the last order to close: each takes the latest moment that is three seconds before the end of
    its window, 20 ms before the next order's moment, and not after the quota's reset when the orders behind it use up
    all calls that the reset gives. So the moments have the order in which the windows close, and none could be later. A
    moment that has passed means: at once.
    """
    resets_at = now + quota.resets_in_s if quota else None
    left_after_reset = quota.limit if quota else 0
    moments: dict[int, float] = {}
    moment = float("inf")
    for order_id, window in sorted(windows.items(), key=lambda item: (item[1].closes_at, item[0]), reverse=True):
        moment = min(window.closes_at - CREATE_NEEDS_S, moment - 1 / CREATES_PER_S)
        if resets_at is not None and moment >= resets_at:
            if left_after_reset > 0:
                left_after_reset -= 1
            else:
                moment = resets_at - BEFORE_RESET_S
        moments[order_id] = moment
    return moments


class CreateTurns:
    """The last moments of a store's waiting orders, as they are now."""

    def __init__(self, late: LateOrders, transport: Transport, store: str, late_values_s: float) -> None:
        self._late = late
        self._transport = transport
        self._store = store
        self._late_values_s = late_values_s

    async def last_moment(self, order_id: int, window: Window) -> float:
        """Until when this order may wait, on BigCommerce's clock."""
        # Only orders that close later than this one have a say.
        return (await self._last_moments({order_id: window}, since=window.opened_at))[order_id]

    async def join(self, order_id: int, window: Window) -> None:
        """The order waits from now on: others may have to go earlier for it.

        In a large crowd the store's poll moves them, once for all orders that have joined.
        """
        with suppress(*TRANSIENT_ERRORS):
            if await self._late.take_turn(self._store, order_id, opened_at=window.opened_at) <= CROWD:
                await self.move_up()

    async def move_up(self) -> None:
        """Make the jobs of waiting orders due earlier, where their last moment has become earlier."""
        now = self._transport.upstream_clock.now()
        moments = await self._last_moments({}, since=now - WINDOW_LENGTH_S)
        with suppress(*TRANSIENT_ERRORS):
            await self._late.move_up(self._store, {order_id: moment - now for order_id, moment in moments.items()})

    async def _last_moments(self, windows: Mapping[int, Window], *, since: float) -> dict[int, float]:
        """Of these orders, and of those that wait and were placed since then. Without Redis, only of these."""
        now = self._transport.upstream_clock.now()
        waiting, quota = dict(windows), None
        with suppress(*TRANSIENT_ERRORS):
            opened = await self._late.turns(self._store, since=max(since, now - WINDOW_LENGTH_S))
            quota = await self._transport.quota_left(self._store, Api.B2B)
            waiting = {order_id: Window(at) for order_id, at in opened.items()} | waiting
        return {
            order_id: min(moment, waiting[order_id].opened_at + self._late_values_s)
            for order_id, moment in last_moments(waiting, quota, now=now).items()
        }
