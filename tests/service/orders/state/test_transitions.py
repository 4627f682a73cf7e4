"""An order is in one state at a time, and only its newest attempt can move it."""

import random
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from arq import ArqRedis
from arq.constants import in_progress_key_prefix

from service.orders.state import transitions as module
from service.orders.state.job_kinds import PROBE, RECOVERY, VERIFY, WAKE_WAITING, WINDOW
from service.orders.state.keys import (
    awaiting_value_key,
    entry_key,
    failed_key,
    held_key,
    index_key,
    parked_key,
    verify_key,
    waiting_key,
)
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.credentials_breaker import Breaker
from service.orders.state.queue import EnqueueResult, Queue, Webhook
from service.orders.state.set_values import SetValue
from service.orders.state.transitions import FIRST_PROBE_S, StaleAttempt, Transitions
from service.orders.state.values_by_hand import ValuesByHand
from service.orders.state.worklists.held_orders import HeldOrders
from service.orders.state.worklists.waiting_orders import POLL, WaitingOrders

NOW = 1_700_000_000.0
STORE, ORDER = "abc123", 250

Move = Callable[[Transitions, Entry], Awaitable[object]]


async def finish(transitions: Transitions, entry: Entry) -> None:
    entry.status = Status.CREATED
    await transitions.finish(entry)


MOVES: dict[str, Move] = {
    "save": lambda transitions, entry: transitions.save(entry),
    "recover": lambda transitions, entry: transitions.to_recovery(entry, 5.0),
    "check": lambda transitions, entry: transitions.to_verification(entry, 0.5),
    "park": lambda transitions, entry: transitions.park(entry),
    "wait": lambda transitions, entry: transitions.await_status(entry, ask_in=900.0),
    "lack": lambda transitions, entry: transitions.await_value(entry, "Cost Center", retry_in=60.0),
    "hold": lambda transitions, entry: transitions.hold(entry, writes_off=True),
    "finish": finish,
}


def transitions_on(redis: ArqRedis, now: float = NOW) -> Transitions:
    return Transitions(redis, clock=lambda: now)


def queue_on(redis: ArqRedis, now: float = NOW) -> Queue:
    return Queue(redis, clock=lambda: now)


def webhook(order_id: int = ORDER, *, status: bool = False) -> Webhook:
    scope = "store/order/statusUpdated" if status else "store/order/created"
    return Webhook(STORE, order_id, "msg_1", scope, NOW - 1, NOW)


async def states_of(redis: ArqRedis, order_id: int = ORDER) -> list[str]:
    """All states that the order is in."""
    found = []
    for kind in (WINDOW, RECOVERY):
        has_job = await redis.exists(kind.key(STORE, order_id))
        is_due = await redis.zscore(kind.queue, kind.id(STORE, order_id)) is not None
        assert bool(has_job) == is_due, "a job is in its queue"
        found += [kind.function] if is_due else []
    for name, key in (("checks", verify_key(STORE)), ("parked", parked_key(STORE))):
        found += [name] if await redis.zscore(key, str(order_id)) is not None else []
    status = await redis.hget(entry_key(STORE, order_id), "status")  # type: ignore[misc]
    found += [] if status in (None, b"queued") else ["waiting" if status == b"waiting" else "ended"]
    reason = await redis.hget(entry_key(STORE, order_id), "reason")  # type: ignore[misc]
    for key, why in ((waiting_key(STORE), b'"incomplete"'), (awaiting_value_key(STORE), b'"value"')):
        is_polled = await redis.zscore(key, str(order_id)) is not None
        assert is_polled == (found == ["waiting"] and reason == why), (found, reason)
    is_held = await redis.zscore(held_key(STORE), str(order_id)) is not None
    assert is_held == (found == ["waiting"] and reason == b'"writes_off"'), (found, reason)
    return ["held"] if is_held else found


async def everything(redis: ArqRedis) -> dict[bytes, bytes | None]:
    return {key: await redis.dump(key) for key in await redis.keys("*")}


# ── an attempt ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_attempt_has_its_own_number(redis: ArqRedis) -> None:
    await queue_on(redis).accept(webhook())
    transitions = transitions_on(redis)

    first, refused = await transitions.begin_attempt(STORE, ORDER)
    second, _ = await transitions.begin_attempt(STORE, ORDER)

    assert (first.attempts, second.attempts, refused) == (1, 2, False)
    assert first.times[Stage.PICKED_UP] == second.times[Stage.PICKED_UP] == NOW


async def test_an_attempt_is_told_once_that_the_order_has_changed(redis: ArqRedis) -> None:
    await queue_on(redis).accept(webhook())
    await redis.hset(entry_key(STORE, ORDER), "again", "1")  # type: ignore[misc]
    transitions = transitions_on(redis)

    told = [(await transitions.begin_attempt(STORE, ORDER))[0].has_changed for _ in range(2)]

    assert told == [True, False]


async def test_an_attempt_reports_that_the_breaker_is_open(redis: ArqRedis) -> None:
    await Breaker(redis).open(STORE)
    _, refused = await transitions_on(redis).begin_attempt(STORE, ORDER)
    assert refused


@pytest.mark.parametrize("status", [status for status in Status if status.is_final])
async def test_an_attempt_at_a_finished_order_changes_nothing(redis: ArqRedis, status: Status) -> None:
    transitions = transitions_on(redis)
    await transitions.finish(Entry(STORE, ORDER, status=status, attempts=3))
    before = await everything(redis)

    entry, _ = await transitions.begin_attempt(STORE, ORDER)

    assert (entry.status, entry.attempts) == (status, 3)
    assert await everything(redis) == before


async def test_an_order_whose_entry_is_gone_is_new(redis: ArqRedis) -> None:
    entry, _ = await transitions_on(redis).begin_attempt(STORE, ORDER)
    assert (entry.status, entry.attempts, entry.sent) == (Status.QUEUED, 1, None)


@pytest.mark.parametrize("move", MOVES)
async def test_a_stale_attempt_cannot_write(redis: ArqRedis, move: str) -> None:
    await queue_on(redis).accept(webhook())
    await Breaker(redis).open(STORE)
    transitions = transitions_on(redis)
    stale, _ = await transitions.begin_attempt(STORE, ORDER)
    newer, _ = await transitions.begin_attempt(STORE, ORDER)
    newer.trouble = "of the newer attempt"
    await transitions.save(newer)
    before = await everything(redis)

    with pytest.raises(StaleAttempt):
        await MOVES[move](transitions, stale)

    assert await everything(redis) == before


@pytest.mark.parametrize("move", MOVES)
async def test_a_stale_attempt_does_not_reopen_a_finished_order(redis: ArqRedis, move: str) -> None:
    await queue_on(redis).accept(webhook())
    transitions = transitions_on(redis)
    stale, _ = await transitions.begin_attempt(STORE, ORDER)
    newer, _ = await transitions.begin_attempt(STORE, ORDER)
    newer.status, newer.verified = Status.CREATED, True
    await transitions.finish(newer)
    before = await everything(redis)

    with pytest.raises(StaleAttempt):
        await MOVES[move](transitions, stale)

    assert await everything(redis) == before


# ── one state ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("move", "state"),
    [
        ("save", "window"),
        ("recover", "recover"),
        ("check", "checks"),
        ("park", "parked"),
        ("wait", "waiting"),
        ("lack", "waiting"),
        ("hold", "held"),
        ("finish", "ended"),
    ],
)
async def test_each_transition_leads_to_one_state_also_when_repeated(redis: ArqRedis, move: str, state: str) -> None:
    await queue_on(redis).accept(webhook())
    await Breaker(redis).open(STORE)
    transitions = transitions_on(redis)
    entry, _ = await transitions.begin_attempt(STORE, ORDER)
    await redis.set(in_progress_key_prefix + WINDOW.id(STORE, ORDER), "me")

    for _ in range(2):  # a caller that gets no answer repeats it
        await MOVES[move](transitions, entry)
        assert await states_of(redis) == [state]

    assert await redis.exists(in_progress_key_prefix + WINDOW.id(STORE, ORDER)) == (move == "save")


@pytest.mark.parametrize("seed", range(20))
async def test_an_order_is_in_one_state_after_any_transitions(redis: ArqRedis, seed: int) -> None:
    chance = random.Random(seed)
    now = NOW

    def clock() -> float:
        return now

    transitions, queue = Transitions(redis, clock=clock), Queue(redis, clock=clock)
    breaker = Breaker(redis, clock=clock)
    later, held = WaitingOrders(redis, clock=lambda: now + 120.0), HeldOrders(redis, clock=clock)

    async def set_by_hand() -> None:
        known = await Ledger(redis).get(STORE, ORDER)
        assert known is not None
        values = {"po_number": SetValue("A", "ana", now)}
        assert await ValuesByHand(redis, clock=clock).write(known, values) in ("queued", "in_progress")

    async def move(name: str) -> None:
        if chance.random() < 0.5:
            await breaker.open(STORE)
        entry, _ = await transitions.begin_attempt(STORE, ORDER)
        if not entry.status.is_final:
            entry.by_hand_used = chance.choice([entry.by_hand.id if entry.by_hand else None, entry.by_hand_used])
            await MOVES[name](transitions, entry)

    events: list[Callable[[], Awaitable[object]]] = [
        *(partial(move, name) for name in MOVES),
        lambda: queue.wake_waiting(STORE, ORDER, source="metafield"),
        lambda: later.wake_due(STORE, most=10),
        lambda: queue.accept(webhook()),
        lambda: queue.accept(webhook(status=True)),
        lambda: queue.retry(STORE, ORDER),
        lambda: breaker.release(STORE),
        lambda: held.release(STORE),
        set_by_hand,
    ]
    await queue.accept(webhook())
    for _ in range(60):
        now += chance.random()
        await chance.choice(events)()
        found = await states_of(redis)
        assert len(found) == 1, found


async def test_an_order_in_recovery_is_due_after_its_delay(redis: ArqRedis) -> None:
    await transitions_on(redis).to_recovery(Entry(STORE, ORDER), 5.0)
    assert await redis.zscore(RECOVERY.queue, RECOVERY.id(STORE, ORDER)) == (NOW + 5) * 1000


async def test_the_verification_job_is_due_when_its_first_order_is(redis: ArqRedis) -> None:
    transitions = transitions_on(redis)
    await transitions.to_verification(Entry(STORE, 1), 4.0)
    await transitions.to_verification(Entry(STORE, 2), 0.5)
    await transitions.to_verification(Entry(STORE, 3), 2.0)
    assert await redis.zrange(VERIFY.queue, 0, -1, withscores=True) == [(VERIFY.id(STORE).encode(), (NOW + 0.5) * 1000)]


async def test_an_order_is_not_parked_once_the_credentials_are_accepted(redis: ArqRedis) -> None:
    transitions, breaker = transitions_on(redis), Breaker(redis, clock=lambda: NOW)
    await queue_on(redis).accept(webhook())
    entry, _ = await transitions.begin_attempt(STORE, ORDER)
    await breaker.open(STORE)
    await breaker.release(STORE)

    assert not await transitions.park(entry)

    assert await states_of(redis) == ["window"]


async def test_a_parked_order_has_a_probe(redis: ArqRedis) -> None:
    await Breaker(redis).open(STORE)
    await redis.delete(PROBE.queue, PROBE.key(STORE))  # the probe was just closed
    assert await transitions_on(redis).park(Entry(STORE, ORDER))

    assert await redis.zscore(PROBE.queue, PROBE.id(STORE)) == (NOW + FIRST_PROBE_S) * 1000
    assert await redis.exists(PROBE.key(STORE))


async def test_no_order_is_parked_once_the_others_were_released(redis: ArqRedis) -> None:
    transitions, breaker = transitions_on(redis), Breaker(redis, clock=lambda: NOW)
    await breaker.open(STORE)
    for order_id in range(1, 6):
        assert await transitions.park(Entry(STORE, order_id))

    assert await breaker.release(STORE) == 5
    assert not await breaker.is_open(STORE)
    assert [await states_of(redis, order_id) for order_id in range(1, 6)] == [["recover"]] * 5
    assert not await transitions.park(Entry(STORE, 6)), "nothing would release it any more"


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_status_change_during_an_attempt_leads_to_another_attempt(redis: ArqRedis) -> None:
    queue, transitions = queue_on(redis), transitions_on(redis)
    await queue.accept(webhook())
    entry, _ = await transitions.begin_attempt(STORE, ORDER)
    assert await queue.accept(webhook(status=True)) is EnqueueResult.IGNORED

    assert not await transitions.await_status(entry, ask_in=900.0)
    assert (entry.status, await states_of(redis)) == (Status.QUEUED, ["window"])
    assert await transitions.await_status(entry, ask_in=900.0)
    assert await states_of(redis) == ["waiting"]


async def test_a_waiting_order_starts_over_when_its_status_changes(redis: ArqRedis) -> None:
    queue, transitions = queue_on(redis), transitions_on(redis)
    await queue.accept(webhook())
    entry, _ = await transitions.begin_attempt(STORE, ORDER)
    entry.recovering_since = NOW - 86_400
    await transitions.await_status(entry, ask_in=900.0)

    assert await queue.accept(webhook(status=True)) is EnqueueResult.QUEUED

    requeued, _ = await transitions_on(redis, NOW + 5).begin_attempt(STORE, ORDER)
    assert (requeued.status, requeued.recovering_since) == (Status.QUEUED, None)
    assert requeued.times[Stage.PICKED_UP] == NOW + 5


async def test_orders_that_wait_for_a_value_share_a_job_that_is_due_with_the_first(redis: ArqRedis) -> None:
    transitions = transitions_on(redis)
    await transitions.await_value(Entry(STORE, 1), "Cost Center", retry_in=60.0)
    await transitions.await_value(Entry(STORE, 2), "po_number", retry_in=4.0)
    await transitions.await_value(Entry(STORE, 3), "po_number", retry_in=120.0)

    due = await redis.zrange(WAKE_WAITING.queue, 0, -1, withscores=True)
    assert due == [(WAKE_WAITING.id(STORE).encode(), (NOW + 4) * 1000)]
    assert await redis.exists(WAKE_WAITING.key(STORE))
    entry = await Ledger(redis).get(STORE, 1)
    assert entry is not None
    assert (entry.status, entry.reason, entry.rule) == (Status.WAITING, "value", "Cost Center")


@pytest.mark.parametrize(("age_s", "state"), [(9.9, "window"), (10.0, "recover"), (3600.0, "recover")])
async def test_a_woken_order_goes_to_the_queue_of_its_age(redis: ArqRedis, age_s: float, state: str) -> None:
    queue, transitions = queue_on(redis, NOW + age_s), transitions_on(redis, NOW + age_s)
    entry = Entry(STORE, ORDER, times={Stage.CREATED: NOW})
    await transitions.await_value(entry, "Cost Center", retry_in=60.0)

    assert await queue.wake_waiting(STORE, ORDER, source="order_updated")
    assert not await queue.wake_waiting(STORE, ORDER, source="order_updated"), "it is queued already"

    assert await states_of(redis) == [state]
    woken = await Ledger(redis).get(STORE, ORDER)
    assert woken is not None
    assert (woken.status, woken.reason, woken.rule, woken.woken_by) == (Status.QUEUED, None, None, "order_updated")


async def test_a_change_during_an_attempt_that_finds_no_value_leads_to_another_one(redis: ArqRedis) -> None:
    queue, transitions = queue_on(redis), transitions_on(redis)
    await queue.accept(webhook())
    entry, _ = await transitions.begin_attempt(STORE, ORDER)
    assert not await queue.wake_waiting(STORE, ORDER, source="metafield")

    assert not await transitions.await_value(entry, "Cost Center", retry_in=60.0)
    assert (entry.status, entry.reason, entry.rule) == (Status.QUEUED, None, None)
    assert await transitions.await_value(entry, "Cost Center", retry_in=60.0)
    assert await states_of(redis) == ["waiting"]


async def test_a_transition_that_is_repeated_after_the_order_was_woken_does_not_let_it_wait_again(
    redis: ArqRedis,
) -> None:
    """As when Redis's answer to the first one got lost."""
    queue, transitions = queue_on(redis, NOW + 60), transitions_on(redis, NOW + 60)
    entry = Entry(STORE, ORDER, times={Stage.CREATED: NOW})
    await transitions.await_value(entry, "Cost Center", retry_in=60.0)
    assert await queue.wake_waiting(STORE, ORDER, source="metafield")

    assert not await transitions.await_value(entry, "Cost Center", retry_in=60.0)
    assert await states_of(redis) == ["recover"]


async def test_an_attempt_sees_all_that_changed_before_it_began(redis: ArqRedis) -> None:
    queue, transitions = queue_on(redis), transitions_on(redis)
    await queue.accept(webhook())
    assert not await queue.wake_waiting(STORE, ORDER, source="metafield")
    entry, _ = await transitions.begin_attempt(STORE, ORDER)

    assert await transitions.await_value(entry, "Cost Center", retry_in=60.0)


async def test_a_poll_that_comes_during_an_attempt_changes_nothing(redis: ArqRedis) -> None:
    queue, transitions = queue_on(redis), transitions_on(redis)
    await queue.accept(webhook())
    entry, _ = await transitions.begin_attempt(STORE, ORDER)
    assert not await queue.wake_waiting(STORE, ORDER, source=POLL)
    assert await transitions.await_value(entry, "Cost Center", retry_in=60.0)


# ── retention ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_trimming_deletes_neither_failed_nor_unfinished_orders(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 2)
    transitions = transitions_on(redis)
    await queue_on(redis).accept(webhook(1))
    await transitions.await_status(Entry(STORE, 2), ask_in=900.0)
    await transitions.finish(Entry(STORE, 3, status=Status.FAILED))
    for order_id in range(4, 30):
        await transitions_on(redis, NOW + order_id).finish(Entry(STORE, order_id, status=Status.CREATED))

    ledger = Ledger(redis)
    known = [order_id for order_id in range(1, 30) if await ledger.get(STORE, order_id) is not None]
    assert known == [1, 2, 3, 28, 29]
    assert await redis.zcard(index_key(STORE)) == 2
    assert await redis.zrange(failed_key(STORE), 0, -1) == [b"3"]
    assert await queue_on(redis).accept(webhook(2, status=True)) is EnqueueResult.QUEUED
