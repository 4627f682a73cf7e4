"""Runs a backfill: queues the existing orders of a store for the workers, a few at a time.

It lists the store's orders by id, queues those that are not finished, and polls the ledger until they are. Few orders
are in flight at a time, so that new orders do not wait behind them. A backfill that was stopped or killed continues
after the last id up to which all orders are finished. Queued orders stay with the workers, and queueing an order
twice changes nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.asyncio import Redis

from service.bigcommerce import QuotaWaitingApi
from service.bigcommerce.clients.core_api import PER_PAGE
from service.errors import Refused
from service.orders.backfill.progress import BackfillProgress, DateRange, DryRunSummary, ListedOrder
from service.orders.backfill.retry import FIRST_CALL_TIMEOUT_S, UPSTREAM_TIMEOUT_S, retry_redis, retry_upstream
from service.orders.document.cache import Cache
from service.orders.state.keys import backfill_key
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Status
from service.orders.state.queue import BACKFILL, EnqueueResult, Queue
from service.redis.client import TRANSIENT_ERRORS

T = TypeVar("T")

MAX_IN_FLIGHT = 50
"""Orders that the backfill keeps queued at a time: enough to keep the workers busy, few enough not to delay others."""

MIN_ORDER_AGE_S = 300.0
"""Younger orders are left out: webhooks and reconcile take care of them."""

OVERLAP_IDS = 10
"""A resumed list starts this many ids earlier: orders placed at the same time may be listed out of order."""

POLL_INTERVAL_S = 0.5
DIAGNOSE_INTERVAL_S = 5.0

TROUBLE_AFTER_S = 30.0
"""When no order has finished for this long, the progress says what delays them."""

STALLED_AFTER_S = 300.0
"""When all orders are queued and none has finished for this long, the rest is left to the workers."""

POSITION_TTL_S = 30 * 86_400
"""As long as the ledger keeps the orders."""


class Backfill:
    """One backfill of one store. ``watch`` gets the progress, at least every half second while orders are in flight."""

    def __init__(
        self,
        api: QuotaWaitingApi,
        redis: Redis,
        span: DateRange,
        *,
        watch: Callable[[BackfillProgress], None] = lambda _: None,
    ) -> None:
        self.course = BackfillProgress()
        self._api = api
        self._store = api.account.store_hash
        self._redis = redis
        self._span = span
        self._queue = Queue(redis)
        self._ledger = Ledger(redis)
        self._on_progress = watch
        self._position_key = backfill_key(self._store, f"{span.name}:again" if span.again else span.name)
        self._has_answer = False
        self._listed_up_to = 0
        self._progressed_at = time.monotonic()  # when an order was last queued or finished
        self._diagnosed_at = 0.0

    async def survey(self) -> DryRunSummary:
        """Dry run: list all orders, and queue none."""
        survey = DryRunSummary(began_after=await self._load_position())
        async for page in self._pages(survey.began_after):
            statuses = await self._statuses(order.id for order in page)
            for order in page:
                survey.orders += 1
                status = statuses.get(order.id)
                if status is None or (status.is_final and self._span.again):
                    survey.to_queue += 1
                    survey.newest.append(order.id)
                    survey.by_guests += order.customer_id == 0
                elif status.is_final:
                    survey.known += 1
                else:
                    survey.elsewhere += 1
        return survey

    async def run(self) -> None:
        """Queue all orders and wait until they are finished, or until all are queued and the workers have stalled.

        It may be cancelled at any time; ``course`` then shows what is left. Raises UpstreamError and Redis's own
        errors when they last for minutes. Before BigCommerce's first answer, UpstreamError comes within seconds.
        """
        course = self.course
        course.began_after = course.reached = self._listed_up_to = await self._load_position()
        if self._span.again and not course.began_after:
            # The admin has corrected something in BigCommerce, so cached values may be wrong.
            await retry_redis(Cache(self._redis, self._store).forget)
        try:
            course.total = await self._count()
            async for page in self._pages(course.began_after):
                await self._queue_page(page)
            course.is_listed = True
            while course.in_flight and time.monotonic() - self._progressed_at < STALLED_AFTER_S:
                await asyncio.sleep(POLL_INTERVAL_S)
                await self._poll()
        finally:
            await self._save_position()

    # ── the list ────────────────────────────────────────────────────────────────────────────────────────────

    async def _pages(self, reached: int) -> AsyncIterator[list[ListedOrder]]:
        """List the orders of the range in pages, by id, from a few ids before ``reached``."""
        min_id, last = max(0, reached - OVERLAP_IDS), 0
        while True:
            page = await self._list(min_id)
            # Whether the order with min_id itself is listed is not documented.
            fresh = [order for order in ListedOrder.in_page(page, self._span) if order.id > last]
            yield fresh
            if len(page) < PER_PAGE or not fresh:
                return
            min_id = last = max(order.id for order in fresh)

    async def _list(self, min_id: int) -> list[dict[str, Any]]:
        span = self._span
        return await self._call(
            lambda: self._api.core.orders(
                min_id=min_id or None, min_date_created=span.since, max_date_created=span.until
            )
        )

    async def _count(self) -> int | None:
        span, reached = self._span, self.course.began_after
        try:
            return await self._call(
                lambda: self._api.core.count_orders(
                    min_id=max(0, reached - OVERLAP_IDS) or None,
                    min_date_created=span.since,
                    max_date_created=span.until,
                )
            )
        except Refused:
            return None

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        answer = await retry_upstream(call, timeout_s=UPSTREAM_TIMEOUT_S if self._has_answer else FIRST_CALL_TIMEOUT_S)
        self._has_answer = True
        return answer

    # ── the queue ───────────────────────────────────────────────────────────────────────────────────────────

    async def _queue_page(self, page: Sequence[ListedOrder]) -> None:
        statuses = await self._statuses(order.id for order in page)
        for order in page:
            while len(self.course.in_flight) >= MAX_IN_FLIGHT:
                await asyncio.sleep(POLL_INTERVAL_S)
                await self._poll()
            self.course.seen += 1
            await self._queue_if_needed(order, statuses.get(order.id))
            self._listed_up_to = max(self._listed_up_to, order.id)
        await self._poll()

    async def _queue_if_needed(self, order: ListedOrder, status: Status | None) -> None:
        """Queue the order unless it is finished. An order that an earlier backfill queued is in flight again."""
        course = self.course
        if status is Status.WAITING:
            course.elsewhere += 1
        elif status is None or not status.is_final or self._span.again:
            if await self._enqueue(order, retry=status is not None and status.is_final):
                course.in_flight[order.id] = order
                self._progressed_at = time.monotonic()
            else:
                course.elsewhere += 1
        else:
            course.known += 1

    async def _enqueue(self, order: ListedOrder, *, retry: bool) -> bool:
        """Queue the order, unless it is queued already. Return whether a backfill queued it."""

        async def enqueue() -> bool:
            if retry:
                accepted = await self._queue.retry(self._store, order.id, BACKFILL)
            else:
                accepted = await self._queue.enqueue(
                    self._store, order.id, source=BACKFILL, created_at=order.created_at
                )
            if accepted is EnqueueResult.QUEUED:
                return True
            entry = await self._ledger.get(self._store, order.id)
            return entry is not None and entry.source == BACKFILL

        return await retry_redis(enqueue)

    async def _poll(self) -> None:
        """Read from the ledger which of the orders in flight are finished, and report the progress."""
        course = self.course
        statuses = await self._statuses(course.in_flight)
        finished = [order_id for order_id in course.in_flight if statuses.get(order_id) not in (None, Status.QUEUED)]
        for entry in await retry_redis(lambda: self._ledger.get_many(self._store, finished)):
            course.outcomes[entry.status, entry.reason or ""] += 1
            del course.in_flight[entry.order_id]
        for order_id in course.in_flight.keys() - statuses.keys():
            # Redis has lost its entry.
            await self._enqueue(course.in_flight[order_id], retry=False)
        if finished:
            self._progressed_at, course.trouble = time.monotonic(), None
        await self._diagnose()
        await self._save_position()
        self._on_progress(course)

    async def _diagnose(self) -> None:
        course, now = self.course, time.monotonic()
        if now - self._diagnosed_at < DIAGNOSE_INTERVAL_S:
            return
        self._diagnosed_at = now
        course.workers = (await retry_redis(self._queue.counts)).workers
        if course.in_flight and now - self._progressed_at > TROUBLE_AFTER_S:
            entry = await retry_redis(lambda: self._ledger.get(self._store, min(course.in_flight)))
            course.trouble = entry.trouble if entry else None

    async def _statuses(self, order_ids: Iterable[int]) -> dict[int, Status]:
        ids = list(order_ids)
        return await retry_redis(lambda: self._ledger.statuses(self._store, ids))

    # ── the position ────────────────────────────────────────────────────────────────────────────────────────

    async def _load_position(self) -> int:
        return int(await retry_redis(lambda: self._redis.get(self._position_key)) or 0)

    async def _save_position(self) -> None:
        """Store the id up to which all orders are finished. When Redis fails, the next poll stores it."""
        reached = min(self.course.in_flight, default=self._listed_up_to + 1) - 1
        with suppress(*TRANSIENT_ERRORS):
            if self._span.again and self.course.is_finished:
                await self._redis.delete(self._position_key)  # the next run starts from the beginning
            elif reached != self.course.reached:
                await self._redis.set(self._position_key, reached, ex=POSITION_TTL_S)
            self.course.reached = reached
