"""Orders that have changed since they ended: later changes are carried to their records.

A webhook, or the list of modified orders, marks an order; the store's job reads all that are due. An order has one
mark, whatever comes, and is read at most once in five seconds: the last change counts. A mark outlives a worker that
is killed while it reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from redis.asyncio import Redis

from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import FOLLOW
from service.orders.state.keys import changed_key, changes_key, cursor_key, entry_key, entry_prefix

PAUSE_S = 5.0
"""Between two readings of an order for changes."""

LEASE_S = 30.0
"""A mark that a killed worker has taken is due again after so long."""


class Change(StrEnum):
    """What has changed, as told by a webhook; or missed, as told by a list that shows what no webhook told."""

    METAFIELD = "metafield"
    ORDER = "order_updated"
    STATUS = "status"
    RECORD = "record"
    MISSED_METAFIELD = "missed_metafield"
    MISSED_ORDER = "missed_order"

    @property
    def source(self) -> str:
        """The source, in the log and the ledger, of a write that comes of it."""
        return "reconcile" if self in (Change.MISSED_METAFIELD, Change.MISSED_ORDER) else self.value

    @property
    def roots(self) -> frozenset[str]:
        """The roots of the order document that it is about. The others count as last read."""
        return _ROOTS[self]


_ORDER_ROOTS = frozenset({"order", "products", "shipping_addresses"})
_METAFIELD_ROOTS = frozenset({"metafields"})
_ROOTS = {
    Change.METAFIELD: _METAFIELD_ROOTS,
    Change.ORDER: _ORDER_ROOTS,
    Change.STATUS: _ORDER_ROOTS,
    Change.RECORD: frozenset({"record"}),
    Change.MISSED_METAFIELD: _METAFIELD_ROOTS,
    Change.MISSED_ORDER: _ORDER_ROOTS,
}


@dataclass(frozen=True, slots=True)
class ChangedOrder:
    """An order to read again: when each kind of change was last told, by BigCommerce's clock (Unix seconds).

    ``lease`` identifies the reading.
    """

    order_id: int
    changes: Mapping[Change, float]
    lease: int


class ChangedOrders:
    """The changed orders of all stores. Errors are Redis's own. Times are Redis's, unless a ``clock`` is given."""

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock

    async def mark(
        self, store: str, order_id: int, change: Change, *, follow_s: float, changed_at: float | None = None
    ) -> Literal["marked", "old", "read", "unknown", "new"]:
        """Mark an order as changed; ``follow_s`` is up to which age its changes are followed.

        ``changed_at`` is on BigCommerce's clock, None for now.

        ``old`` is an order older than that, ``read`` one that was read after the change, ``unknown`` one without an
        entry, ``new`` one without an entry that the store's list has not shown yet.
        """
        return await lua.mark_changed(
            self._redis,
            entry=entry_key(store, order_id),
            changed=changed_key(store),
            changes=changes_key(store),
            cursor=cursor_key(store),
            job=FOLLOW.key(store),
            queue=FOLLOW.queue,
            now_ms=script_time(self._clock),
            order_id=order_id,
            change=change,
            changed_ms=None if changed_at is None else int(changed_at * 1000),
            follow_ms=int(follow_s * 1000),
            pause_ms=int(PAUSE_S * 1000),
            job_id=FOLLOW.id(store),
            body=FOLLOW.open_body(store),
            alike=[other.value for other in Change if other.roots == change.roots],
        )

    async def changed_at(self, store: str, order_id: int) -> float | None:
        """When the order itself last changed, as told since it was last read for a change, by BigCommerce's clock.

        None for not at all. An order that is not finished is read for changes when it is.
        """
        fields = [f"{order_id}:{change}" for change in Change if change is not Change.RECORD]
        told = await self._redis.hmget(changes_key(store), fields)  # type: ignore[misc]
        return max((int(at_ms) / 1000 for at_ms in told if at_ms is not None), default=None)

    async def take(self, store: str, *, most: int) -> list[ChangedOrder]:
        """Take up to ``most`` orders that are due, the first due first."""
        flat = await lua.take_changed(
            self._redis,
            changed=changed_key(store),
            changes=changes_key(store),
            now_ms=script_time(self._clock),
            lease_ms=int(LEASE_S * 1000),
            prefix=entry_prefix(store),
            most=most,
            names=_NAMES,
        )
        return [
            ChangedOrder(int(order_id), _changes(listed), int(lease))
            for order_id, listed, lease in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        ]

    async def finish(self, store: str, order: ChangedOrder, *, again_in: float | None = None) -> None:
        """The order was read; ``again_in`` seconds it is to be read again, if ever."""
        await lua.finish_changed(
            self._redis,
            changed=changed_key(store),
            changes=changes_key(store),
            now_ms=script_time(self._clock),
            order_id=order.order_id,
            lease=order.lease,
            again_ms=None if again_in is None else int(again_in * 1000),
            names=_NAMES,
        )

    async def stop(self, store: str, order_id: int) -> bool:
        """Note that the order's changes are no longer followed; False when that was noted before."""
        return bool(await self._redis.hsetnx(entry_key(store, order_id), "follow_stopped", "1"))  # type: ignore[misc]


_NAMES = tuple(change.value for change in Change)


def _changes(listed: str) -> dict[Change, float]:
    each = (pair.partition(":") for pair in listed.split(",") if pair)
    return {Change(name): int(at_ms) / 1000 for name, _, at_ms in each}
