"""The queue between the receiver and the workers.

One script queues an order. So an acknowledged webhook is in Redis completely, a duplicate changes nothing, and a retry
after a broken connection is harmless.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.bigcommerce.clients.hooks import METAFIELD_WRITTEN, ORDER_CREATED, ORDER_UPDATED, STATUS_UPDATED
from service.errors import QueueUnavailable
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.heartbeats import Heartbeats
from service.orders.state.job_kinds import RECONCILE, RECOVERY, WINDOW
from service.orders.state.keys import (
    awaiting_value_key,
    entry_key,
    held_key,
    index_key,
    parked_key,
    verify_key,
    waiting_key,
    webhook_pace_key,
    webhook_seen_key,
)
from service.orders.state.lua import Trigger
from service.orders.state.order_entry import Stage
from service.orders.state.per_store.rehearsal_notes import RehearsalNotes
from service.orders.state.per_store.webhook_counts import WebhookCounts
from service.orders.state.requeue_fields import NEW_VALUES, START_OVER
from service.orders.state.worklists.changed_orders import Change, ChangedOrders
from service.orders.state.worklists.late_orders import LateOrders
from service.orders.state.worklists.skipped_orders import SkippedOrders
from service.orders.state.worklists.waiting_orders import WaitingOrders
from service.redis.client import TRANSIENT_ERRORS
from service.redis.requirements import can_write
from service.transient_retry import call_with_retry

T = TypeVar("T")

# BigCommerce repeats a refused webhook only after the window has closed, so waiting a little is better than a 503.
PATIENCE_S = 2.0

RECONCILED_WITHIN_S = 60.0
"""A store with an order in the last day is reconciled so often: a new order's webhook makes that due, once it may have
been longer."""

BACKFILL = "backfill"
"""The source of backfilled orders, which use the lowest priority of the quota."""


CHANGES: Mapping[str, Change] = {
    ORDER_UPDATED: Change.ORDER,
    STATUS_UPDATED: Change.STATUS,
    **dict.fromkeys(METAFIELD_WRITTEN, Change.METAFIELD),
}
"""What webhooks of these scopes say has changed."""


class EnqueueResult(StrEnum):
    """What enqueueing an order did."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An authentic webhook about an order. Times are seconds since the epoch; ``created_at`` is BigCommerce's."""

    store_hash: str
    order_id: int
    webhook_id: str
    scope: str
    created_at: float | None
    received_at: float
    follow_s: float = 0.0
    """Up to which age later changes of the store's orders are followed; 0 for never."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many workers are alive and how many jobs wait for a worker."""

    workers: int
    queued: int


class Queue:
    """Enqueues orders, for the receiver, the workers and the commands.

    Times are Redis's, unless a ``clock`` is given.
    """

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock
        self._late = LateOrders(redis, clock=clock)
        self._changed = ChangedOrders(redis, clock=clock)
        self._waiting = WaitingOrders(redis, clock=clock)
        self._skipped = SkippedOrders(redis, clock=clock)
        self._heartbeats = Heartbeats(redis)
        self._receivers = Heartbeats(redis, "receivers")
        self._webhook_counts = WebhookCounts(redis)
        self._rehearsal = RehearsalNotes(redis)

    async def accept(self, webhook: Webhook) -> EnqueueResult:
        """Enqueue the order of a webhook, wake it if it waits for its values, or note that it has changed.

        Raises QueueUnavailable when Redis does not accept it within two seconds; the webhook may then be sent again.
        """
        return await _insist(lambda: self._accept(webhook))

    async def accept_people_change(self, store: str) -> EnqueueResult:
        """A Company or a Company user of the store changed: have the orders skipped for their buyers tried again.

        Raises QueueUnavailable as ``accept`` does.
        """
        await _insist(lambda: self._skipped.people_changed(store))
        return EnqueueResult.QUEUED

    async def note_event(self, store: str, scope: str, order_id: int | None, received_at: float) -> None:
        """Note an event other than a new order or a status, if the store is being rehearsed. It never raises."""
        await self._rehearsal.note(store, scope, order_id, received_at)

    async def _accept(self, webhook: Webhook) -> EnqueueResult:
        change = CHANGES.get(webhook.scope)
        if webhook.scope in (ORDER_CREATED, STATUS_UPDATED):
            queued = await self._enqueue_reported(webhook)
            if change is None or queued is EnqueueResult.QUEUED:
                return queued
        return EnqueueResult.IGNORED if change is None else await self._accept_change(webhook, change)

    async def _accept_change(self, webhook: Webhook, change: Change) -> EnqueueResult:
        store, order_id, follow_s = webhook.store_hash, webhook.order_id, webhook.follow_s
        if await self._wake(store, order_id, change):
            return EnqueueResult.QUEUED
        if not follow_s:
            return EnqueueResult.IGNORED
        marked = await self._changed.mark(store, order_id, change, follow_s=follow_s, changed_at=webhook.created_at)
        if marked == "new":  # the webhook of its creation was lost
            return await self._enqueue_reported(webhook)
        return EnqueueResult.QUEUED if marked == "marked" else EnqueueResult.IGNORED

    async def _enqueue_reported(self, webhook: Webhook) -> EnqueueResult:
        times = {} if webhook.created_at is None else {Stage.WEBHOOK_SENT: webhook.created_at}
        fields: dict[str, object] = {"source": "webhook", "webhook_id": webhook.webhook_id}
        if webhook.scope == ORDER_CREATED and webhook.created_at is not None:
            fields["announced_at"] = webhook.created_at
        return await self._enqueue(
            webhook.store_hash,
            webhook.order_id,
            trigger="status" if webhook.scope == STATUS_UPDATED else "webhook",
            reported_at=webhook.created_at,
            received_ago_s=max(0.0, (self._clock or time.time)() - webhook.received_at),
            times=times,
            fields=fields,
        )

    async def enqueue(
        self, store: str, order_id: int, *, source: str, created_at: float | None = None
    ) -> EnqueueResult:
        """Enqueue an order that a task or a command found, unless it has an entry. Errors are Redis's own.

        ``created_at`` is on BigCommerce's clock.
        """
        times = {} if created_at is None else {Stage.CREATED: created_at}
        return await self._enqueue(
            store, order_id, trigger="found", reported_at=created_at, times=times, fields={"source": source}
        )

    async def enqueue_status_check(self, store: str, order_id: int) -> EnqueueResult:
        """Enqueue an order that waits for its status, in case a webhook was lost. Errors are Redis's own."""
        return await self._enqueue(store, order_id, trigger="status", reported_at=0.0, times={}, fields={})

    async def wake_waiting(self, store: str, order_id: int, *, source: str) -> bool:
        """Enqueue an order that waits for the value of a required rule; False where it does not: nothing is done.

        ``source`` says what told of the change. Errors are Redis's own.
        """
        return await self._waiting.wake(store, order_id, source=source)

    async def _wake(self, store: str, order_id: int, change: Change) -> bool:
        """Enqueue the order now, if it waits for a value, inside its window or after it."""
        is_late = change is Change.METAFIELD and await self._late.wake(store, order_id, source=change.source)
        return is_late or await self.wake_waiting(store, order_id, source=change.source)

    async def retry(
        self, store: str, order_id: int, source: str = "retry", *, record_company_id: int | None = None
    ) -> EnqueueResult:
        """Requeue a finished order. What was sent is kept, its result is reset. Errors are Redis's own.

        ``record_company_id`` is the Company that its record shows, where that is why.
        """
        reset = dict(START_OVER)
        if record_company_id is not None:
            reset["record_company_id"] = record_company_id
        return await self._enqueue(
            store, order_id, trigger="retry", reported_at=None, times={}, fields=reset | {"source": source}
        )

    async def rewrite(self, store: str, order_id: int, *, source: str, fields: Mapping[str, object]) -> EnqueueResult:
        """Requeue a finished order with new values, which are not resolved again (``fields`` of its entry).

        It is compared with its record, and updated if need be. Errors are Redis's own.
        """
        return await self._enqueue(
            store,
            order_id,
            trigger="retry",
            reported_at=None,
            times={},
            fields={**NEW_VALUES, **fields, "source": source},
        )

    async def _enqueue(
        self,
        store: str,
        order_id: int,
        *,
        trigger: Trigger,
        reported_at: float | None,
        received_ago_s: float | None = None,
        times: dict[Stage, float],
        fields: dict[str, object],
    ) -> EnqueueResult:
        stored = {name: json.dumps(value) for name, value in fields.items()}
        stored |= {f"t:{stage}": f"{at:.3f}" for stage, at in times.items()}
        answer = await lua.enqueue_order(
            self._redis,
            entry=entry_key(store, order_id),
            window_job=WINDOW.key(store, order_id),
            recovery_job=RECOVERY.key(store, order_id),
            window_queue=WINDOW.queue,
            recovery_queue=RECOVERY.queue,
            reconcile_queue=RECONCILE.queue,
            index=index_key(store),
            to_verify=verify_key(store),
            parked=parked_key(store),
            webhook_seen=webhook_seen_key(store),
            webhook_pace=webhook_pace_key(store),
            awaiting_status=waiting_key(store),
            awaiting_value=awaiting_value_key(store),
            held=held_key(store),
            now_ms=script_time(self._clock),
            reported_ms=None if reported_at is None else int(reported_at * 1000),
            received_ago_ms=None if received_ago_s is None else int(received_ago_s * 1000),
            window_ms=int(WINDOW_LENGTH_S * 1000),
            window_id=WINDOW.id(store, order_id),
            recovery_id=RECOVERY.id(store, order_id),
            reconcile_id=RECONCILE.id(store),
            reconcile_within_ms=int(RECONCILED_WITHIN_S * 1000),
            window_body=WINDOW.open_body(store, order_id),
            recovery_body=RECOVERY.open_body(store, order_id),
            order_id=order_id,
            trigger=trigger,
            fields=stored,
        )
        return EnqueueResult(answer)

    async def recovering(self) -> int:
        """How many orders are in recovery. Errors are Redis's own."""
        return int(await self._redis.zcard(RECOVERY.queue))

    async def heartbeat(self, worker: str, running: int) -> None:
        """Report that a worker is alive and how many jobs it runs, every few seconds. Errors are Redis's own."""
        await self._heartbeats.write(worker, running)

    async def remove_heartbeat(self, worker: str) -> None:
        """Forget a worker that stops. Errors are Redis's own."""
        await self._heartbeats.remove(worker)

    async def report_receiver(self, receiver: str, counts: Mapping[tuple[str, str], int], *, now: float) -> None:
        """Report that a receiver is alive, and add its counts of webhooks by store and reason. Errors are Redis's own.

        ``now`` is in Unix seconds.
        """
        await self._receivers.write(receiver)
        await self._webhook_counts.add(counts, now=now)

    async def remove_receiver(self, receiver: str) -> None:
        """Forget a receiver that stops. Errors are Redis's own."""
        await self._receivers.remove(receiver)

    async def check_writable(self) -> None:
        """Try what queueing an order needs of Redis, without an order. Errors are Redis's own."""
        await can_write(self._redis, "ready")

    async def counts(self) -> Counts:
        """How many workers are alive and how many jobs wait. Errors are Redis's own."""
        window, recovery, running = await asyncio.gather(
            self._redis.zcard(WINDOW.queue), self._redis.zcard(RECOVERY.queue), self._heartbeats.running()
        )
        # arq leaves running jobs in the queue's set.
        return Counts(workers=len(running), queued=max(0, window + recovery - sum(running)))


async def _insist(write: Callable[[], Awaitable[T]]) -> T:
    """Write to Redis within two seconds, or raise QueueUnavailable."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await call_with_retry(write, on=TRANSIENT_ERRORS, wait_initial=0.02, wait_max=0.25, wait_jitter=0.05)
    except (TimeoutError, RedisError) as error:
        raise QueueUnavailable(f"Redis did not accept the job in time ({type(error).__name__})") from error
