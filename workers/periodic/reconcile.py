"""Reconciling: the orders that no webhook told of are found in the store's list of orders, and queued.

The list is read from a cursor on, with an overlap, since an order may show up in it some time after its creation.
Orders that wait for their status are looked at again from time to time, lest the webhook of its change got lost.
Where webhooks fail altogether, the store is watched: asked for its newest orders every few seconds.
"""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import structlog

from service.bigcommerce import Account, Priority, StoreApi
from service.bigcommerce.core import PER_PAGE
from service.bigcommerce.models import to_int
from service.hooks import has_delivery_problem
from service.logs import Event
from service.orders.create_window import LENGTH_S, Window
from service.orders.state.entry import Status
from service.orders.state.jobs import RECONCILE
from service.orders.state.keys import cursor_key
from service.orders.state.queue import EnqueueResult
from service.stores import Store
from workers.periodic.polling import PollingFallback, PollingState
from workers.periodic.task import PeriodicTask, State
from workers.resources import Resources

log = structlog.get_logger()

# An order may become visible so long after its creation and is still found.
OVERLAP_S = 300.0
# The watch has no time for the whole overlap; orders that are placed together may show up in another order, though.
LATE_IDS = 10

# Stores that began together do not go on together, with all their lists in memory at the same moment: each turn comes
# up to so much, as a share, before it is due.
SPREAD = 0.2

# One turn reads so many pages; the next goes on from there.
MOST_PAGES = 10
# So many orders a turn whose status may have changed with no webhook telling.
MOST_WAITING = 20
# 250 orders take a while.
PAGE_TIMEOUT_S = 15.0


class Cursor(State):
    """How far a store's orders are known. Times are seconds since the epoch, on BigCommerce's clock."""

    since: float | None = None
    """When the store was reconciled for the first time."""
    time: float
    """What was created before is queued."""
    highest_id: int = 0
    began: float | None = None
    """When the reading of several pages began that has not come to the last one."""
    reached: int = 0
    """The id that it has reached."""

    @property
    def created_from(self) -> datetime:
        return datetime.fromtimestamp(math.floor(self.time - OVERLAP_S), UTC)


@dataclass(frozen=True, slots=True)
class Found:
    """An order in the list; ``created_at`` is on BigCommerce's clock, None when it cannot be read."""

    id: int
    created_at: float | None


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page of the list; ``is_full`` when there may be more. Of the orders only what is needed stays in memory."""

    orders: list[Found]
    is_full: bool

    @classmethod
    def of(cls, documents: Sequence[dict[str, Any]]) -> Self:
        numbered = ((to_int(document.get("id")), document) for document in documents)
        orders = [Found(order_id, _created_at(document)) for order_id, document in numbered if order_id]
        return cls(orders, is_full=len(documents) >= PER_PAGE)


@dataclass(slots=True)
class _Turn:
    """One turn for one store: what it works with, and what it found."""

    store: str
    api: StoreApi
    cursor: Cursor
    newest: float | None = None
    """When the newest order was created that had to be queued."""
    untold: bool = False
    """Whether there was one that a webhook should have told of."""


class Reconciler:
    """The job that finds a store's orders. ``every_s`` is how often, ``watch_every_s`` while webhooks fail."""

    def __init__(
        self,
        resources: Resources,
        *,
        every_s: float = 60.0,
        watch_every_s: float = 3.0,
        spread: float = SPREAD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._resources = resources
        self._every_s = every_s
        self._watch_every_s = watch_every_s
        self._spread = spread
        self._clock = clock
        self._task = PeriodicTask(RECONCILE.function, every_s=every_s)
        self._watches = PollingFallback(resources.redis, clock=clock)

    async def reconcile(self, _: dict[str, Any], store: str) -> None:
        """Queue the orders that no webhook told of; raises Retry until the store is gone from the stores file."""
        configured = self._resources.configuration.stores.get(store)
        if configured is not None:
            await self._task.turn(store, lambda: self._turn(configured.store))

    async def _turn(self, store: Store) -> float:
        """One turn; in how many seconds the next is due."""
        if await self._resources.breaker.is_open(store.hash):
            return self._every_s
        began = self._clock()
        watch = await self._watches.get(store.hash)
        api = StoreApi(
            self._resources.transport,
            Account(store.hash, store.access_tokens),
            priority=Priority.VERIFY if watch else Priority.BACKGROUND,
        )
        turn = _Turn(store.hash, api, await self._cursor(store.hash))
        if watch and not self._is_due(turn.cursor):
            more = await self._look(turn)
        else:
            more = await self._walk(turn)
            await self._ask_waiting(store.hash)
        await self._see_to_watch(turn, watch)
        if more:
            return 0.0
        # It may have been started meanwhile.
        every_s = self._watch_every_s if await self._watches.get(store.hash) else self._every_s
        every_s *= 1.0 - random.uniform(0.0, self._spread)  # noqa: S311 - jitter, not a secret
        return max(0.0, began + every_s - self._clock())

    async def _cursor(self, store: str) -> Cursor:
        """Where to begin: for a store that is new, now. That stays so, even if its first turn fails."""
        redis, key = self._resources.redis, cursor_key(store)
        cursor = await Cursor.read(redis, key)
        if cursor is None:
            cursor = Cursor(time=self._resources.transport.upstream_clock.now())
            await cursor.write(redis, key)
        return cursor

    def _is_due(self, cursor: Cursor) -> bool:
        """Whether all is to be read again, though the newest orders are being watched for."""
        now = self._resources.transport.upstream_clock.now()
        return cursor.began is not None or now - cursor.time >= self._every_s

    async def _walk(self, turn: _Turn) -> bool:
        """Read the list from the cursor on, page by page; whether there is more of it."""
        turn.api.timeout_s = PAGE_TIMEOUT_S
        for _ in range(MOST_PAGES):
            cursor = turn.cursor
            asked_at = self._clock()
            # Whether min_id is part of what it asks for is not documented: one order is read twice.
            page = await self._page(turn, min_id=cursor.reached)
            # What the answer taught of BigCommerce's clock holds for the question, too.
            began = cursor.began or asked_at + self._resources.transport.upstream_clock.skew
            reached = await self._queue(turn, page)
            more = page.is_full and reached > cursor.reached
            progress = {"began": began, "reached": reached} if more else {"began": None, "reached": 0, "time": began}
            await self._move(turn, since=cursor.since or began, **progress)
            if not more:
                return False
        return True

    async def _look(self, turn: _Turn) -> bool:
        """Read the newest orders only; whether there are more of them."""
        page = await self._page(turn, min_id=max(0, turn.cursor.highest_id - LATE_IDS))
        before = turn.cursor.highest_id
        await self._queue(turn, page)
        await self._move(turn)
        return page.is_full and turn.cursor.highest_id > before

    async def _page(self, turn: _Turn, *, min_id: int) -> FoundPage:
        created_from = turn.cursor.created_from
        return FoundPage.of(await turn.api.core.orders(min_date_created=created_from, min_id=min_id or None))

    async def _queue(self, turn: _Turn, page: FoundPage) -> int:
        """Queue the orders of a page that are not known, or whose job may be lost; returns the highest id."""
        statuses = await self._resources.ledger.statuses(turn.store, [order.id for order in page.orders])
        queued = []
        for order in page.orders:
            status = statuses.get(order.id)
            if status not in (None, Status.QUEUED):
                continue
            accepted = await self._resources.queue.enqueue(
                turn.store, order.id, source="reconcile", created_at=order.created_at
            )
            if accepted is EnqueueResult.QUEUED:
                queued.append(order)
                if status is None:
                    self._note(turn, order)
        if queued:
            log.info(Event.ORDERS_FOUND, orders=len(queued), first=queued[0].id, last=queued[-1].id)
        highest = max((order.id for order in page.orders), default=0)
        turn.cursor = turn.cursor.model_copy(update={"highest_id": max(turn.cursor.highest_id, highest)})
        return highest

    async def _ask_waiting(self, store: str) -> None:
        """Have orders looked at again that have long been waiting for their status to change."""
        for order_id in await self._resources.awaiting_status.due(store, most=MOST_WAITING):
            if await self._resources.queue.enqueue_status_check(store, order_id) is not EnqueueResult.QUEUED:
                await self._resources.awaiting_status.done(store, order_id)  # it does not wait any more

    def _note(self, turn: _Turn, order: Found) -> None:
        """What an order that nobody knew of says about webhooks."""
        if order.created_at is None:
            return
        turn.newest = max(turn.newest or 0.0, order.created_at)
        age = self._resources.transport.upstream_clock.now() - order.created_at
        since = turn.cursor.since
        turn.untold |= age > LENGTH_S and since is not None and order.created_at > since

    async def _move(self, turn: _Turn, **changes: Any) -> None:
        """Keep the cursor: all that was found is queued."""
        turn.cursor = turn.cursor.model_copy(update=changes)
        await turn.cursor.write(self._resources.redis, cursor_key(turn.store))

    async def _see_to_watch(self, turn: _Turn, watch: PollingState | None) -> None:
        if watch is None:
            if turn.untold:
                await self._watches.start(turn.store, "no webhook told of an order")
            return
        now, webhook_at = self._clock(), await self._watches.webhook_at(turn.store)
        watch = watch.judged(now, webhook_at)
        if turn.untold:
            watch = watch.model_copy(update={"untold_at": now})
        if watch.is_over(now, webhook_at) and not await has_delivery_problem(self._resources.redis, turn.store):
            await self._watches.end(turn.store, watch)
            return
        if turn.newest is not None and watch.asked_for is None:
            asked_for = turn.newest - self._resources.transport.upstream_clock.skew
            watch = watch.model_copy(update={"asked_for": asked_for})
        await self._watches.keep(turn.store, watch)


def _created_at(document: dict[str, Any]) -> float | None:
    try:
        return Window.of_order(document["date_created"]).opened_at
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
