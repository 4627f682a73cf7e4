"""Reconciling: finds the orders whose webhook was lost in the store's list of orders, and queues them.

The list is read from a cursor, with an overlap, because an order may appear in it some time after its creation. It is
read by id as well: whoever makes an order by API can set its date years back, where no list by date finds it. Where no
order has appeared for a while, the list by id alone shows all that is new, in one call without an answer's body.
How often it is read follows from what is known of the store's webhooks (``reconcile_interval.py``).
Later changes whose webhook was lost are found in the same run (``missed_changes.py``).
Orders that were held while nothing might be written go on here, too, as soon as it may.
The extra-field configs of a store that has orders are kept in the cache (``field_configs.py``).
Orders that wait for their status are checked now and then, in case the webhook of the change was lost.
Where webhooks fail altogether, the newest orders are polled every few seconds (``polling.py``).

A busy store's job also runs at the moment when it would be unusual that no webhook has come (``webhook_pace.py``).
Mostly one has come, and the run ends after reading from Redis. If none has, it reads the newest orders, once for each
silence. There is about one such run for six webhooks, or fewer.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from service.bigcommerce import Account, Priority, StoreApi
from service.hooks import request_check
from service.logs import Event
from service.orders.create_window import AHEAD_S, WINDOW_LENGTH_S
from service.orders.state.job_kinds import RECONCILE
from service.orders.state.keys import cursor_key
from service.orders.state.order_entry import Status
from service.orders.state.queue import EnqueueResult
from service.stores import Store
from workers.periodic.cursor import Cursor, ListedOrder, OrderPage
from workers.periodic.field_configs import refresh_field_configs
from workers.periodic.missed_changes import MissedChanges
from workers.periodic.periodic_task import PeriodicTask
from workers.periodic.polling import PollingFallback, PollingState
from workers.periodic.reconcile_interval import LATELY_S, QUIET_S, next_interval_s
from workers.periodic.reconcile_run import Run
from workers.periodic.store_state import StoreState, StoreStates
from workers.periodic.webhook_pace import LATE_AFTER_S
from workers.resources import Resources

log = structlog.get_logger()

# A run may start earlier than it is due by up to this share of the interval. So stores that started together do not
# keep their lists in memory at the same time.
SPREAD = 0.2

# Where the list by id is enough, the one by date is still read so often, in case an old order gets a new date.
DATES_EVERY_S = 3_600.0

# The pages that one run reads; the next run continues from there.
MAX_PAGES = 10
# The orders waiting for their status that one run checks.
MAX_STATUS_CHECKS = 20
# A page has 250 orders, so it may take longer than other calls.
PAGE_TIMEOUT_S = 15.0


class Reconciler(PeriodicTask):
    """The periodic task that finds a store's orders: every ``every_s``, or ``polling_every_s`` while webhooks fail.

    Where no orders come and webhooks are proven to arrive, the interval grows up to ``quiet_every_s``.
    """

    name = RECONCILE.function

    def __init__(
        self,
        resources: Resources,
        *,
        every_s: float = 60.0,
        quiet_every_s: float = QUIET_S,
        polling_every_s: float = 3.0,
        spread: float = SPREAD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(resources, every_s=every_s, clock=clock)
        self._quiet_every_s = quiet_every_s
        self._polling_every_s = polling_every_s
        self._spread = spread
        self._states = StoreStates(resources.redis)
        self._polling = PollingFallback(resources.redis, clock=clock)
        self._missed_changes = MissedChanges(resources, clock=clock)

    async def _is_locked_out(self, _: str) -> bool:
        return False  # ``run_once`` reads it with all else

    async def run_once(self, store: Store) -> float:
        """Queue the orders whose webhook was lost; returns in how many seconds the next run is due."""
        began = self._clock()
        state = await self._states.read(store.hash, interval_s=self._every_s)
        if state.is_locked_out:
            return self._every_s
        if state.held and store.writes == "on":
            await self._resources.held.release(store.hash)
        run = self._begin(store, began, state, state.cursor or await self._new_cursor(store.hash))
        polling, has_more = state.polling, False
        if self._is_list_due(run, polling):
            run.reads_list = True
            has_more = await self._read_whole(run)
            if state.await_status:
                await self._check_statuses(store.hash)
            if configured := self._resources.configuration.stores.get(store.hash):
                await self._missed_changes.find(run.api, configured, last_order_at=self._last_order_at(run))
            if self._has_orders(run):
                await refresh_field_configs(self._resources, store, run.api, clock=self._clock)
        elif polling or run.is_silent:
            has_more = await self._read_newest(run)
        if run.reads_list or polling or run.is_silent:
            await self._react_to_missing_webhooks(run, polling)
        if run.reads_list and not has_more:
            await self._set_interval(run)
        return 0.0 if has_more else max(0.0, await self._next_run_in(run))

    def _begin(self, store: Store, began: float, state: StoreState, cursor: Cursor) -> Run:
        pace = state.pace
        is_silent = not state.polling and began >= pace.silent_at and cursor.quiet_since != pace.last_at
        api = StoreApi(
            self._resources.transport,
            Account(store.hash, store.access_tokens),
            priority=Priority.VERIFY if state.polling or is_silent else Priority.BACKGROUND,
        )
        is_proven = state.evidence(began, cursor).are_webhooks_proven
        interval_s = cursor.interval_s if is_proven else None
        return Run(store.hash, began, api, state, cursor, pace, interval_s or self._every_s, is_silent)

    async def _set_interval(self, run: Run) -> None:
        """Decide about the interval after a reading of the whole list; store what has changed."""
        if run.missed_at is not None:
            run.cursor = run.cursor.model_copy(update={"untold_at": self._clock()})
        kept, evidence = run.state.cursor, run.state.evidence(self._clock(), run.cursor)
        run.interval_s = next_interval_s(
            evidence,
            kept.interval_s if kept else None,
            shortest_s=self._every_s,
            longest_s=self._quiet_every_s,
        )
        is_unchanged = kept is not None and kept.is_settled and run.pace.mean_gap_s is None
        if is_unchanged and run.cursor == kept and run.interval_s == kept.interval_s:
            return  # a quiet store costs no write
        await self._save_cursor(run, interval_s=run.interval_s, read_at=run.began)

    def _last_order_at(self, run: Run) -> float | None:
        """When the store's newest order came, as far as known (on our clock)."""
        if run.cursor.last_order_at is None:
            return None
        return max(run.cursor.last_order_at, run.pace.last_at or 0.0, run.pace.late_at or 0.0)

    def _has_orders(self, run: Run) -> bool:
        """Whether the store is new, or an order came in the last day."""
        last_order_at = self._last_order_at(run)
        return last_order_at is None or run.began - last_order_at <= LATELY_S

    async def _next_run_in(self, run: Run) -> float:
        """In how many seconds the next run is due."""
        jitter = 1.0 - random.uniform(0.0, self._spread)  # noqa: S311 - jitter, not a secret
        # In the meantime polling may have started, or the first order for long may have come, which could not move the
        # due time of a job that runs. An order that has no webhook yet is read again as soon.
        news = await self._states.news(run.store)
        if news.webhook_at > max(run.pace.last_at or 0.0, run.pace.late_at or 0.0):
            run.interval_s = min(run.interval_s, self._every_s)
        if news.is_polled or (run.is_silent and run.awaits_webhook):
            return run.began + self._polling_every_s * jitter - self._clock()
        now = self._clock()
        list_age = now - run.began if run.reads_list else self._list_age(run.cursor)
        check_at = run.pace.next_check_at(now, is_quiet=run.cursor.quiet_since == run.pace.last_at)
        return min(run.interval_s * jitter - list_age, check_at - now)

    async def _new_cursor(self, store: str) -> Cursor:
        """The cursor of a new store: it starts now, also if its first run fails."""
        cursor = Cursor(time=self._resources.transport.upstream_clock.now())
        await cursor.write(self._resources.redis, cursor_key(store))
        return cursor

    def _is_list_due(self, run: Run, polling: PollingState | None) -> bool:
        """Whether the whole list is due to be read. Runs for polling or for the pace of webhooks come earlier."""
        if not polling and run.pace.mean_gap_s is None:
            return True
        is_unfinished = run.cursor.began is not None or run.cursor.since is None
        return is_unfinished or self._list_age(run.cursor) >= run.interval_s * (1.0 - self._spread)

    def _list_age(self, cursor: Cursor) -> float:
        """How long ago the whole list was read, in seconds."""
        if cursor.read_at is not None:
            return self._clock() - cursor.read_at
        return self._resources.transport.upstream_clock.now() - cursor.time

    async def _read_whole(self, run: Run) -> bool:
        """Read the list by id, and by date unless all older orders are known; returns whether there is more of it."""
        dates_age = self._resources.transport.upstream_clock.now() - run.cursor.time
        if run.cursor.is_settled and dates_age < DATES_EVERY_S:
            await self._read_new_ids(run)
            return False
        has_more = await self._read_list(run)
        if not has_more:
            await self._read_new_ids(run)
        return has_more

    async def _read_list(self, run: Run) -> bool:
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

    async def _read_new_ids(self, run: Run) -> None:
        """Read the orders whose ids are above those of earlier runs, whatever their dates.

        The first run only notes which id is the highest. What is left after many pages, the next one reads.
        """
        if run.cursor.first_id is None:
            newest = OrderPage.of(await run.api.core.orders(limit=1, sort="id:desc"))
            first_id = max((order.id for order in newest.orders), default=0)
            await self._save_cursor(run, first_id=first_id, ids_read_to=first_id, last_order_at=self._clock())
            return
        is_settled = run.cursor.is_settled
        for _ in range(MAX_PAGES):
            read_to = run.cursor.ids_read_to
            page = self._page(await run.api.core.orders(min_id=run.cursor.ids_from(read_to, is_settled=is_settled)))
            reached = await self._queue_missing(run, page)
            if reached > read_to or run.cursor.last_order_at is None:
                await self._save_cursor(run, ids_read_to=max(read_to, reached), last_order_at=self._clock())
            if not page.is_full or reached <= read_to:
                return

    async def _read_newest(self, run: Run) -> bool:
        """Read only the newest orders; returns whether there are more of them."""
        before = run.cursor.highest_id
        # Where an id is known, the dates do not matter: they may have been set by whoever made the order.
        has_id = before and run.cursor.first_id is not None
        created_from = None if has_id else run.cursor.created_from
        page = self._page(await run.api.core.orders(min_date_created=created_from, min_id=run.cursor.ids_from(before)))
        await self._queue_missing(run, page)
        await self._save_cursor(run)
        return page.is_full and run.cursor.highest_id > before

    async def _read_page(self, run: Run, *, min_id: int) -> OrderPage:
        created_from = run.cursor.created_from
        return self._page(await run.api.core.orders(min_date_created=created_from, min_id=min_id or None))

    def _page(self, documents: Sequence[dict[str, Any]]) -> OrderPage:
        """A page of the list. A date ahead counts as unknown: such an order was made before now."""
        page, latest = OrderPage.of(documents), self._resources.transport.upstream_clock.now() + AHEAD_S
        orders = [
            replace(order, created_at=None) if order.created_at is not None and order.created_at > latest else order
            for order in page.orders
        ]
        return replace(page, orders=orders)

    async def _queue_missing(self, run: Run, page: OrderPage) -> int:
        """Queue the orders of a page that are unknown or have lost their job; returns the page's highest id."""
        statuses = await self._resources.ledger.statuses(run.store, [order.id for order in page.orders])
        queued = []
        for order in page.orders:
            status, is_unknown = statuses.get(order.id), False
            if status in (None, Status.QUEUED):
                result = await self._resources.queue.enqueue(
                    run.store, order.id, source="reconcile", created_at=order.created_at
                )
                if result is EnqueueResult.QUEUED:
                    queued.append(order)
                    is_unknown = status is None
            self._note_webhook(run, order, is_unknown=is_unknown)
        if queued:
            log.info(Event.ORDERS_FOUND, orders=len(queued), first=queued[0].id, last=queued[-1].id)
        highest = max((order.id for order in page.orders), default=0)
        run.cursor = run.cursor.model_copy(update={"highest_id": max(run.cursor.highest_id, highest)})
        return highest

    def _note_webhook(self, run: Run, order: ListedOrder, *, is_unknown: bool) -> None:
        """Note whether the order's webhook is missing.

        That is so if the order is unknown. It is also so if the order was created after the last webhook came: then an
        earlier run has found it.
        """
        if order.created_at is None:
            return
        if is_unknown:
            run.newest_at = max(run.newest_at or 0.0, order.created_at)
        since, upstream_now = run.cursor.since, self._resources.transport.upstream_clock.now()
        if since is None or order.created_at <= since:
            return
        age = upstream_now - order.created_at
        created_at = self._clock() - age
        if not is_unknown and not run.pace.is_older_than(created_at):
            return
        if age <= LATE_AFTER_S:
            run.awaits_webhook = True
            return
        run.missed_at = max(run.missed_at or 0.0, created_at)
        # In a silence, it need not be older than a window.
        run.missed_webhook |= run.is_silent or (is_unknown and age > WINDOW_LENGTH_S)

    async def _check_statuses(self, store: str) -> None:
        """Queue a check of orders that have long been waiting for their status to change."""
        for order_id in await self._resources.awaiting_status.due(store, most=MAX_STATUS_CHECKS):
            if await self._resources.queue.enqueue_status_check(store, order_id) is not EnqueueResult.QUEUED:
                await self._resources.awaiting_status.done(store, order_id)  # the order is not waiting any more

    async def _save_cursor(self, run: Run, **changes: Any) -> None:
        """Store the cursor, after everything found up to it is queued."""
        run.cursor = run.cursor.model_copy(update=changes)
        await run.cursor.write(self._resources.redis, cursor_key(run.store))

    async def _react_to_missing_webhooks(self, run: Run, polling: PollingState | None) -> None:
        """Request a hook check and start polling if webhooks are missing; if none is, let a silence be."""
        if polling is not None:
            skew = self._resources.transport.upstream_clock.now() - self._clock()
            found_order_at = None if run.newest_at is None else run.newest_at - skew
            await self._polling.update(
                run.store, polling, missed_webhook=run.missed_webhook, found_order_at=found_order_at
            )
        elif run.missed_webhook:
            await self._polling.start(run.store, "an order came without a webhook")
        if run.missed_at is not None:
            await request_check(self._resources.redis, run.store, missed_at=run.missed_at, now=self._clock())
        elif run.is_silent and not run.awaits_webhook:
            await self._save_cursor(run, quiet_since=run.pace.last_at)
