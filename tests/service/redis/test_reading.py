"""Reading many small values in one answer."""

import pytest
from arq import ArqRedis
from redis.exceptions import ResponseError

from service.redis.reading import pairs, read_together


async def test_each_command_has_its_answer_in_order(redis: ArqRedis) -> None:
    await redis.hset("hash", mapping={"a": "1", "ü": "é"})  # type: ignore[misc]
    await redis.zadd("scores", {"x": 1.5})
    commands = [
        *[("GET", "nothing"), ("HMGET", "hash", "a", "nothing"), ("HGETALL", "hash"), ("HGETALL", "nothing")],
        *[("ZRANGE", "scores", 0, 0, "WITHSCORES"), ("ZCARD", "scores"), ("EXISTS", "nothing")],
    ]
    found = await read_together(redis, commands)
    assert found[:2] == [None, ("1", None)]
    assert (pairs(found[2]), pairs(found[3])) == ({"a": "1", "ü": "é"}, {})
    assert found[4:] == [("x", "1.5"), 1, 0]


async def test_more_commands_than_one_script_takes_are_all_answered(redis: ArqRedis) -> None:
    await redis.mset({f"key:{number}": str(number) for number in range(1001)})
    found = await read_together(redis, [("GET", f"key:{number}") for number in range(1001)])
    assert found == [str(number) for number in range(1001)]
    assert await read_together(redis, []) == []


async def test_a_command_that_fails_is_an_error(redis: ArqRedis) -> None:
    await redis.set("text", "x")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await read_together(redis, [("ZCARD", "text")])
