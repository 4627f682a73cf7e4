"""The queue between the receiver and the workers.

One script queues an order. So an acknowledged webhook is in Redis completely, a duplicate changes nothing, and a retry
after a broken connection is harmless.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.bigcommerce.hooks import STATUS_UPDATED
from service.errors import QueueUnavailable
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state import lua
from service.orders.state.entry import Stage
from service.orders.state.heartbeats import Heartbeats
from service.orders.state.jobs import RECOVERY, WINDOW, JobKind
from service.orders.state.keys import (
    entry_key,
    index_key,
    parked_key,
    verify_key,
    waiting_key,
    webhook_pace_key,
    webhook_seen_key,
)
from service.orders.state.lua import Trigger
from service.redis.client import TRANSIENT_ERRORS
from service.retry import call_with_retry

# BigCommerce repeats a refused webhook only after the window has closed, so waiting a little is better than a 503.
PATIENCE_S = 2.0

BACKFILL = "backfill"
"""The source of backfilled orders, which use the lowest priority of the quota."""


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


@dataclass(frozen=True, slots=True)
class Counts:
    """How many workers are alive and how many jobs wait for a worker."""

    workers: int
    queued: int


class Queue:
    """Enqueues orders, for the receiver, the workers and the commands."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock
        self._heartbeats = Heartbeats(redis)

    async def accept(self, webhook: Webhook) -> EnqueueResult:
        """Enqueue the order of a webhook.

        Raises QueueUnavailable when Redis does not accept it within two seconds; the webhook may then be sent again.
        """
        reported_at = webhook.created_at or webhook.received_at
        times = {Stage.RECEIVED: webhook.received_at}
        if webhook.created_at is not None:
            times[Stage.WEBHOOK_SENT] = webhook.created_at

        def enqueue() -> Awaitable[EnqueueResult]:
            return self._enqueue(
                webhook.store_hash,
                webhook.order_id,
                trigger="status" if webhook.scope == STATUS_UPDATED else "webhook",
                reported_at=reported_at,
                times=times,
                fields={"source": "webhook", "webhook_id": webhook.webhook_id},
            )

        try:
            async with asyncio.timeout(PATIENCE_S):
                return await call_with_retry(
                    enqueue, on=TRANSIENT_ERRORS, wait_initial=0.02, wait_max=0.25, wait_jitter=0.05
                )
        except (TimeoutError, RedisError) as error:
            raise QueueUnavailable(f"Redis did not accept the job in time ({type(error).__name__})") from error

    async def enqueue(
        self, store: str, order_id: int, *, source: str, created_at: float | None = None
    ) -> EnqueueResult:
        """Enqueue an order that a task or a command found, unless it has an entry. Errors are Redis's own.

        ``created_at`` is on BigCommerce's clock.
        """
        times = {} if created_at is None else {Stage.CREATED: created_at}
        reported_at = self._clock() if created_at is None else created_at
        return await self._enqueue(
            store, order_id, trigger="found", reported_at=reported_at, times=times, fields={"source": source}
        )

    async def enqueue_status_check(self, store: str, order_id: int) -> EnqueueResult:
        """Enqueue an order that waits for its status, in case a webhook was lost. Errors are Redis's own."""
        return await self._enqueue(store, order_id, trigger="status", reported_at=0.0, times={}, fields={})

    async def retry(self, store: str, order_id: int, source: str = "retry") -> EnqueueResult:
        """Requeue a finished order. What was sent is kept, its result is reset. Errors are Redis's own."""
        reset: dict[str, object] = {
            "start_over": True,
            "reason": None,
            "verified": None,
            "kept": [],
            "dropped": {},
            "checks": 0,
            "repaired": False,
            "trouble": None,
        }
        return await self._enqueue(
            store, order_id, trigger="retry", reported_at=self._clock(), times={}, fields=reset | {"source": source}
        )

    async def _enqueue(
        self,
        store: str,
        order_id: int,
        *,
        trigger: Trigger,
        reported_at: float,
        times: dict[Stage, float],
        fields: dict[str, object],
    ) -> EnqueueResult:
        now = self._clock()
        kind, other = _kinds(trigger, reported_at, now)
        # Never in the future: if BigCommerce's clock is ahead of ours, arq would let the order wait. A requeued order
        # is due now: a worker that still closes its first job would take a new one with the same due time for it. In
        # recovery, an old order must not overtake those that have been there for longer.
        due = now if trigger in ("status", "retry") or kind is RECOVERY else min(reported_at, now)
        webhook_in_time = trigger in ("webhook", "status") and now - reported_at < WINDOW_LENGTH_S
        stored = {name: json.dumps(value) for name, value in fields.items()}
        stored |= {f"t:{stage}": f"{at:.3f}" for stage, at in (times | {Stage.QUEUED: now}).items()}
        answer = await lua.enqueue_order(
            self._redis,
            entry=entry_key(store, order_id),
            job=kind.key(store, order_id),
            other_job=other.key(store, order_id),
            queue=kind.queue,
            index=index_key(store),
            to_verify=verify_key(store),
            parked=parked_key(store),
            webhook_seen=webhook_seen_key(store),
            webhook_pace=webhook_pace_key(store),
            awaiting_status=waiting_key(store),
            job_id=kind.id(store, order_id),
            body=kind.body(store, order_id, now=now),
            due_ms=int(due * 1000),
            order_id=order_id,
            now_ms=int(now * 1000),
            trigger=trigger,
            webhook_in_time=webhook_in_time,
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

    async def counts(self) -> Counts:
        """How many workers are alive and how many jobs wait. Errors are Redis's own."""
        window, recovery, running = await asyncio.gather(
            self._redis.zcard(WINDOW.queue), self._redis.zcard(RECOVERY.queue), self._heartbeats.running()
        )
        # arq leaves running jobs in the queue's set.
        return Counts(workers=len(running), queued=max(0, window + recovery - sum(running)))


def _kinds(trigger: Trigger, reported_at: float, now: float) -> tuple[JobKind, JobKind]:
    """The job's kind, and the other one. A report that is older than a window must not delay new orders."""
    if trigger == "retry" or now - reported_at > WINDOW_LENGTH_S:
        return RECOVERY, WINDOW
    return WINDOW, RECOVERY
