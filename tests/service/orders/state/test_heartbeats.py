"""The heartbeats of workers and receivers."""

from collections import Counter

from service.orders.state.heartbeats import Heartbeats, own_version
from service.redis.client import connect


async def test_workers_and_receivers_are_counted_apart_and_by_version(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        workers, receivers = Heartbeats(redis), Heartbeats(redis, "receivers")
        await workers.write("a:1", 3)
        await receivers.write("a:2")
        # An older version writes no version.
        await redis.sadd("enrich:workers", "b:1")  # type: ignore[misc]
        await redis.set("enrich:workers:b:1", 0)
        assert (await workers.alive()).versions == Counter({own_version(): 1, None: 1})
        assert (await receivers.alive()).versions == Counter({own_version(): 1})
        assert sorted(await workers.running()) == [0, 3]


async def test_a_process_that_stopped_or_died_is_not_alive(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        workers = Heartbeats(redis)
        for name in ("stopped", "died", "lives"):
            await workers.write(name)
        await workers.remove("stopped")
        await redis.delete("enrich:workers:died")  # as after ten seconds
        assert (await workers.alive()).count == 1
        assert 0 < await redis.pttl("enrich:workers:lives") <= 10_000
        assert await redis.exists("enrich:workers:stopped:version") == 0
