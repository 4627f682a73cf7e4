"""Reconciling: finds the orders whose webhook was lost in the store's list of orders, and queues them.

The list is read from a cursor, with an overlap, because an order may appear in it some time after its creation.
Orders that wait for their status are checked now and then, in case the webhook of the change was lost.
Where webhooks fail altogether, the newest orders are polled every few seconds (``polling.py``).
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from service.bigcommerce import Account, Priority, StoreApi
from service.logs import Event
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.entry import Status
from service.orders.state.jobs import RECONCILE
from service.orders.state.keys import cursor_key
from service.orders.state.queue import EnqueueResult
from service.stores import Store
from workers.periodic.cursor import Cursor, ListedOrder, OrderPage
from workers.periodic.polling import PollingFallback, PollingState
from workers.periodic.task import PeriodicTask
from workers.resources import Resources

log = structlog.get_logger()

# Polling skips the overlap. It reads so many ids back, because orders placed together may appear in another sequence.
POLLING_OVERLAP_IDS = 10

# A run may start earlier than it is due by up to this share of the interval. So stores that started together do not
# keep their lists in memory at the same time.
SPREAD = 0.2

# The pages that one run reads; the next run continues from there.
MAX_PAGES = 10
# The orders waiting for their status that one run checks.
MAX_STATUS_CHECKS = 20
# A page has 250 orders, so it may take longer than other calls.
PAGE_TIMEOUT_S = 15.0


@dataclass(slots=True)
class _Run:
    """One run for one store: what it works with, and what it found."""

    store: str
    api: StoreApi
    cursor: Cursor
    newest_at: float | None = None
    """When the newest order was created that had to be queued."""
    missed_webhook: bool = False
    """Whether the webhook of any of them should have arrived before."""


class Reconciler(PeriodicTask):
    """The periodic task that finds a store's orders: every ``every_s``, or ``polling_every_s`` while webhooks fail."""

    name = RECONCILE.function

    def __init__(
        self,
        resources: Resources,
        *,
        every_s: float = 60.0,
        polling_every_s: float = 3.0,
        spread: float = SPREAD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(resources, every_s=every_s, clock=clock)
        self._polling_every_s = polling_every_s
        self._spread = spread
        self._polling = PollingFallback(resources.redis, clock=clock)

    async def run_once(self, store: Store) -> float:
        """Queue the orders whose webhook was lost; returns in how many seconds the next run is due."""
        began = self._clock()
        polling = await self._polling.get(store.hash)
        api = StoreApi(
            self._resources.transport,
            Account(store.hash, store.access_tokens),
            priority=Priority.VERIFY if polling else Priority.BACKGROUND,
        )
        run = _Run(store.hash, api, await self._read_cursor(store.hash))
        if polling and not self._is_list_due(run.cursor):
            has_more = await self._read_newest(run)
        else:
            has_more = await self._read_list(run)
            await self._check_statuses(store.hash)
        await self._update_polling(run, polling)
        if has_more:
            return 0.0
        # Polling may have started in the meantime.
        every_s = self._polling_every_s if await self._polling.get(store.hash) else self._every_s
        every_s *= 1.0 - random.uniform(0.0, self._spread)  # noqa: S311 - jitter, not a secret
        return max(0.0, began + every_s - self._clock())

    async def _read_cursor(self, store: str) -> Cursor:
        """The store's cursor. A new store starts now, also if its first run fails."""
        redis, key = self._resources.redis, cursor_key(store)
        cursor = await Cursor.read(redis, key)
        if cursor is None:
            cursor = Cursor(time=self._resources.transport.upstream_clock.now())
            await cursor.write(redis, key)
        return cursor

    def _is_list_due(self, cursor: Cursor) -> bool:
        """Whether the whole list is due to be read, although the newest orders are polled."""
        now = self._resources.transport.upstream_clock.now()
        return cursor.began is not None or now - cursor.time >= self._every_s

    async def _read_list(self, run: _Run) -> bool:
        """Read the list page by page from the cursor; returns whether there is more of it."""
        run.api.timeout_s = PAGE_TIMEOUT_S
        for _ in range(MAX_PAGES):
            cursor = run.cursor
            asked_at = self._clock()
            # It is not documented whether min_id includes that id: one order may be read twice.
            page = await self._read_page(run, min_id=cursor.reached)
            # The skew is taken after the answer, because the first answer is what makes it known.
            began = cursor.began or self._resources.transport.upstream_clock.now() - (self._clock() - asked_at)
            reached = await self._queue_missing(run, page)
            has_more = page.is_full and reached > cursor.reached
            progress = (
                {"began": began, "reached": reached} if has_more else {"began": None, "reached": 0, "time": began}
            )
            await self._save_cursor(run, since=cursor.since or began, **progress)
            if not has_more:
                return False
        return True

    async def _read_newest(self, run: _Run) -> bool:
        """Read only the newest orders; returns whether there are more of them."""
        page = await self._read_page(run, min_id=max(0, run.cursor.highest_id - POLLING_OVERLAP_IDS))
        before = run.cursor.highest_id
        await self._queue_missing(run, page)
        await self._save_cursor(run)
        return page.is_full and run.cursor.highest_id > before

    async def _read_page(self, run: _Run, *, min_id: int) -> OrderPage:
        created_from = run.cursor.created_from
        return OrderPage.of(await run.api.core.orders(min_date_created=created_from, min_id=min_id or None))

    async def _queue_missing(self, run: _Run, page: OrderPage) -> int:
        """Queue the orders of a page that are unknown or have lost their job; returns the page's highest id."""
        statuses = await self._resources.ledger.statuses(run.store, [order.id for order in page.orders])
        queued = []
        for order in page.orders:
            status = statuses.get(order.id)
            if status not in (None, Status.QUEUED):
                continue
            result = await self._resources.queue.enqueue(
                run.store, order.id, source="reconcile", created_at=order.created_at
            )
            if result is EnqueueResult.QUEUED:
                queued.append(order)
                if status is None:
                    self._note_unknown(run, order)
        if queued:
            log.info(Event.ORDERS_FOUND, orders=len(queued), first=queued[0].id, last=queued[-1].id)
        highest = max((order.id for order in page.orders), default=0)
        run.cursor = run.cursor.model_copy(update={"highest_id": max(run.cursor.highest_id, highest)})
        return highest

    def _note_unknown(self, run: _Run, order: ListedOrder) -> None:
        """Note what an unknown order says about the store's webhooks."""
        if order.created_at is None:
            return
        run.newest_at = max(run.newest_at or 0.0, order.created_at)
        age = self._resources.transport.upstream_clock.now() - order.created_at
        since = run.cursor.since
        run.missed_webhook |= age > WINDOW_LENGTH_S and since is not None and order.created_at > since

    async def _check_statuses(self, store: str) -> None:
        """Queue a check of orders that have long been waiting for their status to change."""
        for order_id in await self._resources.awaiting_status.due(store, most=MAX_STATUS_CHECKS):
            if await self._resources.queue.enqueue_status_check(store, order_id) is not EnqueueResult.QUEUED:
                await self._resources.awaiting_status.done(store, order_id)  # the order is not waiting any more

    async def _save_cursor(self, run: _Run, **changes: Any) -> None:
        """Store the cursor, after everything found up to it is queued."""
        run.cursor = run.cursor.model_copy(update=changes)
        await run.cursor.write(self._resources.redis, cursor_key(run.store))

    async def _update_polling(self, run: _Run, polling: PollingState | None) -> None:
        if polling is not None:
            skew = self._resources.transport.upstream_clock.now() - self._clock()
            found_order_at = None if run.newest_at is None else run.newest_at - skew
            await self._polling.update(
                run.store, polling, missed_webhook=run.missed_webhook, found_order_at=found_order_at
            )
        elif run.missed_webhook:
            await self._polling.start(run.store, "no webhook told of an order")
