"""The breaker of the storefront API: short after one failure, longer with each failed trial, one trial at a time."""

import asyncio

import pytest
from arq import ArqRedis
from redis.asyncio import Redis

from service.orders.state.keys import storefront_closed_key, storefront_failures_key
from service.orders.state.per_store.storefront.storefront_breaker import (
    ASK_AGAIN_S,
    FIRST_CLOSED_S,
    KEEP_S,
    OVER_QUOTA_S,
    TRIAL_S,
    Permission,
    StorefrontBreaker,
)

STORE = "abc123"
CLOSED, FAILURES = storefront_closed_key(STORE), storefront_failures_key(STORE)


@pytest.fixture
def breaker(redis: ArqRedis) -> StorefrontBreaker:
    return StorefrontBreaker(redis, STORE)


async def asks(breaker: StorefrontBreaker) -> Permission:
    return await breaker.acquire(await breaker.state())


async def closed_ms(redis: ArqRedis) -> int:
    return int(await redis.pttl(CLOSED))


async def time_passes(redis: ArqRedis) -> None:
    """The closure is over, and so is a trial."""
    await redis.delete(CLOSED)


async def fail(breaker: StorefrontBreaker, redis: ArqRedis, times: int) -> Permission:
    """So many failures in a row, and the permission of the trial that follows."""
    for _ in range(times):
        await breaker.failed(await asks(breaker), "503")
        await time_passes(redis)
    return await asks(breaker)


async def test_the_first_failure_closes_the_way_for_two_seconds(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    permission = await asks(breaker)
    assert permission == Permission()
    failure = await breaker.failed(permission, "Create an Order: 503")
    assert (failure.closed_s, failure.is_counted, failure.is_news) == (2.0, True, True)
    assert 1000 < await closed_ms(redis) <= 2000
    assert KEEP_S - 60 < await redis.ttl(FAILURES) <= KEEP_S

    state, denied = await breaker.read(), await asks(breaker)
    assert (state.failures, state.trouble, state.is_over_quota) == (1, "Create an Order: 503", False)
    assert 0 < denied.retry_in_s <= FIRST_CLOSED_S
    assert denied.is_denied_for_failures
    assert (await asks(StorefrontBreaker(redis, "other"))).is_granted


async def test_the_way_is_tried_again_when_the_closure_has_expired(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    await breaker.failed(Permission(), "503")
    await redis.pexpire(CLOSED, 1)
    async with asyncio.timeout(5.0):
        while not (permission := await asks(breaker)).is_granted:  # noqa: ASYNC110 - Redis lets it expire
            await asyncio.sleep(0.001)
    assert permission.trial


async def test_each_failed_trial_doubles_the_seconds_up_to_60(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    seconds = []
    for number in range(8):
        failure = await breaker.failed(await asks(breaker), f"trouble {number}")
        assert failure.is_news is (number == 0)
        assert await closed_ms(redis) <= failure.closed_s * 1000 < await closed_ms(redis) + 1000
        seconds.append(failure.closed_s)
        await time_passes(redis)
    assert seconds == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert (await breaker.read()).trouble == "trouble 7"


async def test_of_failures_at_the_same_time_only_the_first_counts(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    """Twenty orders were on their way when the storefront failed: that is one failure, not twenty."""
    permissions = [await asks(breaker) for _ in range(20)]
    failures = await asyncio.gather(*(breaker.failed(permission, "503") for permission in permissions))
    counted = sorted((failure.is_counted, failure.is_news) for failure in failures)
    assert counted == [(False, False)] * 19 + [(True, True)]
    assert (await breaker.read()).failures == 1
    assert await closed_ms(redis) <= 2000

    await time_passes(redis)
    late = await breaker.failed(permissions[0], "a time-out of before")
    assert not late.is_counted
    assert await redis.exists(CLOSED) == 0


async def test_one_order_tries_the_way_and_the_others_do_not(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    await breaker.failed(Permission(), "503")
    await time_passes(redis)
    asked = await asyncio.gather(*(asks(breaker) for _ in range(20)))
    (trial,) = [permission for permission in asked if permission.is_granted]
    assert trial.trial
    assert {permission.retry_in_s for permission in asked if not permission.is_granted} == {ASK_AGAIN_S}
    assert (await asks(breaker)).retry_in_s == ASK_AGAIN_S
    assert (TRIAL_S - 1) * 1000 < await closed_ms(redis) <= TRIAL_S * 1000, "a worker may die during its trial"


async def test_the_first_success_opens_the_way_for_all(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    trial = await fail(breaker, redis, 3)
    assert await breaker.succeeded(trial)
    assert await redis.exists(CLOSED, FAILURES) == 0
    assert [await asks(breaker) for _ in range(3)] == [Permission()] * 3
    assert not await breaker.succeeded(trial), "it is told once"
    assert (await breaker.failed(Permission(), "503")).closed_s == FIRST_CLOSED_S, "and begins anew"


async def test_a_success_of_before_the_failure_does_not_open_the_way(breaker: StorefrontBreaker) -> None:
    before = await asks(breaker)
    await breaker.failed(before, "503")
    assert not await breaker.succeeded(before)
    assert not (await asks(breaker)).is_granted


async def test_a_trial_that_says_nothing_is_followed_by_another(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    trial = await fail(breaker, redis, 1)
    await breaker.release(trial)
    following = await asks(breaker)
    assert following.trial not in ("", trial.trial)
    await breaker.release(trial)
    assert not (await asks(breaker)).is_granted, "it is no lease of his any more"
    assert (await breaker.failed(following, "503")).closed_s == 2 * FIRST_CLOSED_S


async def test_a_trial_that_took_too_long_changes_nothing(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    """Its worker was frozen, and another order has tried and failed meanwhile."""
    slow = await fail(breaker, redis, 1)
    await time_passes(redis)
    other = await asks(breaker)
    await breaker.failed(other, "503")
    before = await closed_ms(redis)
    assert not (await breaker.failed(slow, "503")).is_counted
    assert (await breaker.read()).failures == 2
    assert before - 1000 < await closed_ms(redis) <= before


async def test_a_failed_trial_never_holds_the_way_closed_for_nothing(
    breaker: StorefrontBreaker, redis: ArqRedis
) -> None:
    """A last chance has succeeded meanwhile: what the trial knew is out of date."""
    trial = await fail(breaker, redis, 1)
    assert await breaker.succeeded(Permission(retry_in_s=1.0, failures=1).of_last_chance())
    assert not (await breaker.failed(trial, "503")).is_counted
    assert await asks(breaker) == Permission()


async def test_a_last_chance_sets_no_pace_but_its_success_opens_the_way(
    breaker: StorefrontBreaker, redis: ArqRedis
) -> None:
    await breaker.failed(Permission(), "503")
    chance = (await asks(breaker)).of_last_chance()
    assert chance.is_granted
    assert not (await breaker.failed(chance, "503")).is_counted
    assert ((await breaker.read()).failures, await closed_ms(redis) <= 2000) == (1, True)

    assert await breaker.succeeded(chance)
    assert await asks(breaker) == Permission()


async def test_a_429_closes_the_way_for_a_minute(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    assert await breaker.over_quota(await asks(breaker))
    assert not await breaker.over_quota(Permission()), "closed already"
    assert 59_000 < await closed_ms(redis) <= OVER_QUOTA_S * 1000
    denied = await asks(breaker)
    assert 59.0 < denied.retry_in_s <= 60.0
    assert not denied.is_denied_for_failures
    assert (await breaker.read()).is_over_quota

    await breaker.failed(Permission(), "503")
    assert await closed_ms(redis) > 58_000, "a failure does not make it shorter"
    assert not (await asks(breaker)).is_denied_for_failures
    assert not await breaker.succeeded(Permission(failures=0))
    await time_passes(redis)
    assert (await asks(breaker)).trial, "and it is one order that tries it after that"


async def test_a_trial_that_gets_429_closes_the_way_for_a_minute(breaker: StorefrontBreaker, redis: ArqRedis) -> None:
    assert await breaker.over_quota(await fail(breaker, redis, 1))
    assert await closed_ms(redis) > 58_000
    await breaker.succeeded(Permission(failures=1))
    assert await closed_ms(redis) > 58_000, "a last chance of before does not open it"


async def test_without_redis_the_way_is_open() -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nowhere:
        for redis in (None, nowhere):
            breaker = StorefrontBreaker(redis, STORE)
            assert await asks(breaker) == Permission()
            failure = await breaker.failed(Permission(), "503")
            assert (failure.closed_s, failure.is_counted, failure.is_news) == (FIRST_CLOSED_S, False, False)
            assert not await breaker.over_quota(Permission())
            trial = Permission(failures=1, trial="trial:1")
            assert not await breaker.succeeded(trial)
            await breaker.release(trial)
