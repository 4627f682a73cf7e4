"""The state transitions of an order: queued, in recovery, to be verified, parked, held, waiting, or finished.

An order waits for its status to change (reason ``incomplete``), for the value of a required rule (``value``), or until
something may be written for its store again (``writes_off``): then it is held.

An order is in one state at a time, and each transition is one script. An attempt gets a number when it begins
(``attempts``), and only the newest attempt may write: the writes of a worker that was taken for dead are refused.
"""

from collections.abc import Mapping
from typing import Literal

from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from redis.asyncio import Redis

from service.errors import EnrichError
from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import (
    CHECK_SKIPPED,
    PROBE,
    RECOVERY,
    REVERIFY,
    VERIFY,
    WAKE_WAITING,
    WINDOW,
    JobKind,
)
from service.orders.state.keys import (
    PENDING_COUNTERS,
    awaiting_value_key,
    breaker_key,
    entry_key,
    entry_prefix,
    failed_key,
    held_key,
    index_key,
    parked_key,
    paused_key,
    reverify_key,
    skipped_key,
    statistics_prefix,
    verify_key,
    waiting_key,
)
from service.orders.state.lua import State
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.counters import OrderCounters
from service.orders.state.set_values import BY_HAND, ByHand

DAY_MS = 86_400_000
KEEP_FAILED_MS = 90 * DAY_MS
KEEP_MS = 30 * DAY_MS
# A store with more entries within 30 days loses the oldest first, but never failed orders. At about 1 kB an entry,
# this is 100 MB of Redis for the store.
MOST_ENTRIES = 100_000

INCOMPLETE = "incomplete"
"""The reason of an order that waits for its status to change."""
NO_VALUE = "value"
"""The reason of an order that waits for the value of a required rule. The scripts know it, too."""

WRITES_OFF = "writes_off"
"""The reason of an order that is held because nothing may be written for its store. The scripts know it, too."""

FIRST_PROBE_S = 5.0
"""The delay before the first probe of refused credentials."""

# The job that an order needs in a state, or shares with others there; a finished one needs the re-verification. The
# others need none.
_JOBS: Mapping[str, JobKind] = {
    "recovery": RECOVERY,
    "checks": VERIFY,
    "parked": PROBE,
    "awaiting_value": WAKE_WAITING,
    "ended": REVERIFY,
}


class StaleAttempt(EnrichError):
    """A newer attempt at the order has begun, or the order is finished: this attempt may not write any more."""


class Transitions:
    """Writes entries and moves orders between states. Errors are Redis's own, and StaleAttempt.

    Times are Redis's, unless a ``clock`` is given; delays are in seconds.
    """

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock

    async def begin_attempt(self, store: str, order_id: int) -> tuple[Entry, bool]:
        """Begin an attempt: the order's entry, and whether the store's breaker is open."""
        is_open, flat = await lua.begin_attempt(
            self._redis, entry=entry_key(store, order_id), breaker=breaker_key(store), now_ms=script_time(self._clock)
        )
        stored = dict(zip(flat[::2], flat[1::2], strict=True))
        entry = Entry.from_hash(store, order_id, stored)
        entry.has_changed = "again" in stored
        if not entry.status.is_final:
            _use_by_hand(entry)
        return entry, bool(is_open)

    async def save(self, entry: Entry) -> None:
        """Save the entry; the order stays in its state."""
        await self._save(entry)

    async def save_before_write(self, entry: Entry) -> bool:
        """Save the entry just before a write; False, and nothing is saved, while writing is paused for the store."""
        return await self._save(entry, unless=paused_key(entry.store)) == "saved"

    async def is_paused(self, store: str) -> bool:
        """Whether a person has paused writing for the store."""
        return bool(await self._redis.exists(paused_key(store)))

    async def to_recovery(self, entry: Entry, delay: float) -> None:
        """Move the order to recovery; its next attempt is due in ``delay`` seconds."""
        await self._transition(entry, "recovery", delay)

    async def to_verification(self, entry: Entry, delay: float) -> None:
        """Schedule the verification of the order's record, in ``delay`` seconds."""
        await self._transition(entry, "checks", delay)

    async def park(self, entry: Entry) -> bool:
        """Park the order until the store's credentials are accepted; False when they are accepted already."""
        return (await self._transition(entry, "parked", FIRST_PROBE_S))[1] == "moved"

    async def await_status(self, entry: Entry, *, ask_in: float | None = None) -> bool:
        """Let the order wait until its status changes; False when it has just changed: begin a new attempt.

        When no change is reported within ``ask_in`` seconds, the status is polled.
        """
        entry.reason, entry.rule = INCOMPLETE, None
        return await self._await(entry, "waiting", ask_in)

    async def await_value(self, entry: Entry, rule: str, *, retry_in: float) -> bool:
        """Let the order wait for the value of a required rule; False when it has just changed: begin a new attempt.

        The next attempt is due in ``retry_in`` seconds, if nothing wakes the order before.
        """
        entry.reason, entry.rule, entry.woken_by = NO_VALUE, rule, None
        return await self._await(entry, "awaiting_value", retry_in)

    async def hold(self, entry: Entry, *, writes_off: bool) -> bool:
        """Hold the order until something may be written for its store; False when it may: begin a new attempt.

        ``writes_off`` says that the stores file forbids it; else it is held only while writing is paused.
        """
        entry.reason, entry.rule = WRITES_OFF, None
        return await self._await(entry, "held", None, writes_off=writes_off)

    async def _await(self, entry: Entry, state: State, delay: float | None, *, writes_off: bool = False) -> bool:
        has_waited = entry.waited
        entry.status, entry.recovering_since, entry.waited = Status.WAITING, None, True
        if (await self._transition(entry, state, delay, writes_off=writes_off))[1] == "moved":
            return True
        entry.status, entry.reason, entry.rule, entry.waited = Status.QUEUED, None, None, has_waited
        # This may be what has changed.
        by_hand = await self._redis.hget(entry_key(entry.store, entry.order_id), "by_hand")  # type: ignore[misc]
        entry.by_hand = ByHand.from_json(by_hand) if by_hand else None
        _use_by_hand(entry)
        return False

    async def finish(
        self,
        entry: Entry,
        *,
        reverify_in: float | None = None,
        check_skipped_in: float | None = None,
        counters: OrderCounters | None = None,
    ) -> bool:
        """Finish the order with the status of its entry, and schedule a re-verification in ``reverify_in`` seconds.

        An order that was skipped for its buyer is held against the records in ``check_skipped_in`` seconds instead.
        ``counters`` are what it adds to its store's statistics. Returns False where a person has just set values by
        hand, which no attempt has used: it goes to recovery.
        """
        entry.rule = entry.cart = None
        if check_skipped_in is None:
            ended_at_ms, answer = await self._transition(entry, "ended", reverify_in, counters=counters)
        else:
            ended_at_ms, answer = await self._transition(
                entry,
                "ended",
                check_skipped_in,
                worklist=skipped_key(entry.store),
                kind=CHECK_SKIPPED,
                counters=counters,
            )
        if answer == "again":
            entry.reason = entry.verified = None
            await self.to_recovery(entry, 0.0)
            return False
        entry.ended_at = ended_at_ms / 1000
        return True

    async def _save(self, entry: Entry, *, unless: str | None = None) -> Literal["saved", "paused"]:
        """Save the entry, unless this key is there."""
        key = entry_key(entry.store, entry.order_id)
        answer = await lua.save_entry(
            self._redis, entry=key, paused=unless, attempt=entry.attempts, fields=entry.to_hash()
        )
        if answer == "stale":
            raise _stale(entry)
        return answer

    async def _transition(
        self,
        entry: Entry,
        state: State,
        delay: float | None = 0.0,
        *,
        worklist: str | None = None,
        kind: JobKind | None = None,
        counters: OrderCounters | None = None,
        writes_off: bool = False,
    ) -> tuple[int, Literal["moved", "again", "open"]]:
        """Returns Redis's time (ms) and the result.

        ``worklist`` and ``kind`` replace the re-verification as what a finished order needs.
        """
        store, order_id = entry.store, entry.order_id
        if state in ("recovery", "checks", "parked"):
            entry.status, entry.rule = Status.QUEUED, None
        window_id, recovery_id = WINDOW.id(store, order_id), RECOVERY.id(store, order_id)
        kind = kind or _JOBS.get(state, RECOVERY)
        order = order_id if kind is RECOVERY else None
        job_id = kind.id(store, order)
        now_ms, answer = await lua.transition(
            self._redis,
            entry=entry_key(store, order_id),
            index=index_key(store),
            failed=failed_key(store),
            to_verify=verify_key(store),
            parked=parked_key(store),
            breaker=breaker_key(store),
            paused=paused_key(store),
            held=held_key(store),
            to_reverify=worklist or reverify_key(store),
            awaiting_status=waiting_key(store),
            awaiting_value=awaiting_value_key(store),
            recovery_queue=RECOVERY.queue,
            verify_queue=VERIFY.queue,
            probe_queue=PROBE.queue,
            reverify_queue=REVERIFY.queue,
            wake_queue=WAKE_WAITING.queue,
            window_job=job_key_prefix + window_id,
            window_lease=in_progress_key_prefix + window_id,
            window_tries=retry_key_prefix + window_id,
            recovery_job=job_key_prefix + recovery_id,
            recovery_lease=in_progress_key_prefix + recovery_id,
            recovery_tries=retry_key_prefix + recovery_id,
            job=job_key_prefix + job_id,
            window_queue=WINDOW.queue,
            pending_counters=PENDING_COUNTERS,
            now_ms=script_time(self._clock),
            state=state,
            attempt=entry.attempts,
            order_id=order_id,
            delay_ms=None if delay is None else round(delay * 1000),
            window_id=window_id,
            recovery_id=recovery_id,
            job_id=job_id,
            job_body=kind.open_body(store, order),
            entry_prefix=entry_prefix(store),
            used=entry.by_hand_used,
            writes_off=writes_off,
            keep_ms=KEEP_MS,
            keep_failed_ms=KEEP_FAILED_MS,
            most=MOST_ENTRIES,
            counted=None if counters is None else counters.counted(statistics_prefix(store)),
            once="" if counters is None else "\n".join(counters.once),
            fields=entry.to_hash(),
        )
        if answer == "stale":
            raise _stale(entry)
        entry.is_job_closed |= answer == "moved"
        return now_ms, answer


def _stale(entry: Entry) -> StaleAttempt:
    return StaleAttempt(f"order {entry.order_id} of {entry.store} is in progress at another worker")


def _use_by_hand(entry: Entry) -> None:
    # From its beginning an attempt knows the values by hand: however it ends, they need no other one.
    if entry.use_by_hand():
        entry.source = BY_HAND
