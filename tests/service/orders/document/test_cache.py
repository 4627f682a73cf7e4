"""One store's cache: which calls it saves, and that its failures only cost calls."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from service.errors import NotFound, OutOfBudget, Refused, TryAgain, Unsure, WaitUntil
from service.orders.document import cache as cache_module
from service.orders.document.cache import NO_COMPANY_USER_TTL_S, Cache, ProcessMemory
from service.orders.state.keys import people_changed_key
from tests.fakes.sandbox import StillClock

KEY = "enrich:cache:abc123:company:12"


class Reading:
    """A scripted answer of BigCommerce, and how often it was read."""

    def __init__(self) -> None:
        self.answer: Any = {"id": 12}
        self.calls = 0

    async def __call__(self) -> Any:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def redis() -> FakeAsyncRedis:
    return FakeAsyncRedis()


@pytest.fixture
def locks() -> Reading:
    return Reading()


@pytest.fixture
def cache(redis: FakeAsyncRedis, clock: StillClock) -> Cache:
    return Cache(redis, "abc123", clock=clock)


async def get(cache: Cache, locks: Reading, **options: Any) -> Any:
    return await cache.get_or_read("company:12", locks, **{"fresh_s": 600.0, **options})


async def test_a_value_is_read_once_while_it_is_fresh(cache: Cache, locks: Reading, clock: StillClock) -> None:
    for _ in range(3):
        assert await get(cache, locks) == {"id": 12}
    clock.tick(599)
    await get(cache, locks)
    assert locks.calls == 1
    clock.tick(1)
    await get(cache, locks)
    assert locks.calls == 2


@pytest.mark.parametrize("value", [None, [], {}, "", 0, False, "lone surrogate \ud83d", [{"a": [None, 1.5]}]])
async def test_any_value_is_cached_unchanged(cache: Cache, locks: Reading, value: Any) -> None:
    locks.answer = value
    assert [await get(cache, locks), await get(cache, locks)] == [value, value]
    assert locks.calls == 1


async def test_a_value_that_is_not_accepted_is_read_again(cache: Cache, locks: Reading) -> None:
    await get(cache, locks)
    assert await get(cache, locks, accepts=lambda value: value["id"] == 12) == {"id": 12}
    assert locks.calls == 1
    locks.answer = {"id": 13}
    assert await get(cache, locks, accepts=lambda value: value["id"] == 13) == {"id": 13}
    assert locks.calls == 2


async def test_tasks_that_accept_the_same_value_read_it_once(cache: Cache, locks: Reading) -> None:
    await get(cache, locks)
    locks.answer = {"id": 13}
    read = await asyncio.gather(*(get(cache, locks, accepts=lambda value: value["id"] == 13) for _ in range(5)))
    assert (read, locks.calls) == ([{"id": 13}] * 5, 2)


async def test_stores_have_separate_caches(
    redis: FakeAsyncRedis, cache: Cache, locks: Reading, clock: StillClock
) -> None:
    await get(cache, locks)
    await get(Cache(redis, "other1", clock=clock), locks)
    assert locks.calls == 2


async def test_cached_values_expire(redis: FakeAsyncRedis, cache: Cache, locks: Reading) -> None:
    await get(cache, locks)
    assert 0 < await redis.ttl(KEY) <= 600
    await get(cache, locks, stale_s=86_400.0, refresh=True)
    assert 600 < await redis.ttl(KEY) <= 86_400


async def test_a_refresh_updates_the_cache_for_all(cache: Cache, locks: Reading) -> None:
    await get(cache, locks)
    locks.answer = {"id": 12, "new": True}
    assert await get(cache, locks, refresh=True) == locks.answer
    assert await get(cache, locks) == locks.answer
    assert locks.calls == 2


async def test_values_older_than_not_before_are_read_again_once(
    redis: FakeAsyncRedis, cache: Cache, locks: Reading, clock: StillClock
) -> None:
    await get(cache, locks)
    await cache.remember_no_company_user(7)
    locks.answer = {"id": 12, "corrected": True}
    clock.tick(1)
    newer = Cache(redis, "abc123", not_before=clock(), clock=clock)
    clock.tick(1)

    assert await get(newer, locks) == locks.answer
    assert not await newer.is_no_company_user(7)
    clock.tick(1)
    assert await get(newer, locks) == locks.answer
    assert await get(cache, locks) == locks.answer
    assert locks.calls == 2
    await newer.remember_no_company_user(7)
    assert await newer.is_no_company_user(7)


async def test_a_customer_who_became_a_company_user_can_be_forgotten(redis: FakeAsyncRedis, cache: Cache) -> None:
    await cache.remember_no_company_user(7)
    await cache.forget_no_company_user(7)
    assert not await cache.is_no_company_user(7)


@pytest.mark.parametrize("error", [TryAgain("x", "x"), Unsure("x", "x"), WaitUntil("x", "x", seconds=1)])
async def test_a_stale_value_is_returned_when_reading_fails_for_now(
    cache: Cache, locks: Reading, clock: StillClock, error: Exception
) -> None:
    await get(cache, locks, stale_s=86_400.0)
    clock.tick(3600)
    locks.answer = error
    assert await get(cache, locks, stale_s=86_400.0) == {"id": 12}
    with pytest.raises(type(error)):
        await get(cache, locks)


@pytest.mark.parametrize("error", [NotFound("x", "x"), Refused("x", "x")])
async def test_a_permanent_error_is_not_hidden_by_a_stale_value(
    cache: Cache, locks: Reading, clock: StillClock, error: Exception
) -> None:
    await get(cache, locks, stale_s=86_400.0)
    clock.tick(3600)
    locks.answer = error
    with pytest.raises(type(error)):
        await get(cache, locks, stale_s=86_400.0)


@pytest.mark.parametrize(
    "garbage",
    ["garbage", b"\xff\xfe", "3", "[]", "[1]", "[1, 2, 3]", '["x", {}]', "[null, {}]", '{"v": 2}', '"ab"', "[[1], 2]"],
)
async def test_an_unreadable_entry_only_costs_a_call(
    redis: FakeAsyncRedis, cache: Cache, locks: Reading, garbage: str | bytes
) -> None:
    await redis.set(KEY, garbage)
    assert await get(cache, locks) == {"id": 12}
    assert json.loads(await redis.get(KEY))[1] == {"id": 12}


async def test_no_company_user_is_remembered_for_five_minutes(
    redis: FakeAsyncRedis, cache: Cache, clock: StillClock
) -> None:
    assert not await cache.is_no_company_user(7)
    await cache.remember_no_company_user(7, keep_s=7200.0)
    assert await cache.is_no_company_user(7)
    assert not await cache.is_no_company_user(8)
    answered_at = clock()
    clock.tick(NO_COMPANY_USER_TTL_S)
    assert not await cache.is_no_company_user(7)
    assert await cache.no_company_user_at(7) == pytest.approx(answered_at), "that orders were skipped stays known"
    assert NO_COMPANY_USER_TTL_S < await redis.ttl("enrich:cache:abc123:no-company-user:7") <= 7200


@pytest.mark.parametrize(("asked_s", "changed_s", "holds"), [(0, -1, True), (0, 1, False), (-3, -1, False)])
async def test_an_answer_from_before_a_change_of_people_is_void(
    redis: FakeAsyncRedis, cache: Cache, clock: StillClock, asked_s: int, changed_s: int, holds: bool
) -> None:
    await cache.remember_no_company_user(7, asked_at=clock() + asked_s)
    await redis.set(people_changed_key("abc123"), round((clock() + changed_s) * 1000))
    clock.tick(2)
    assert await cache.is_no_company_user(7) is holds


async def test_without_redis_values_live_as_long_as_the_cache(locks: Reading, clock: StillClock) -> None:
    cache = Cache(None, "abc123", clock=clock)
    assert [await get(cache, locks), await get(cache, locks)] == [{"id": 12}] * 2
    assert locks.calls == 1
    clock.tick(600)
    await get(cache, locks)
    await get(Cache(None, "abc123", clock=clock), locks)
    assert locks.calls == 3


async def test_without_redis_returned_values_may_be_modified(locks: Reading) -> None:
    cache = Cache(None, "abc123")
    (await get(cache, locks))["id"] = 13
    (await get(cache, locks))["id"] = 13
    locks.answer = None
    assert await get(cache, locks) == {"id": 12}


async def test_without_redis_no_company_user_is_cached_until_it_is_forgotten(locks: Reading) -> None:
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
async def test_an_unavailable_redis_only_costs_calls(
    redis: FakeAsyncRedis, cache: Cache, locks: Reading, error: type[RedisError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "get", failing(error("unavailable")))
    monkeypatch.setattr(redis, "set", failing(error("unavailable")))
    assert await get(cache, locks) == {"id": 12}
    assert await get(cache, locks) == {"id": 12}
    await cache.remember_no_company_user(7)
    assert not await cache.is_no_company_user(7)
    assert locks.calls == 2


async def test_concurrent_requests_read_a_value_once(redis: FakeAsyncRedis) -> None:
    memory = ProcessMemory()
    calls = 0

    async def read() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return 12

    caches = [Cache(redis, "abc123", memory=memory) for _ in range(20)]
    found = await asyncio.gather(*(cache.get_or_read("thing", read, fresh_s=600) for cache in caches))

    assert found == [12] * 20
    assert calls == 1
    assert len(memory.locks) == 0


async def test_a_value_in_memory_saves_the_question_to_redis_until_it_is_read_anew(redis: FakeAsyncRedis) -> None:
    memory, values = ProcessMemory(), iter((1, 2, 3))
    cache = Cache(redis, "abc123", memory=memory)

    async def read() -> int:
        return next(values)

    async def get(*, refresh: bool = False) -> int:
        found: int = await cache.get_or_read("thing", read, fresh_s=600, in_memory=True, refresh=refresh)
        return found

    assert (await get(), await get()) == (1, 1)
    await redis.set("enrich:cache:abc123:thing", json.dumps([time.time(), 10]))  # another process has read it anew
    assert (await get(), await cache.peek("thing", in_memory=True)) == (1, 1)
    assert await cache.peek("thing") == 10
    assert await get(refresh=True) == 2
    assert await get() == 2
    await cache.forget()
    assert await get() == 3


async def test_a_value_in_memory_is_asked_for_again_soon(
    redis: FakeAsyncRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MEMORY_S", 0.0)
    cache = Cache(redis, "abc123")
    for value in (1, 2):
        await redis.set("enrich:cache:abc123:thing", json.dumps([time.time(), value]))
        assert await cache.peek("thing", in_memory=True) == value


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MOST_IN_MEMORY", 10)
    memory = ProcessMemory()
    for number in range(100):
        memory.keep(str(number), (0.0, number))
    assert len(memory._kept) <= 10


async def test_a_value_in_memory_is_parsed_once(redis: FakeAsyncRedis) -> None:
    cache, parsed = Cache(redis, "abc123", memory=ProcessMemory()), list[Any]()

    async def read() -> Any:
        return ["1", "2"]

    def parse(value: list[str]) -> list[int]:
        parsed.append(value)
        return [int(each) for each in value]

    async def get(*, refresh: bool = False) -> list[int]:
        value = await cache.get_or_read("thing", read, fresh_s=600, in_memory=True, refresh=refresh)
        return cache.parse("thing", value, parse)

    await get()
    first = await get()
    count = len(parsed)

    assert first == [1, 2]
    assert await get() is first
    assert len(parsed) == count
    assert (await get(refresh=True), len(parsed)) == ([1, 2], count + 1), "another answer is parsed anew"


async def test_a_value_that_cannot_be_parsed_is_tried_again(redis: FakeAsyncRedis) -> None:
    cache, value = Cache(redis, "abc123", memory=ProcessMemory()), ["one"]
    for _ in range(2):
        with pytest.raises(ValueError, match="one"):
            cache.parse("thing", value, lambda texts: [int(each) for each in texts])


@pytest.mark.parametrize(("error", "expected"), [(TryAgain("read", "503"), 1), (OutOfBudget("read", seconds=9.0), 20)])
async def test_tasks_that_wait_for_a_read_that_fails_do_not_try_one_after_another(
    error: Exception, expected: int
) -> None:
    """A server that does not answer would keep the last of them waiting for many timeouts. Quota is another thing: one
    of a higher priority may have some."""
    memory, tries, go = ProcessMemory(), 0, asyncio.Event()

    async def read() -> Any:
        nonlocal tries
        tries += 1
        await go.wait()
        raise error

    async def get() -> Any:
        return await Cache(None, "abc123", memory=memory).get_or_read("thing", read, fresh_s=600)

    waiting = [asyncio.create_task(get()) for _ in range(20)]
    await asyncio.sleep(0)
    go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert results == [error] * 20
    assert tries == expected
    with pytest.raises(type(error)):
        await get()
    assert tries == expected + 1, "who asks later tries again"


async def test_tasks_that_wait_for_a_read_that_fails_get_what_was_cached_before(redis: FakeAsyncRedis) -> None:
    memory, tries = ProcessMemory(), 0
    await redis.set("enrich:cache:abc123:thing", json.dumps([time.time() - 1000.0, "old"]))

    async def read() -> Any:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.05)
        raise TryAgain("read", "503")

    async def get() -> Any:
        cache = Cache(redis, "abc123", memory=memory)
        return await cache.get_or_read("thing", read, fresh_s=600, stale_s=86_400)

    assert await asyncio.gather(*(get() for _ in range(20))) == ["old"] * 20
    assert tries == 1
