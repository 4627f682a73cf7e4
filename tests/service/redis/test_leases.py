"""Leases in a real Redis: one holder at a time, until it gives the lease back or dies."""

from arq.connections import ArqRedis

from service.redis.leases import hold_lease, release_lease

KEY = "enrich:test:lease"
LONG_MS = 60_000


async def test_one_holds_it_and_may_renew_it(redis: ArqRedis) -> None:
    assert await hold_lease(redis, KEY, "a", ttl_ms=1000)
    assert not await hold_lease(redis, KEY, "b", ttl_ms=LONG_MS)
    assert await hold_lease(redis, KEY, "a", ttl_ms=LONG_MS)
    assert await redis.pttl(KEY) > 1000


async def test_only_its_holder_gives_it_back(redis: ArqRedis) -> None:
    await hold_lease(redis, KEY, "a", ttl_ms=LONG_MS)
    await release_lease(redis, KEY, "b")
    assert not await hold_lease(redis, KEY, "b", ttl_ms=LONG_MS)
    await release_lease(redis, KEY, "a")
    assert await hold_lease(redis, KEY, "b", ttl_ms=LONG_MS)


async def test_somebody_else_takes_it_once_it_has_ended(redis: ArqRedis) -> None:
    await hold_lease(redis, KEY, "a", ttl_ms=LONG_MS)
    await redis.delete(KEY)  # as Redis does when its time is over
    assert await hold_lease(redis, KEY, "b", ttl_ms=LONG_MS)
    assert not await hold_lease(redis, KEY, "a", ttl_ms=LONG_MS)
