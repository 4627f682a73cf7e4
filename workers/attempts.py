"""The jobs: entries into the life of an order, and what becomes of its verdict.

A job is never lost: it ends with the order's end or its hand-over to recovery, and whatever else happens puts it
back into its queue.
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
from service.orders.create_window import LENGTH_S
from service.orders.document.batch_loader import OrderLoader
from service.orders.document.cache import Cache
from service.orders.state.breaker import LONGEST_PROBE_S
from service.orders.state.entry import Entry, Stage, Status
from service.orders.state.queue import BACKFILL
from service.orders.state.transitions import FIRST_PROBE_S, StaleAttempt
from service.redis.client import TRANSIENT_ERRORS
from workers import outcomes
from workers.backoff import MAX_BACKFILL_BACKOFF_S, MAX_BACKOFF_S, exponential_backoff, requeue
from workers.lease import LeaseLost
from workers.lifecycle import Lifecycle
from workers.order_log import log_retry_later
from workers.resources import Resources
from workers.results import AttemptResult, AwaitingCredentials, AwaitingStatus, Finished, RetryLater, Written
from workers.verification import VERIFY_AFTER_S

log = structlog.get_logger()

# Far more than a look can take; it only breaks what hangs against all expectation.
ATTEMPT_TIMEOUT_S = 60.0

# A look that was voided is made again.
STALE_ATTEMPT_RETRY_S = 0.05

# Of the orders in recovery, so many a second come back to ask whether there is quota for them.
RECOVERY_RATE_PER_S = 5.0

# Old orders are not in a hurry: those written in the same so many seconds are verified together, in one call.
VERIFY_TOGETHER_S = 5.0

# How an incomplete order's status is asked for, if nobody tells of a change: an abandoned one never changes.
STATUS_CHECK_AFTER_S = 900.0
STATUS_CHECK_MAX_INTERVAL_S = 12 * 3600.0
STATUS_CHECK_FOR_S = 7 * 86_400.0

# Trouble of the system's making is tried again for as long as BigCommerce itself would send a webhook again.
GIVE_UP_AFTER_S = 48 * 3600.0


Look = Callable[[dict[str, Any], Entry], Awaitable[float | None]]


class Jobs:
    """The functions that the workers run for single orders; arq calls them with the arguments that stand in the job."""

    def __init__(self, resources: Resources, *, clock: Callable[[], float] = time.time) -> None:
        self._resources = resources
        self._clock = clock
        self._readers: dict[tuple[str, bool], OrderLoader] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def window(self, ctx: dict[str, Any], store: str, order_id: int) -> None:
        """Enrich an order whose window may still be open; what cannot be done inside it goes to recovery."""
        await self._run(ctx, store, order_id, self._in_window)

    async def recover(self, ctx: dict[str, Any], store: str, order_id: int) -> None:
        """Take up an order that was late, refused for a while or lost on its record, until it has ended."""
        await self._run(ctx, store, order_id, self._in_recovery)

    async def _run(self, ctx: dict[str, Any], store: str, order_id: int, look: Look) -> None:
        """Look at an order; ``look`` says in how many seconds the same job is to run again, None for not."""
        with structlog.contextvars.bound_contextvars(store=store, order_id=order_id):
            try:
                again = await self._begin_and(ctx, store, order_id, look)
            except StaleAttempt:
                # Mostly by whoever has the job by now: then it is theirs, and this changes nothing. Where a beginning
                # arrived late, of a worker that has given it up, nobody else would look at the order any more.
                again = STALE_ATTEMPT_RETRY_S
            except Exception as error:
                back = requeue(ctx, error)
                if not await self._fail_at_last(ctx, store, order_id, error):
                    raise back from error
                return
            if again is not None:
                raise Retry(defer=again)

    async def _fail_at_last(self, ctx: dict[str, Any], store: str, order_id: int, error: Exception) -> bool:
        """End an order that nothing but a fault of ours has kept from its end for two days; whether it is done."""
        age_s = self._clock() - ctx["enqueue_time"].timestamp()
        if isinstance(error, (LeaseLost, TimeoutError, *TRANSIENT_ERRORS)) or age_s < GIVE_UP_AFTER_S:
            return False
        try:
            entry, _ = await self._resources.transitions.begin_attempt(store, order_id)
            if not entry.status.is_final:
                ended = Finished(Status.FAILED, f"internal error: {type(error).__name__}")
                await outcomes.end(self._resources, entry, ended)
        except Exception:
            return False  # it is put back and tried again
        return True

    async def _begin_and(self, ctx: dict[str, Any], store: str, order_id: int, look: Look) -> float | None:
        entry, refused = await self._resources.transitions.begin_attempt(store, order_id)
        if entry.status.is_final:
            return None
        if entry.webhook_id:
            structlog.contextvars.bind_contextvars(webhook_id=entry.webhook_id)
        if refused and await outcomes.park(self._resources, entry):
            return None
        return await look(ctx, entry)

    async def _in_window(self, ctx: dict[str, Any], entry: Entry) -> float | None:
        if self._left(entry) <= 0:
            # It must not hold up those whose window is open.
            await self._resources.transitions.to_recovery(entry, 0.0)
            return None
        later = await self._look(ctx, entry)
        if later is None:
            return None
        left = self._left(entry)
        if later.seconds and later.seconds < left:
            await self._resources.transitions.save(entry)
            # At the same moment, the one whose window closes first goes first.
            return later.seconds + left / 1000
        await self._resources.transitions.to_recovery(entry, await self._pause(ctx, entry, later))
        return None

    async def _in_recovery(self, ctx: dict[str, Any], entry: Entry) -> float | None:
        later = await self._look(ctx, entry)
        if later is None:
            return None
        pause = await self._pause(ctx, entry, later)
        await self._resources.transitions.save(entry)
        return pause

    async def probe(self, ctx: dict[str, Any], store: str) -> None:
        """Try one order of a store whose credentials were refused; when they are accepted, let all the others go."""
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                if store not in self._resources.configuration.stores:
                    # Its orders wait in recovery for it to come back, and are given up there in the end.
                    await self._resources.breaker.release(store)
                    return
                order_id = await self._resources.breaker.first_parked(store)
                if order_id is not None and not await self._try(ctx, store, order_id):
                    defer = min(LONGEST_PROBE_S, FIRST_PROBE_S * 2.0 ** min(ctx["job_try"], 20))
                else:
                    released = await self._resources.breaker.release(store)
                    log.warning(Event.CREDENTIALS_ACCEPTED, released=released)
                    return
            except Exception as error:
                raise requeue(ctx, error) from error
            raise Retry(defer=defer)

    async def _try(self, ctx: dict[str, Any], store: str, order_id: int) -> bool:
        """Whether the credentials are accepted for this order; one that needs more looks leaves with the rest."""
        with structlog.contextvars.bound_contextvars(order_id=order_id):
            entry, _ = await self._resources.transitions.begin_attempt(store, order_id)
            configured = self._resources.configuration.stores.get(store)
            if configured is None or entry.status.is_final:
                return configured is not None
            verdict = await self._life(ctx, entry, configured).run()
            if isinstance(verdict, AwaitingCredentials):
                await self._resources.transitions.save(entry)
                return False
            await self._take(entry, verdict)
        return True

    async def _look(self, ctx: dict[str, Any], entry: Entry) -> RetryLater | None:
        """Look at the order and record what came of it; Later when it needs another look."""
        configured = self._resources.configuration.stores.get(entry.store)
        if configured is None:
            return await self._take(entry, RetryLater("the store is not in the stores file"))
        while True:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                verdict = await self._life(ctx, entry, configured).run()
            if not isinstance(verdict, AwaitingStatus):
                return await self._take(entry, verdict)
            if await self._wait(entry):
                log.info(Event.ORDER_WAITING)
                return None
            # Its status changed in this very moment: look again.

    async def _take(self, entry: Entry, verdict: AttemptResult) -> RetryLater | None:
        match verdict:
            case Written():
                await self._resources.transitions.to_verification(entry, self._first_look_in(entry))
            case AwaitingCredentials(refused):
                await outcomes.refuse(self._resources, entry.store, refused)
                if not await outcomes.park(self._resources, entry):
                    return RetryLater(str(refused), 0.0)
            case RetryLater(trouble) as later:
                entry.trouble = trouble
                if not self._is_given_up(entry):
                    return later
                await outcomes.end(self._resources, entry, Finished(Status.FAILED, trouble))
            case Finished() as ended:
                await outcomes.end(self._resources, entry, ended)
            case AwaitingStatus():
                await self._wait(entry)
        return None

    async def _wait(self, entry: Entry) -> bool:
        """Let the order wait for its status; False when that has just changed."""
        age = self._resources.transport.upstream_clock.now() - entry.times.get(Stage.CREATED, 0.0)
        # In case the webhook that tells of the change gets lost. Each time the order is about twice as old.
        ask_in = min(max(age, STATUS_CHECK_AFTER_S), STATUS_CHECK_MAX_INTERVAL_S) if age < STATUS_CHECK_FOR_S else None
        return await self._resources.transitions.await_status(entry, ask_in=ask_in)

    def _life(self, ctx: dict[str, Any], entry: Entry, configured: ConfiguredStore) -> Lifecycle:
        resources, store = self._resources, configured.store
        account = Account(store.hash, store.access_tokens)
        is_old = entry.source == BACKFILL
        # A backfill has made the cache forget what was there before it began. For others, what one look has read is
        # there for the next: an order that lacks quota would begin with nothing again and again.
        not_before = _begun_at(entry) if entry.start_over and not is_old else 0.0
        return Lifecycle(
            entry,
            configured,
            StoreApi(resources.transport, account),
            self._reader(account, is_old=is_old),
            resources.transitions,
            Cache(resources.redis, store.hash, reading=self._reading, not_before=not_before, clock=self._clock),
            resources.transport.upstream_clock,
            ensure_lease=lambda: ctx["ensure_lease"](ctx["job_id"]),
            clock=self._clock,
        )

    def _reader(self, account: Account, *, is_old: bool) -> OrderLoader:
        """The one that all orders of the account share; fresh ones do not wait for one that is busy with old ones."""
        reader = self._readers.get((account.store_hash, is_old))
        if reader is None or reader.account != account:  # its access tokens have been replaced
            reader = self._readers[account.store_hash, is_old] = OrderLoader(self._resources.transport, account)
        return reader

    def _is_given_up(self, entry: Entry) -> bool:
        return entry.recovering_since is not None and self._clock() - entry.recovering_since > GIVE_UP_AFTER_S

    async def _pause(self, ctx: dict[str, Any], entry: Entry, later: RetryLater) -> float:
        """Seconds until the next look; notes since when the order is being recovered."""
        # All who wait for the same quota would come back together, most of them in vain: about so many a second do.
        waiting = await self._resources.queue.recovering()
        spread = random.uniform(0.0, min(MAX_BACKOFF_S, waiting / RECOVERY_RATE_PER_S))  # noqa: S311 - jitter only
        if entry.recovering_since is None:
            entry.recovering_since = self._clock()
        is_old = entry.source == BACKFILL
        if later.seconds is None:
            pause = exponential_backoff(ctx["job_try"], longest_s=MAX_BACKFILL_BACKOFF_S if is_old else MAX_BACKOFF_S)
        else:
            pause = later.seconds + spread
        # That an old order waits for its turn is how a backfill works.
        if not (is_old and later.seconds is not None):
            log_retry_later(entry, later, pause)
        return pause

    def _first_look_in(self, entry: Entry) -> float:
        """Seconds from the write to the first look at the record."""
        if entry.source == BACKFILL:
            return VERIFY_TOGETHER_S - self._clock() % VERIFY_TOGETHER_S
        return VERIFY_AFTER_S

    def _left(self, entry: Entry) -> float:
        """Seconds until the order's window closes, as far as is known; negative when it has."""
        told_at = entry.times.get(Stage.CREATED) or entry.times.get(Stage.WEBHOOK_SENT)
        if told_at is None:
            return LENGTH_S
        return told_at + LENGTH_S - self._resources.transport.upstream_clock.now()


def _begun_at(entry: Entry) -> float:
    """When the order was queued anew. Whoever did that may have a clock that is ahead, which its first look had not."""
    return min(entry.times[stage] for stage in (Stage.QUEUED, Stage.PICKED_UP) if stage in entry.times)
