from collections.abc import AsyncIterator

import pytest
from arq import ArqRedis
from redis import exceptions

from service.redis import scripts
from service.redis.client import TRANSIENT_ERRORS, connect


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    async with connect(redis_url) as client:
        yield client


async def accept(redis: ArqRedis) -> object:
    keys = [f"key-{number}" for number in range(8)]
    args = ["window:abc:1", "{}", 1, 1, 1, "webhook", 0, "source", '"webhook"']
    return await scripts.load(redis, "service.orders.state", "accept")(keys=keys, args=args)


async def test_a_script_is_run(redis: ArqRedis) -> None:
    assert await accept(redis) == b"queued"


async def test_a_redis_that_cannot_write_for_now_is_told_from_a_broken_script(redis: ArqRedis) -> None:
    await redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(TRANSIENT_ERRORS):
            await accept(redis)
    finally:
        await redis.config_set("min-replicas-to-write", 0)


async def test_a_redis_that_is_full_is_told_from_a_broken_script(redis: ArqRedis) -> None:
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(exceptions.OutOfMemoryError):
            await accept(redis)
    finally:
        await redis.config_set("maxmemory", 0)


async def test_a_broken_key_is_no_passing_trouble(redis: ArqRedis) -> None:
    await redis.set("key-0", "not a hash")
    with pytest.raises(exceptions.ResponseError) as caught:
        await accept(redis)
    assert not isinstance(caught.value, TRANSIENT_ERRORS)
