"""The jobs for single orders: they start attempts and apply their results.

A job is never lost. It ends when its order is finished, parked, waiting, or handed over to another queue; any error
requeues it.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from arq import Retry

from service.bigcommerce import Account, StoreApi
from service.configuration import ConfiguredStore
from service.logs import Event
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.document.cache import Cache, ProcessMemory
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.credentials_breaker import LONGEST_PROBE_S
from service.orders.state.per_store.storefront.storefront_breaker import StorefrontBreaker
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.orders.state.queue import BACKFILL
from service.orders.state.transitions import FIRST_PROBE_S, StaleAttempt
from service.redis.client import TRANSIENT_ERRORS
from workers.backoff import MAX_BACKFILL_BACKOFF_S, MAX_BACKOFF_S, exponential_backoff, requeue
from workers.job_leases import LeaseLost
from workers.orders import completion
from workers.orders.attempt_history import note_attempt
from workers.orders.buyers.buyer import Buyer
from workers.orders.lifecycle import Lifecycle
from workers.orders.order_log import log_retry_later
from workers.orders.result_types import (
    AttemptResult,
    AwaitingCredentials,
    AwaitingRecord,
    AwaitingRequired,
    AwaitingStatus,
    AwaitingValues,
    AwaitingWrites,
    Finished,
    RetryLater,
    Written,
)
from workers.orders.steps.order_reading import OrderReader
from workers.orders.verification import VERIFY_AFTER_S
from workers.orders.waiting import settling
from workers.orders.waiting.held_orders import hold
from workers.orders.waiting.required_values import await_value
from workers.resources import Resources

log = structlog.get_logger()

# Much longer than any attempt takes: it only ends an attempt that hangs.
ATTEMPT_TIMEOUT_S = 60.0

# After an error of ours or of Redis, an order whose window may be open is tried again within so long. arq counts waits
# for values and quota as tries, too, so that the usual backoff would soon last longer than the window.
WINDOW_BACKOFF_S = 0.5

# A stale attempt is repeated after so long.
STALE_ATTEMPT_RETRY_S = 0.05

# Retries of orders that wait for quota are spread over time: about this many per second.
RECOVERY_RATE_PER_S = 5.0

# Old orders are not urgent: those written within the same interval are verified together, in one call.
VERIFY_TOGETHER_S = 5.0

# How often an incomplete order's status is checked in case a webhook is lost. An abandoned order never changes.
STATUS_CHECK_AFTER_S = 900.0
STATUS_CHECK_MAX_INTERVAL_S = 12 * 3600.0
STATUS_CHECK_FOR_S = 7 * 86_400.0

# Errors that are not the order's fault are retried for as long as BigCommerce retries a webhook.
GIVE_UP_AFTER_S = 48 * 3600.0

Attempt = Callable[[dict[str, Any], Entry], Awaitable[float | None]]


class Jobs:
    """The job functions for single orders. arq calls them with the arguments stored in the job."""

    def __init__(self, resources: Resources, *, clock: Callable[[], float] = time.time) -> None:
        self._resources = resources
        self._clock = clock
        self._reader = OrderReader(resources.transport, resources.changed, clock=clock)
        self._memory = ProcessMemory()

    async def window(self, ctx: dict[str, Any], store: str, order_id: int) -> bool:
        """Enrich an order while its create window is open; after that it goes to recovery."""
        return await self._run(ctx, store, order_id, self._in_window, max_backoff_s=WINDOW_BACKOFF_S)

    async def recover(self, ctx: dict[str, Any], store: str, order_id: int) -> bool:
        """Retry an order after its window, until it is finished."""
        return await self._run(ctx, store, order_id, self._in_recovery, max_backoff_s=MAX_BACKOFF_S)

    async def _run(
        self, ctx: dict[str, Any], store: str, order_id: int, attempt: Attempt, *, max_backoff_s: float
    ) -> bool:
        """Make an attempt; returns whether the job is closed already, with the order's move to another state.

        ``attempt`` returns in how many seconds the job runs again; None if the job is done.
        """
        is_closed = False
        with structlog.contextvars.bound_contextvars(store=store, order_id=order_id):
            try:
                again, is_closed = await self._begin(ctx, store, order_id, attempt)
            except StaleAttempt:
                # Usually another worker has the job, and this retry changes nothing. But the newer attempt may have
                # begun late, for a worker that has given up the job: then no other worker has the order.
                again = STALE_ATTEMPT_RETRY_S
            except Exception as error:
                back = requeue(ctx, error, longest_s=max_backoff_s)
                if not await self._give_up(ctx, store, order_id, error):
                    raise back from error
                again = None
            if again is not None:
                raise Retry(defer=again)
        return is_closed

    async def _give_up(self, ctx: dict[str, Any], store: str, order_id: int, error: Exception) -> bool:
        """Fail an order that an internal error has kept from finishing for 48 hours; returns whether it is finished."""
        age_s = self._clock() - ctx["enqueue_time"].timestamp()
        if isinstance(error, (LeaseLost, TimeoutError, *TRANSIENT_ERRORS)) or age_s < GIVE_UP_AFTER_S:
            return False
        try:
            entry, _ = await self._resources.transitions.begin_attempt(store, order_id)
            if not entry.status.is_final:
                finished = Finished(Status.FAILED, f"internal error: {type(error).__name__}")
                await completion.finish(self._resources, entry, finished)
        except Exception:
            return False  # the job is requeued
        return True

    async def _begin(
        self, ctx: dict[str, Any], store: str, order_id: int, attempt: Attempt
    ) -> tuple[float | None, bool]:
        entry, refused = await self._resources.transitions.begin_attempt(store, order_id)
        if entry.status.is_final:
            return None, False
        if entry.webhook_id:
            structlog.contextvars.bind_contextvars(webhook_id=entry.webhook_id)
        if refused and await completion.park(self._resources, entry):
            return None, entry.is_job_closed
        return await attempt(ctx, entry), entry.is_job_closed

    async def _in_window(self, ctx: dict[str, Any], entry: Entry) -> float | None:
        if self._window_left(entry) <= 0:
            # It must not delay orders whose window is open.
            await self._resources.transitions.to_recovery(entry, 0.0)
            return None
        if entry.late_until is not None:
            await self._resources.late.remove(entry.store, entry.order_id)
        later = await self._attempt(ctx, entry)
        if later is None:
            return None
        left = self._window_left(entry)
        if isinstance(later, AwaitingValues):
            await self._resources.transitions.save(entry)
            if later.seen is not None:
                await self._resources.late.wait(entry.store, entry.order_id, seen=later.seen)
            log.debug(Event.ORDER_AWAITING_VALUES, rules=list(later.rules), retry_in_ms=round(later.seconds * 1000))
            return later.seconds
        if later.seconds and later.seconds < left:
            await self._resources.transitions.save(entry)
            # Of orders that are due together, the one whose window closes first goes first.
            return later.seconds + left / 1000
        await self._resources.transitions.to_recovery(entry, await self._retry_delay(ctx, entry, later))
        return None

    async def _in_recovery(self, ctx: dict[str, Any], entry: Entry) -> float | None:
        later = await self._attempt(ctx, entry)
        if later is None:
            return None
        if isinstance(later, AwaitingValues):
            await self._resources.transitions.save(entry)
            return later.seconds
        delay = await self._retry_delay(ctx, entry, later)
        await self._resources.transitions.save(entry)
        return delay

    async def probe(self, ctx: dict[str, Any], store: str) -> None:
        """Try one parked order of a store; release all of them once the store's credentials are accepted."""
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                if store not in self._resources.configuration.stores:
                    # Its orders wait in recovery until the store is configured again, and fail after 48 hours.
                    await self._resources.breaker.release(store)
                    return
                order_id = await self._resources.breaker.first_parked(store)
                if order_id is not None and not await self._probe_order(ctx, store, order_id):
                    defer = min(LONGEST_PROBE_S, FIRST_PROBE_S * 2.0 ** min(ctx["job_try"], 20))
                else:
                    released = await self._resources.breaker.release(store)
                    log.warning(Event.CREDENTIALS_ACCEPTED, released=released)
                    return
            except Exception as error:
                raise requeue(ctx, error) from error
            raise Retry(defer=defer)

    async def _probe_order(self, ctx: dict[str, Any], store: str, order_id: int) -> bool:
        """Attempt one parked order; returns whether the store's credentials are accepted."""
        with structlog.contextvars.bound_contextvars(order_id=order_id):
            entry, _ = await self._resources.transitions.begin_attempt(store, order_id)
            configured = self._resources.configuration.stores.get(store)
            if configured is None or entry.status.is_final:
                return configured is not None
            result = await self._run_lifecycle(ctx, entry, configured)
            if isinstance(result, AwaitingCredentials):
                await self._resources.transitions.save(entry)
                return False
            # If the order needs another attempt, it is released with the other parked orders.
            await self._apply(entry, result)
        return True

    async def _attempt(self, ctx: dict[str, Any], entry: Entry) -> RetryLater | AwaitingValues | None:
        """Make an attempt and apply its result; returns it if the order needs another attempt."""
        configured = self._resources.configuration.stores.get(entry.store)
        if configured is None:
            return await self._apply(entry, RetryLater("the store is not in the stores file"))
        while True:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                result = await self._run_lifecycle(ctx, entry, configured)
            await self._resources.rules_archive.keep(entry.store, configured.rules)  # not before: a Create cannot wait
            if not isinstance(result, AwaitingStatus | AwaitingRequired | AwaitingWrites):
                return await self._apply(entry, result)
            if await self._wait(entry, result):
                return None
            self._reader.forget(entry)  # it has changed during the attempt: make another one

    async def _apply(self, entry: Entry, result: AttemptResult) -> RetryLater | AwaitingValues | None:
        match result:
            case AwaitingValues():
                return result
            case Written() | AwaitingRecord():
                await self._resources.transitions.to_verification(entry, self._verify_delay(entry))
            case AwaitingCredentials(refused):
                await completion.open_breaker(self._resources, entry.store, refused)
                if not await completion.park(self._resources, entry):
                    return RetryLater(str(refused), 0.0)
            case RetryLater(trouble) as later:
                entry.trouble = trouble
                if not self._has_timed_out(entry):
                    return later
                await completion.finish(self._resources, entry, Finished(Status.FAILED, trouble))
            case Finished() as finished:
                await completion.finish(self._resources, entry, finished)
            case AwaitingStatus() | AwaitingRequired() | AwaitingWrites():
                await self._wait(entry, result)
        return None

    async def _wait(self, entry: Entry, awaiting: AwaitingStatus | AwaitingRequired | AwaitingWrites) -> bool:
        """Let the order wait until it changes, or may be written; False if it has just changed."""
        if isinstance(awaiting, AwaitingWrites):
            return await hold(self._resources, entry, awaiting)
        if isinstance(awaiting, AwaitingRequired):
            return await await_value(self._resources, entry, awaiting)
        age = self._resources.transport.upstream_clock.now() - entry.times.get(Stage.CREATED, 0.0)
        # In case the webhook of the change is lost. At each check the order is about twice as old.
        ask_in = min(max(age, STATUS_CHECK_AFTER_S), STATUS_CHECK_MAX_INTERVAL_S) if age < STATUS_CHECK_FOR_S else None
        if not await self._resources.transitions.await_status(entry, ask_in=ask_in):
            return False
        log.info(Event.ORDER_INCOMPLETE)
        return True

    async def _run_lifecycle(self, ctx: dict[str, Any], entry: Entry, configured: ConfiguredStore) -> AttemptResult:
        began_at, calls = self._clock(), entry.upstream_calls
        if entry.has_changed:
            self._reader.forget(entry)
        result = await self._lifecycle(ctx, entry, configured).run()
        self._reader.settle(entry, result)
        calls = entry.upstream_calls - calls
        note_attempt(entry, result, began_at=began_at, ended_at=self._clock(), calls=calls)
        return result

    def _lifecycle(self, ctx: dict[str, Any], entry: Entry, configured: ConfiguredStore) -> Lifecycle:
        resources, store = self._resources, configured.store
        account = Account(store.hash, store.access_tokens)
        # A restarted order must not use what was cached before. What its own attempts cache is used, or an order that
        # waits for quota would read everything each time. A backfill clears the cache itself, once, when it starts.
        not_before = _restarted_at(entry) if entry.start_over and entry.source != BACKFILL else 0.0
        api = StoreApi(resources.transport, account)
        cache = Cache(resources.redis, store.hash, memory=self._memory, not_before=not_before, clock=self._clock)
        needs, book, skipped = configured.rules.needs, resources.super_admins, resources.skipped
        return Lifecycle(
            entry,
            configured,
            api,
            self._reader,
            resources.transitions,
            cache,
            resources.transport.upstream_clock,
            resources.late,
            resources.history,
            Buyer(entry, needs, api, cache, book, skipped, follow_s=store.follow_s, clock=self._clock),
            facts=resources.facts,
            tokens=StorefrontTokens(resources.redis, store.hash, store.access_tokens),
            storefront=StorefrontBreaker(resources.redis, store.hash),
            ensure_lease=lambda: ctx["ensure_lease"](ctx["job_id"]),
            clock=self._clock,
        )

    def _has_timed_out(self, entry: Entry) -> bool:
        return entry.recovering_since is not None and self._clock() - entry.recovering_since > GIVE_UP_AFTER_S

    async def _retry_delay(self, ctx: dict[str, Any], entry: Entry, later: RetryLater) -> float:
        """Seconds until the next attempt; notes since when the order is in recovery."""
        # All orders that wait for the same quota would return together, and most would find none left.
        waiting = await self._resources.queue.recovering()
        spread = random.uniform(0.0, min(MAX_BACKOFF_S, waiting / RECOVERY_RATE_PER_S))  # noqa: S311 - jitter only
        if entry.recovering_since is None:
            entry.recovering_since = self._clock()
        is_old = entry.source == BACKFILL
        if later.seconds is None:
            delay = exponential_backoff(ctx["job_try"], longest_s=MAX_BACKFILL_BACKOFF_S if is_old else MAX_BACKOFF_S)
        else:
            delay = later.seconds + spread
        # Old orders of a backfill wait for quota all the time: that is not logged.
        if not (is_old and later.seconds is not None):
            log_retry_later(entry, later, delay)
        return delay

    def _verify_delay(self, entry: Entry) -> float:
        """Seconds until the record is read: from the write to its verification, or to the first look for it."""
        if entry.sent is None:
            return settling.LOOK_EVERY_S
        if entry.source == BACKFILL:
            return VERIFY_TOGETHER_S - self._clock() % VERIFY_TOGETHER_S
        return VERIFY_AFTER_S

    def _window_left(self, entry: Entry) -> float:
        """Seconds until the order's window closes, as far as known; negative after that."""
        opened_at = entry.opened_at or entry.times.get(Stage.WEBHOOK_SENT)
        if opened_at is None:
            return WINDOW_LENGTH_S
        return opened_at + WINDOW_LENGTH_S - self._resources.transport.upstream_clock.now()


def _restarted_at(entry: Entry) -> float:
    """When the order was queued again. The earlier time counts: the clock of the queueing machine may be ahead."""
    return min(entry.times[stage] for stage in (Stage.QUEUED, Stage.PICKED_UP) if stage in entry.times)
