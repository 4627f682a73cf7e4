"""Backfill: orders that were there before, fed to the workers a few at a time.

The store's list of orders is walked by their ids. What has not ended yet is queued, and followed in the ledger; only
so many are in hand at a time that nothing stands behind them. Who is stopped, or killed, goes on where all before
has ended: what is in the queue is the workers', and queueing an order twice changes nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.asyncio import Redis

from service.bigcommerce import QuotaWaitingApi
from service.bigcommerce.core import PER_PAGE
from service.errors import Refused
from service.orders.backfill.progress import BackfillProgress, DateRange, DryRunSummary, ListedOrder
from service.orders.backfill.retry import FIRST_PATIENCE_S, UPSTREAM_PATIENCE_S, retry_redis, retry_upstream
from service.orders.document.cache import Cache
from service.orders.state.entry import Status
from service.orders.state.keys import backfill_key
from service.orders.state.ledger import Ledger
from service.orders.state.queue import BACKFILL, EnqueueResult, Queue
from service.redis.client import TRANSIENT_ERRORS

T = TypeVar("T")

MAX_IN_FLIGHT = 50
"""So many of its orders are with the workers at a time: enough to keep them busy, few enough to stand in no way."""

MIN_ORDER_AGE_S = 300.0
"""Younger orders are not touched: webhooks tell of them, or the list of orders does."""

# Orders that are placed together may show up in another order.
LATE_IDS = 10

LOOK_EVERY_S = 0.5
COUNT_WORKERS_EVERY_S = 5.0

# When nothing has ended for so long, what stands in the way is told of; at the end it is left to the workers.
TROUBLE_AFTER_S = 30.0
STALLED_S = 300.0

# As long as the ledger knows the orders.
KEEP_POSITION_S = 30 * 86_400


class Backfill:
    """One run for one store. ``watch`` is told how it stands, at least every half second while orders are in hand."""

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
        self._watch = watch
        self._position = backfill_key(self._store, f"{span.name}:again" if span.again else span.name)
        self._answered = False
        self._walked = 0
        self._moved_at = time.monotonic()
        self._counted_at = 0.0

    async def survey(self) -> DryRunSummary:
        """Read all orders, and queue none."""
        survey = DryRunSummary(began_after=await self._begin())
        async for page in self._pages(survey.began_after):
            statuses = await self._statuses(order.id for order in page)
            for order in page:
                survey.orders += 1
                status = statuses.get(order.id)
                if status is None or (status.is_final and self._span.again):
                    survey.to_queue += 1
                    survey.by_guests += order.customer_id == 0
                elif status.is_final:
                    survey.known += 1
                else:
                    survey.elsewhere += 1
        return survey

    async def run(self) -> None:
        """Feed the workers until all orders have ended or, once all are in their hands, none has for five minutes.

        It may be cancelled at any time; ``course`` then tells what is left. Errors are UpstreamError and Redis's own,
        when they last for minutes; at the start UpstreamError comes within seconds.
        """
        course = self.course
        course.began_after = course.reached = self._walked = await self._begin()
        if self._span.again and not course.began_after:
            # Somebody has mended something: what was read before counts no more.
            await retry_redis(Cache(self._redis, self._store).forget)
        try:
            course.total = await self._count()
            async for page in self._pages(course.began_after):
                await self._feed(page)
            course.is_walked = True
            while course.in_hand and time.monotonic() - self._moved_at < STALLED_S:
                await asyncio.sleep(LOOK_EVERY_S)
                await self._look()
        finally:
            await self._keep_position()

    # ── the list ────────────────────────────────────────────────────────────────────────────────────────────

    async def _pages(self, reached: int) -> AsyncIterator[list[ListedOrder]]:
        """The orders of the span after that one, and a few before it; by their ids."""
        min_id, last = max(0, reached - LATE_IDS), 0
        while True:
            page = await self._list(min_id)
            # Whether min_id is part of what it asks for is not documented.
            fresh = [order for order in ListedOrder.in_page(page, self._span) if order.id > last]
            yield fresh
            if len(page) < PER_PAGE or not fresh:
                return
            min_id = last = max(order.id for order in fresh)

    async def _list(self, min_id: int) -> list[dict[str, Any]]:
        span = self._span
        return await self._ask(
            lambda: self._api.core.orders(
                min_id=min_id or None, min_date_created=span.since, max_date_created=span.until
            )
        )

    async def _count(self) -> int | None:
        span, reached = self._span, self.course.began_after
        try:
            return await self._ask(
                lambda: self._api.core.count_orders(
                    min_id=max(0, reached - LATE_IDS) or None,
                    min_date_created=span.since,
                    max_date_created=span.until,
                )
            )
        except Refused:
            return None

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        answer = await retry_upstream(call, patience_s=UPSTREAM_PATIENCE_S if self._answered else FIRST_PATIENCE_S)
        self._answered = True
        return answer

    # ── the queue ───────────────────────────────────────────────────────────────────────────────────────────

    async def _feed(self, page: Sequence[ListedOrder]) -> None:
        statuses = await self._statuses(order.id for order in page)
        for order in page:
            while len(self.course.in_hand) >= MAX_IN_FLIGHT:
                await asyncio.sleep(LOOK_EVERY_S)
                await self._look()
            self.course.seen += 1
            await self._take_up(order, statuses.get(order.id))
            self._walked = max(self._walked, order.id)
        await self._look()

    async def _take_up(self, order: ListedOrder, status: Status | None) -> None:
        """Queue the order if need be. One that an earlier run of this command has queued is in hand again."""
        course = self.course
        if status is Status.WAITING:
            course.elsewhere += 1
        elif status is None or not status.is_final or self._span.again:
            if await self._put(order, anew=status is not None and status.is_final):
                course.in_hand[order.id] = order
                self._moved_at = time.monotonic()
            else:
                course.elsewhere += 1
        else:
            course.known += 1

    async def _put(self, order: ListedOrder, *, anew: bool) -> bool:
        """Queue the order, if it is not; whether it is a backfill's."""

        async def put() -> bool:
            if anew:
                accepted = await self._queue.retry(self._store, order.id, BACKFILL)
            else:
                accepted = await self._queue.enqueue(
                    self._store, order.id, source=BACKFILL, created_at=order.created_at
                )
            if accepted is EnqueueResult.QUEUED:
                return True
            entry = await self._ledger.get(self._store, order.id)
            return entry is not None and entry.source == BACKFILL

        return await retry_redis(put)

    async def _look(self) -> None:
        """See which of the orders in hand have ended."""
        course = self.course
        statuses = await self._statuses(course.in_hand)
        ended = [order_id for order_id in course.in_hand if statuses.get(order_id) not in (None, Status.QUEUED)]
        for entry in await retry_redis(lambda: self._ledger.get_many(self._store, ended)):
            course.outcomes[entry.status, entry.reason or ""] += 1
            del course.in_hand[entry.order_id]
        for order_id in course.in_hand.keys() - statuses.keys():
            # Redis has lost it.
            await self._put(course.in_hand[order_id], anew=False)
        if ended:
            self._moved_at, course.trouble = time.monotonic(), None
        await self._see_what_hinders()
        await self._keep_position()
        self._watch(course)

    async def _see_what_hinders(self) -> None:
        course, now = self.course, time.monotonic()
        if now - self._counted_at < COUNT_WORKERS_EVERY_S:
            return
        self._counted_at = now
        course.workers = (await retry_redis(self._queue.counts)).workers
        if course.in_hand and now - self._moved_at > TROUBLE_AFTER_S:
            entry = await retry_redis(lambda: self._ledger.get(self._store, min(course.in_hand)))
            course.trouble = entry.trouble if entry else None

    async def _statuses(self, order_ids: Iterable[int]) -> dict[int, Status]:
        ids = list(order_ids)
        return await retry_redis(lambda: self._ledger.statuses(self._store, ids))

    # ── the position ────────────────────────────────────────────────────────────────────────────────────────

    async def _begin(self) -> int:
        return int(await retry_redis(lambda: self._redis.get(self._position)) or 0)

    async def _keep_position(self) -> None:
        """All before the first order that is in hand have ended. What Redis does not take now, it takes later."""
        reached = min(self.course.in_hand, default=self._walked + 1) - 1
        with suppress(*TRANSIENT_ERRORS):
            if self._span.again and self.course.is_over:
                await self._redis.delete(self._position)  # the next time all of them again
            elif reached != self.course.reached:
                await self._redis.set(self._position, reached, ex=KEEP_POSITION_S)
            self.course.reached = reached
