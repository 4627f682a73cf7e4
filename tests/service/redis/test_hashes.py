"""Reading a few fields of many hashes."""

import pytest
from arq import ArqRedis

from service.redis.hashes import read_fields


async def test_fields_of_more_hashes_than_one_script_reads_come_in_order(redis: ArqRedis) -> None:
    keys = [f"hash:{number}" for number in range(1100)]
    async with redis.pipeline(transaction=False) as pipe:
        for number, key in enumerate(keys):
            if number % 10:
                pipe.hset(key, mapping={"a": f"a{number}", "other": "x", **({"b": "ü"} if number % 2 else {})})
        await pipe.execute()
    await redis.config_resetstat()

    found = await read_fields(redis, keys, ["b", "a"])

    assert found == [
        ("ü" if number % 2 else None, f"a{number}") if number % 10 else (None, None) for number in range(1100)
    ]
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] <= 3 + 1


@pytest.mark.parametrize("names", [["a"], [f"n{number}" for number in range(300)]])
async def test_no_hashes_are_no_rows(redis: ArqRedis, names: list[str]) -> None:
    assert await read_fields(redis, [], names) == []
    assert await read_fields(redis, ["missing"], names) == [(None,) * len(names)]
