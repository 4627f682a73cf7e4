"""Commands of the same moment share a round trip to Redis, and behave as if each had its own."""

import asyncio
from contextlib import suppress

import pytest
from arq import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, ResponseError

from service.orders.state.lua import begin_attempt
from service.redis.client import connect
from service.redis.pipelining import PipeliningRedis, _Command
from tests.fakes.redis.server import running_redis


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commands each round trip had."""
    sizes: list[int] = []
    send = PipeliningRedis._send

    async def counted(self: PipeliningRedis, commands: list[_Command]) -> None:
        sizes.append(len(commands))
        await send(self, commands)

    monkeypatch.setattr(PipeliningRedis, "_send", counted)
    return sizes


async def test_commands_of_one_moment_are_sent_together_and_each_gets_its_answer(
    redis: ArqRedis, round_trips: list[int]
) -> None:
    answers = await asyncio.gather(*(redis.incrby("n", step) for step in (1, 10, 100)), redis.get("other"))
    assert answers == [1, 11, 111, None]
    assert round_trips == [4]


async def test_commands_one_after_the_other_are_sent_one_by_one(redis: ArqRedis, round_trips: list[int]) -> None:
    await redis.set("n", 1)
    assert await redis.incr("n") == 2
    assert round_trips == [1, 1]


async def test_many_commands_are_cut_into_several_round_trips(redis: ArqRedis, round_trips: list[int]) -> None:
    answers = await asyncio.gather(*(redis.incr("n") for _ in range(250)))
    assert sorted(answers) == list(range(1, 251))
    assert round_trips == [100, 100, 50]


async def test_a_failing_command_fails_for_its_caller_only(redis: ArqRedis, round_trips: list[int]) -> None:
    await redis.set("text", "x")
    good, bad, other = await asyncio.gather(
        redis.incr("n"), redis.incr("text"), redis.incr("n"), return_exceptions=True
    )
    assert (good, other) == (1, 2)
    assert isinstance(bad, ResponseError)
    assert round_trips == [1, 3]


async def test_a_command_that_cannot_be_encoded_fails_for_its_caller_only(redis: ArqRedis) -> None:
    commands = [("INCR", "n"), ("SET", "x", None), ("SET", "x", "\ud800"), ("INCR", "n")]
    asked = [redis.execute_command(*command) for command in commands]  # type: ignore[no-untyped-call]
    good, nothing, half, other = await asyncio.gather(*asked, return_exceptions=True)
    assert {good, other} == {1, 2}
    assert (type(nothing), type(half)) == (DataError, UnicodeEncodeError)


async def test_a_script_that_redis_does_not_know_yet_is_loaded_for_all_callers(redis: ArqRedis) -> None:
    await redis.script_flush()
    attempts = [begin_attempt(redis, entry=f"entry:{number}", breaker="breaker", now_ms=1000) for number in range(5)]
    assert [is_open for is_open, _ in await asyncio.gather(*attempts)] == [0] * 5


async def test_a_cancelled_command_does_not_cancel_others(redis: ArqRedis) -> None:
    first, second = asyncio.ensure_future(redis.incr("n")), asyncio.ensure_future(redis.incr("n"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second in (1, 2)
    with suppress(asyncio.CancelledError):
        await first


async def test_a_broken_connection_fails_all_commands_that_share_it() -> None:
    async with running_redis() as server, connect(server.url) as redis:
        await redis.ping()
        server.kill()
        answers = await asyncio.gather(*(redis.get("n") for _ in range(3)), return_exceptions=True)
    assert [isinstance(answer, RedisConnectionError) for answer in answers] == [True] * 3


async def test_closing_waits_for_commands_in_flight(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        asked = asyncio.ensure_future(redis.set("n", 7))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert await asked is True


async def test_a_command_that_is_cancelled_before_it_is_sent_is_not_sent(redis: ArqRedis) -> None:
    cancelled = asyncio.ensure_future(redis.set("n", 7))
    await asyncio.sleep(0)
    cancelled.cancel()
    with suppress(asyncio.CancelledError):
        await cancelled
    assert await redis.get("n") is None


async def test_closing_waits_for_commands_given_just_before_and_leaves_no_connection(redis_url: str) -> None:
    redis = connect(redis_url)
    asked = asyncio.ensure_future(redis.set("n", 7))
    await asyncio.sleep(0)
    await redis.aclose()
    assert await asked is True
    pool = redis.connection_pool
    assert not any(connection.is_connected for connection in [*pool._available_connections, *pool._in_use_connections])


@pytest.mark.parametrize(("passes", "sizes"), [(1, [1, 1, 1]), (3, [3])])
async def test_commands_of_tasks_inside_tasks_share_a_round_trip_where_that_is_waited_for(
    redis_url: str, round_trips: list[int], passes: int, sizes: list[int]
) -> None:
    async def nested(depth: int) -> list[int]:
        inner = [nested(depth - 1)] if depth else []
        first, *others = await asyncio.gather(client.incr("n"), *inner)
        return [first, *(each for other in others for each in other)]

    async with connect(redis_url, passes=passes) as client:
        assert sorted(await nested(2)) == [1, 2, 3]
    assert round_trips == sizes
