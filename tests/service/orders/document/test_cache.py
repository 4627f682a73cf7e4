"""One store's cache: what it saves, what it never costs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from service.errors import NotFound, Refused, TryAgain, Unsure, WaitUntil
from service.orders.document.cache import NO_COMPANY_USER_S, Cache
from tests.fakes.sandbox import StillClock

KEY = "enrich:cache:abc123:company:12"


class Reading:
    """What BigCommerce would say, and how often it was asked."""

    def __init__(self) -> None:
        self.says: Any = {"id": 12}
        self.asked = 0

    async def __call__(self) -> Any:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def redis() -> FakeAsyncRedis:
    return FakeAsyncRedis()


@pytest.fixture
def reading() -> Reading:
    return Reading()


@pytest.fixture
def cache(redis: FakeAsyncRedis, clock: StillClock) -> Cache:
    return Cache(redis, "abc123", clock=clock)


async def get(cache: Cache, reading: Reading, **options: Any) -> Any:
    return await cache.get_or_read("company:12", reading, **{"fresh_s": 600.0, **options})


async def test_a_value_is_read_once_while_it_is_fresh(cache: Cache, reading: Reading, clock: StillClock) -> None:
    for _ in range(3):
        assert await get(cache, reading) == {"id": 12}
    clock.tick(599)
    await get(cache, reading)
    assert reading.asked == 1
    clock.tick(1)
    await get(cache, reading)
    assert reading.asked == 2


@pytest.mark.parametrize("value", [None, [], {}, "", 0, False, "half a pair \ud83d", [{"a": [None, 1.5]}]])
async def test_any_answer_is_kept_as_it_is(cache: Cache, reading: Reading, value: Any) -> None:
    reading.says = value
    assert [await get(cache, reading), await get(cache, reading)] == [value, value]
    assert reading.asked == 1


async def test_stores_share_nothing(redis: FakeAsyncRedis, cache: Cache, reading: Reading, clock: StillClock) -> None:
    await get(cache, reading)
    await get(Cache(redis, "other1", clock=clock), reading)
    assert reading.asked == 2


async def test_what_is_kept_does_not_stay_for_ever(redis: FakeAsyncRedis, cache: Cache, reading: Reading) -> None:
    await get(cache, reading)
    assert 0 < await redis.ttl(KEY) <= 600
    await get(cache, reading, stale_s=86_400.0, refresh=True)
    assert 600 < await redis.ttl(KEY) <= 86_400


async def test_a_refresh_reads_again_for_all(cache: Cache, reading: Reading) -> None:
    await get(cache, reading)
    reading.says = {"id": 12, "new": True}
    assert await get(cache, reading, refresh=True) == reading.says
    assert await get(cache, reading) == reading.says
    assert reading.asked == 2


async def test_what_was_read_before_something_was_mended_is_read_again_once(
    redis: FakeAsyncRedis, cache: Cache, reading: Reading, clock: StillClock
) -> None:
    await get(cache, reading)
    await cache.remember_no_company_user(7)
    reading.says = {"id": 12, "mended": True}
    clock.tick(1)
    anew = Cache(redis, "abc123", not_before=clock(), clock=clock)
    clock.tick(1)

    assert await get(anew, reading) == reading.says
    assert not await anew.is_no_company_user(7)
    clock.tick(1)
    assert await get(anew, reading) == reading.says
    assert await get(cache, reading) == reading.says
    assert reading.asked == 2
    await anew.remember_no_company_user(7)
    assert await anew.is_no_company_user(7)


async def test_the_buyer_of_a_company_is_remembered_no_longer(redis: FakeAsyncRedis, cache: Cache) -> None:
    await cache.remember_no_company_user(7)
    await cache.forget_no_company_user(7)
    assert not await cache.is_no_company_user(7)


@pytest.mark.parametrize("trouble", [TryAgain("x", "x"), Unsure("x", "x"), WaitUntil("x", "x", seconds=1)])
async def test_a_stale_value_serves_while_reading_fails_for_now(
    cache: Cache, reading: Reading, clock: StillClock, trouble: Exception
) -> None:
    await get(cache, reading, stale_s=86_400.0)
    clock.tick(3600)
    reading.says = trouble
    assert await get(cache, reading, stale_s=86_400.0) == {"id": 12}
    with pytest.raises(type(trouble)):
        await get(cache, reading)


@pytest.mark.parametrize("error", [NotFound("x", "x"), Refused("x", "x")])
async def test_a_verdict_is_not_hidden_by_a_stale_value(
    cache: Cache, reading: Reading, clock: StillClock, error: Exception
) -> None:
    await get(cache, reading, stale_s=86_400.0)
    clock.tick(3600)
    reading.says = error
    with pytest.raises(type(error)):
        await get(cache, reading, stale_s=86_400.0)


@pytest.mark.parametrize(
    "garbage",
    ["garbage", b"\xff\xfe", "3", "[]", "[1]", "[1, 2, 3]", '["x", {}]', "[null, {}]", '{"v": 2}', '"ab"', "[[1], 2]"],
)
async def test_garbage_costs_a_call(
    redis: FakeAsyncRedis, cache: Cache, reading: Reading, garbage: str | bytes
) -> None:
    await redis.set(KEY, garbage)
    assert await get(cache, reading) == {"id": 12}
    assert json.loads(await redis.get(KEY))[1] == {"id": 12}


async def test_who_is_no_company_user_is_remembered_for_an_hour(redis: FakeAsyncRedis, cache: Cache) -> None:
    assert not await cache.is_no_company_user(7)
    await cache.remember_no_company_user(7)
    assert await cache.is_no_company_user(7)
    assert not await cache.is_no_company_user(8)
    assert 0 < await redis.ttl("enrich:cache:abc123:no-company-user:7") <= NO_COMPANY_USER_S


async def test_without_redis_values_are_kept_as_long_as_the_cache(reading: Reading, clock: StillClock) -> None:
    cache = Cache(None, "abc123", clock=clock)
    assert [await get(cache, reading), await get(cache, reading)] == [{"id": 12}] * 2
    assert reading.asked == 1
    clock.tick(600)
    await get(cache, reading)
    await get(Cache(None, "abc123", clock=clock), reading)
    assert reading.asked == 3


async def test_without_redis_what_was_handed_out_may_be_changed(reading: Reading) -> None:
    cache = Cache(None, "abc123")
    (await get(cache, reading))["id"] = 13
    (await get(cache, reading))["id"] = 13
    reading.says = None
    assert await get(cache, reading) == {"id": 12}


async def test_without_redis_who_is_no_company_user_is_remembered_until_it_is_forgotten(reading: Reading) -> None:
    cache = Cache(None, "abc123")
    for forget in (cache.forget, lambda: cache.forget_no_company_user(7)):
        await cache.remember_no_company_user(7)
        assert (await cache.is_no_company_user(7), await cache.is_no_company_user(8)) == (True, False)
        await forget()
        assert not await cache.is_no_company_user(7)


def failing(error: RedisError) -> Callable[..., Awaitable[Any]]:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", [RedisConnectionError, ReadOnlyError, OutOfMemoryError, BusyLoadingError])
async def test_a_redis_that_is_away_costs_calls_only(
    redis: FakeAsyncRedis, cache: Cache, reading: Reading, error: type[RedisError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "get", failing(error("away")))
    monkeypatch.setattr(redis, "set", failing(error("away")))
    assert await get(cache, reading) == {"id": 12}
    assert await get(cache, reading) == {"id": 12}
    await cache.remember_no_company_user(7)
    assert not await cache.is_no_company_user(7)
    assert reading.asked == 2


async def test_what_many_want_at_the_same_moment_is_read_once(redis: FakeAsyncRedis) -> None:
    shared: dict[str, asyncio.Lock] = {}
    asked = 0

    async def read() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return 12

    caches = [Cache(redis, "abc123", reading=shared) for _ in range(20)]
    found = await asyncio.gather(*(cache.get_or_read("thing", read, fresh_s=600) for cache in caches))

    assert found == [12] * 20
    assert asked == 1
    assert shared == {}
