"""What is remembered of a store's orders, and what it says when Redis does not answer."""

import pytest
from arq import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from service.orders.state.keys import order_type_misses_key
from service.orders.state.per_store.store_history import MAX_TYPE_MISSES, StoreHistory

STORE = "abc123"


@pytest.fixture
def history(redis: ArqRedis) -> StoreHistory:
    return StoreHistory(redis)


async def test_the_highest_order_whose_record_was_seen_counts(history: StoreHistory) -> None:
    assert not await history.has_later_record(STORE, 1)
    for order_id in (7, 9, 8):
        await history.note_record(STORE, order_id)
    seen = [await history.has_later_record(STORE, order_id) for order_id in (8, 9)]
    assert seen == [True, False]
    assert not await history.has_later_record("other", 8)


async def test_the_last_date_says_something_of_later_orders_only(history: StoreHistory) -> None:
    assert await history.date_before(STORE, 8) is None
    await history.note_date(STORE, 7, 1_700_000_000.0)
    dates = [await history.date_before(STORE, order_id) for order_id in (6, 7, 8)]
    assert dates == [None, None, 1_700_000_000.0]
    assert await history.date_before("other", 8) is None


async def test_orders_without_a_type_are_counted_until_one_has_it(redis: ArqRedis, history: StoreHistory) -> None:
    await redis.set(order_type_misses_key(STORE), MAX_TYPE_MISSES - 1)
    assert await history.is_order_type_expected(STORE, 7)
    await history.note_order_type(STORE, is_shown=False)
    assert not await history.is_order_type_expected(STORE, 7)
    await history.note_order_type(STORE, is_shown=True)
    assert await history.is_order_type_expected(STORE, 7)


async def test_a_redis_that_is_away_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch, redis: ArqRedis) -> None:
    async def away(*_: object, **__: object) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(redis, "execute_command", away)
    history = StoreHistory(redis)
    await history.note_date(STORE, 7, 1_700_000_000.0)
    await history.note_record(STORE, 9)
    await history.note_order_type(STORE, is_shown=False)
    assert await history.date_before(STORE, 8) is None
    assert not await history.has_later_record(STORE, 8)
    assert await history.is_order_type_expected(STORE, 8)
