# mypy: disable-error-code="empty-body"
"""The scripts that change an order's state. Each is one step in Redis; its Lua text lies beside this file."""

from collections.abc import Mapping
from typing import Literal

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, Rest, redis_script

Trigger = Literal["webhook", "status", "found", "retry"]
"""What reports an order: a webhook, a change of its status, a task that found it, or a retry."""

State = Literal["here", "recovery", "checks", "parked", "waiting", "ended"]
"""Where an order goes; ``here`` keeps it in its state."""


@redis_script
async def enqueue_order(
    redis: Redis,
    *,
    entry: Key,
    job: Key,
    other_job: Key,
    queue: Key,
    index: Key,
    to_verify: Key,
    parked: Key,
    webhook_seen: Key,
    webhook_pace: Key,
    awaiting_status: Key,
    job_id: Arg[str],
    body: Arg[bytes],
    due_ms: Arg[int],
    order_id: Arg[int],
    now_ms: Arg[int],
    trigger: Arg[Trigger],
    webhook_in_time: Arg[bool],
    fields: Rest[Mapping[str, str]],
) -> Literal["queued", "duplicate", "ignored"]:
    """Queue an order once, however many webhooks and tasks report it."""


@redis_script
async def begin_attempt(redis: Redis, *, entry: Key, breaker: Key, now_s: Arg[str]) -> tuple[int, tuple[str, ...]]:
    """Begin an attempt at an order: whether the store's breaker is open, and the entry as name, value, …"""


@redis_script
async def transition(
    redis: Redis,
    *,
    entry: Key,
    index: Key,
    failed: Key,
    to_verify: Key,
    parked: Key,
    breaker: Key,
    to_reverify: Key,
    awaiting_status: Key,
    recovery_queue: Key,
    verify_queue: Key,
    probe_queue: Key,
    reverify_queue: Key,
    state: Arg[State],
    attempt: Arg[int],
    order_id: Arg[int],
    now_ms: Arg[int],
    due_ms: Arg[int | None],
    context: Arg[str],
    fields: Rest[Mapping[str, str]],
) -> Literal["moved", "stale", "again", "open"]:
    """Write an order's entry and move the order to its next state."""


@redis_script
async def release_parked(
    redis: Redis,
    *,
    breaker: Key,
    parked: Key,
    job: Key,
    queue: Key,
    order_id: Arg[int | None],
    job_id: Arg[str],
    body: Arg[bytes],
    due_ms: Arg[int],
) -> Literal[0, 1]:
    """Move a parked order to recovery; close the breaker, and answer 1, when none is left."""
