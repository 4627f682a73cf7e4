"""What receivers note of a rehearsed store's webhooks, and what a rehearsal reads of it."""

import pytest
from arq import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from service.orders.rehearsal.webhook_watch import WebhookWatch
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.rehearsal_notes import LOOK_EVERY_S, RehearsalNotes
from service.orders.state.transitions import Transitions
from tests.fakes.sandbox import StillClock

STORE, SCOPE = "abc123", "store/order/metafield/created"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


async def test_the_first_event_of_a_rehearsed_order_is_noted(redis: ArqRedis, clock: StillClock) -> None:
    watch, notes = WebhookWatch(redis, STORE), RehearsalNotes(redis, clock=clock)
    await watch.open()
    for received_at in (100.5, 101.5):
        await notes.note(STORE, SCOPE, 7, received_at)

    assert await watch.received_at(7, SCOPE) == 100.5
    assert await watch.received_at(8, SCOPE) is None
    assert await watch.received_at(7, "store/order/updated") is None


async def test_nothing_is_noted_of_other_stores_or_after_the_rehearsal(redis: ArqRedis, clock: StillClock) -> None:
    watch, notes = WebhookWatch(redis, STORE), RehearsalNotes(redis, clock=clock)
    await watch.open()
    await notes.note("other", SCOPE, 7, 1.0)
    await watch.close()
    await notes.note(STORE, SCOPE, 7, 1.0)
    assert await redis.keys("*") == []


async def test_a_store_that_is_not_rehearsed_is_looked_up_every_two_seconds(
    redis: ArqRedis, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, looked, exists = RehearsalNotes(redis, clock=clock), list[str](), redis.exists

    async def counted(key: str) -> int:
        looked.append(key)
        return int(await exists(key))

    monkeypatch.setattr(redis, "exists", counted)
    for order_id in range(100):
        await notes.note(STORE, SCOPE, order_id, 1.0)
    clock.tick(LOOK_EVERY_S)
    await notes.note(STORE, SCOPE, None, 1.0)
    await WebhookWatch(redis, STORE).open()
    await notes.note(STORE, SCOPE, 7, 1.0)

    assert len(looked) == 2
    assert await WebhookWatch(redis, STORE).received_at(7, SCOPE) == 1.0


async def test_a_redis_that_is_away_is_not_the_webhooks_trouble(
    redis: ArqRedis, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RedisConnectionError("gone")

    monkeypatch.setattr(redis, "exists", fail)
    await RehearsalNotes(redis, clock=clock).note(STORE, SCOPE, 7, 1.0)


@pytest.mark.parametrize(
    ("source", "times", "age"),
    [
        ("webhook", {Stage.CREATED: 100.0, Stage.WEBHOOK_SENT: 100.0, Stage.RECEIVED: 101.5}, 1.5),
        ("webhook", {Stage.WEBHOOK_SENT: 100.0, Stage.RECEIVED: 101.5}, None),
        ("reconcile", {Stage.CREATED: 100.0}, None),
    ],
)
async def test_only_an_orders_own_webhook_counts(
    redis: ArqRedis, source: str, times: dict[Stage, float], age: float | None
) -> None:
    watch = WebhookWatch(redis, STORE)
    assert await watch.new_order_age(7) is None
    entry = Entry(STORE, 7, status=Status.SKIPPED, reason="rehearsal", source=source, times=times)
    await Transitions(redis).finish(entry)
    assert await watch.new_order_age(7) == age
