# mypy: disable-error-code="empty-body"
"""The scripts that change an order's state. Each is one step in Redis; its Lua text lies beside this file."""

from collections.abc import Mapping, Sequence
from typing import Literal

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, OptionalKey, Rest, redis_script

Trigger = Literal["webhook", "status", "found", "retry"]
"""What reports an order: a webhook, a change of its status, a task that found it, or a retry."""

State = Literal["recovery", "checks", "parked", "held", "waiting", "awaiting_value", "ended"]
"""Where an order goes."""


SetByHandResult = Literal["queued", "in_progress", "unknown", "changed"]
"""What setting values by hand did."""


@redis_script
async def enqueue_order(
    redis: Redis,
    *,
    entry: Key,
    window_job: Key,
    recovery_job: Key,
    window_queue: Key,
    recovery_queue: Key,
    reconcile_queue: Key,
    index: Key,
    to_verify: Key,
    parked: Key,
    webhook_seen: Key,
    webhook_pace: Key,
    awaiting_status: Key,
    awaiting_value: Key,
    held: Key,
    now_ms: Arg[int | None],
    reported_ms: Arg[int | None],
    received_ago_ms: Arg[int | None],
    window_ms: Arg[int],
    window_id: Arg[str],
    recovery_id: Arg[str],
    reconcile_id: Arg[str],
    reconcile_within_ms: Arg[int],
    window_body: Arg[bytes],
    recovery_body: Arg[bytes],
    order_id: Arg[int],
    trigger: Arg[Trigger],
    fields: Rest[Mapping[str, str]],
) -> Literal["queued", "duplicate", "ignored"]:
    """Queue an order once, however many webhooks and tasks report it."""


@redis_script
async def wake_waiting(
    redis: Redis,
    *,
    entry: Key,
    window_job: Key,
    recovery_job: Key,
    window_queue: Key,
    recovery_queue: Key,
    index: Key,
    awaiting_value: Key,
    now_ms: Arg[int | None],
    window_ms: Arg[int],
    window_id: Arg[str],
    recovery_id: Arg[str],
    window_body: Arg[bytes],
    recovery_body: Arg[bytes],
    order_id: Arg[int],
    source: Arg[str],
    is_news: Arg[bool],
) -> Literal[0, 1]:
    """Queue an order that waits for the value of a required rule."""


@redis_script
async def begin_attempt(
    redis: Redis, *, entry: Key, breaker: Key, now_ms: Arg[int | None]
) -> tuple[int, tuple[str, ...]]:
    """Begin an attempt at an order: whether the store's breaker is open, and the entry as name, value, …"""


@redis_script
async def save_entry(
    redis: Redis, *, entry: Key, paused: OptionalKey, attempt: Arg[int], fields: Rest[Mapping[str, str]]
) -> Literal["saved", "stale", "paused"]:
    """Write an order's entry, unless a newer attempt has begun or writing is ``paused``."""


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
    paused: Key,
    held: Key,
    to_reverify: Key,
    awaiting_status: Key,
    awaiting_value: Key,
    recovery_queue: Key,
    verify_queue: Key,
    probe_queue: Key,
    reverify_queue: Key,
    wake_queue: Key,
    window_job: Key,
    window_lease: Key,
    window_tries: Key,
    recovery_job: Key,
    recovery_lease: Key,
    recovery_tries: Key,
    job: Key,
    window_queue: Key,
    pending_counters: Key,
    now_ms: Arg[int | None],
    state: Arg[State],
    attempt: Arg[int],
    order_id: Arg[int],
    delay_ms: Arg[int | None],
    window_id: Arg[str],
    recovery_id: Arg[str],
    job_id: Arg[str],
    job_body: Arg[bytes],
    entry_prefix: Arg[str],
    used: Arg[str | None],
    writes_off: Arg[bool],
    keep_ms: Arg[int],
    keep_failed_ms: Arg[int],
    most: Arg[int],
    counted: Arg[str | None],
    once: Arg[str],
    fields: Rest[Mapping[str, str]],
) -> tuple[int, Literal["moved", "stale", "again", "open"]]:
    """Write an order's entry and move the order to its next state; Redis's time (ms) and the result."""


@redis_script
async def add_up_counters(
    redis: Redis, *, pending: Key, now_ms: Arg[int | None], at_once: Arg[int], most: Arg[int]
) -> Literal[0, 1]:
    """Add what finished orders have added to their stores' statistics to the counters; 1 when there may be more."""


@redis_script
async def set_by_hand(
    redis: Redis,
    *,
    entry: Key,
    window_job: Key,
    recovery_job: Key,
    recovery_lease: Key,
    recovery_queue: Key,
    index: Key,
    to_verify: Key,
    parked: Key,
    held: Key,
    awaiting_status: Key,
    awaiting_value: Key,
    now_ms: Arg[int | None],
    seen_id: Arg[str | None],
    seen_status: Arg[str],
    new_id: Arg[str],
    by_hand: Arg[str],
    order_id: Arg[int],
    recovery_id: Arg[str],
    recovery_body: Arg[bytes],
    fields: Rest[Mapping[str, str]],
) -> SetByHandResult:
    """Set or clear an order's values by hand, and queue the order unless it is in progress."""


@redis_script
async def release_held(
    redis: Redis,
    *,
    entry: Key,
    paused: Key,
    held: Key,
    recovery_job: Key,
    recovery_queue: Key,
    index: Key,
    now_ms: Arg[int | None],
    order_id: Arg[int],
    recovery_id: Arg[str],
    recovery_body: Arg[bytes],
) -> Literal[0, 1]:
    """Move an order that is held to recovery, where it goes on."""


@redis_script
async def due_orders(
    redis: Redis, *, orders: Key, now_ms: Arg[int | None], ahead_ms: Arg[int], most: Arg[int]
) -> tuple[str, ...]:
    """Orders of a store whose next step is due, the first due first."""


@redis_script
async def open_breaker(
    redis: Redis,
    *,
    breaker: Key,
    job: Key,
    queue: Key,
    now_ms: Arg[int | None],
    job_id: Arg[str],
    body: Arg[bytes],
    delay_ms: Arg[int],
) -> Literal[0, 1]:
    """Open a store's breaker and schedule a probe of its credentials; 0 when it is open already."""


@redis_script
async def close_storefront(
    redis: Redis,
    *,
    closed: Key,
    failures: Key,
    failures_seen: Arg[int],
    trouble: Arg[str],
    first_ms: Arg[int],
    longest_ms: Arg[int],
    keep_ms: Arg[int],
    trial: Arg[str],
    failing: Arg[str],
) -> tuple[int, Literal[0, 1]]:
    """Close a store's storefront API after a failed Create; for how long (ms), and whether this failure counts."""


@redis_script
async def release_parked(
    redis: Redis,
    *,
    breaker: Key,
    parked: Key,
    job: Key,
    queue: Key,
    now_ms: Arg[int | None],
    order_id: Arg[int | None],
    job_id: Arg[str],
    body: Arg[bytes],
) -> Literal[0, 1]:
    """Move a parked order to recovery; close the breaker, and answer 1, when none is left."""


@redis_script
async def mark_changed(
    redis: Redis,
    *,
    entry: Key,
    changed: Key,
    changes: Key,
    cursor: Key,
    job: Key,
    queue: Key,
    now_ms: Arg[int | None],
    order_id: Arg[int],
    change: Arg[str],
    changed_ms: Arg[int | None],
    follow_ms: Arg[int],
    pause_ms: Arg[int],
    job_id: Arg[str],
    body: Arg[bytes],
    alike: Rest[Sequence[str]],
) -> Literal["marked", "old", "read", "unknown", "new"]:
    """Note that an order has changed, and have it read again."""


@redis_script
async def take_changed(
    redis: Redis,
    *,
    changed: Key,
    changes: Key,
    now_ms: Arg[int | None],
    lease_ms: Arg[int],
    prefix: Arg[str],
    most: Arg[int],
    names: Rest[Sequence[str]],
) -> tuple[str, ...]:
    """Take the store's changed orders that are due: order, ``change:ms,…``, end of the lease (ms), order, …"""


@redis_script
async def finish_changed(
    redis: Redis,
    *,
    changed: Key,
    changes: Key,
    now_ms: Arg[int | None],
    order_id: Arg[int],
    lease: Arg[int],
    again_ms: Arg[int | None],
    names: Rest[Sequence[str]],
) -> Literal[0, 1]:
    """Take a changed order that was read out of the list, unless it has changed again; 1 when it is out."""


@redis_script
async def await_values(
    redis: Redis,
    *,
    late: Key,
    seen: Key,
    told: Key,
    job: Key,
    queue: Key,
    now_ms: Arg[int | None],
    order_id: Arg[int],
    digest: Arg[str],
    job_id: Arg[str],
    body: Arg[bytes],
    poll_ms: Arg[int],
    told_ms: Arg[int],
    told_often: Arg[int],
) -> Literal[1]:
    """Let an order wait for late values, and have its metafields polled for."""


@redis_script
async def wake_order(
    redis: Redis,
    *,
    late: Key,
    seen: Key,
    entry: Key,
    lease: Key,
    queue: Key,
    now_ms: Arg[int | None],
    order_id: Arg[int],
    job_id: Arg[str],
    source: Arg[str],
) -> Literal[0, 1]:
    """Make the window job of an order that waits for late values due now."""


@redis_script
async def people_changed(
    redis: Redis,
    *,
    changed: Key,
    due: Key,
    job: Key,
    queue: Key,
    now_ms: Arg[int | None],
    who: Arg[str],
    job_id: Arg[str],
    body: Arg[bytes],
    period_ms: Arg[int],
    keep_ms: Arg[int],
) -> Literal[1]:
    """Have orders that were skipped for their buyer tried again soon, because Company users of the store changed."""


@redis_script
async def note_rule_values(
    redis: Redis, *, counts: Key, most: Arg[int], keep_ms: Arg[int], rules: Rest[Mapping[str, str]]
) -> tuple[str, ...]:
    """Count orders for each rule: whether it gave a value."""


@redis_script
async def queue_states(
    redis: Redis, *, now_ms: Arg[int | None], lease_prefix: Arg[str], most: Arg[int], queues: Rest[Sequence[str]]
) -> tuple[int, ...]:
    """How full the queues are, and how late: what gauges and the console show."""


@redis_script
async def running_jobs(redis: Redis, *, names: Key, prefix: Arg[str]) -> tuple[str, ...]:
    """How many jobs each process runs that is alive. Forgets the dead ones."""
