"""A failover behind one name: the old master lives on as a replica and keeps its connections."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import exceptions

from service.redis.client import TRANSIENT_ERRORS, connect
from service.redis.errors import PersistenceError, TooFewReplicasError
from service.redis.lua import try_write
from service.redis.pool import is_stale
from service.redis.requirements import can_write
from tests.fakes.redis.failover import redis_on_tcp, running_redis_behind_one_name

pytestmark = pytest.mark.integration


async def write(redis: object, number: int = 0) -> None:
    await try_write(redis, first=f"{number}:1", second=f"{number}:2", expire_ms=1000)  # type: ignore[arg-type]


async def test_all_connections_lead_to_the_new_master_after_one_command_was_refused() -> None:
    async with running_redis_behind_one_name() as server, connect(server.url) as redis:
        held = await asyncio.gather(*(redis.connection_pool.get_connection() for _ in range(5)))
        for connection in held:
            await redis.connection_pool.release(connection)
        await server.demote()
        server.switch_name()
        with pytest.raises(exceptions.ReadOnlyError):
            await write(redis)

        await write(redis)
        held = await asyncio.gather(*(redis.connection_pool.get_connection() for _ in range(5)))
        for connection in held:
            await connection.send_command("SET", "n", 1)
            assert await connection.read_response() == b"OK"
            await redis.connection_pool.release(connection)


@pytest.mark.parametrize("together", [1, 20])
async def test_commands_that_share_a_round_trip_recover_too(together: int) -> None:
    async with running_redis_behind_one_name() as server, connect(server.url) as redis:
        await redis.set("n", 1)
        await server.demote()
        server.switch_name()
        refused = await asyncio.gather(*(redis.incr("n") for _ in range(together)), return_exceptions=True)
        assert all(isinstance(error, exceptions.ReadOnlyError) for error in refused)
        assert sorted(await asyncio.gather(*(redis.incr("n") for _ in range(together)))) == list(range(2, together + 2))


@pytest.mark.parametrize("transaction", [False, True])
async def test_an_explicit_pipeline_and_a_transaction_recover_too(transaction: bool) -> None:
    async with running_redis_behind_one_name() as server, connect(server.url) as redis:

        async def increment() -> list[int]:
            async with redis.pipeline(transaction=transaction) as pipe:
                pipe.incr("n")
                answers: list[int] = await pipe.execute()
                return answers

        assert await increment() == [1]
        await server.demote()
        server.switch_name()
        with pytest.raises(exceptions.ReadOnlyError):
            await increment()
        assert await increment() == [2]


async def test_a_subscription_learns_that_its_server_is_not_the_master_anymore() -> None:
    async with running_redis_behind_one_name() as server, connect(server.url) as redis, redis.pubsub() as messages:
        await messages.subscribe("a channel")
        assert not is_stale(redis, messages.connection)
        await server.demote()
        with pytest.raises(exceptions.ReadOnlyError):
            await redis.set("n", 1)
        assert is_stale(redis, messages.connection)


# ── each kind of refusal has its own type, in a script and outside ──────────────────────────────────────────────


@pytest.fixture
def refusing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with redis_on_tcp(tmp_path, *request.param) as port:
        yield f"redis://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("refusing", "expected"),
    [
        (("--maxmemory", "1"), exceptions.OutOfMemoryError),
        (("--min-replicas-to-write", "1"), TooFewReplicasError),
        (("--replicaof", "127.0.0.1", "1"), exceptions.ReadOnlyError),
        (("--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "no"), exceptions.MasterDownError),
    ],
    indirect=["refusing"],
)
async def test_a_refusal_has_the_type_of_its_kind(refusing: str, expected: type[Exception]) -> None:
    assert issubclass(expected, TRANSIENT_ERRORS)
    async with connect(refusing) as redis:
        for _ in range(2):  # the second time, Redis knows the script
            with pytest.raises(expected):
                await can_write(redis, "test")
        if expected is exceptions.MasterDownError:
            with pytest.raises(expected):
                await redis.get("n")
            return
        with pytest.raises(expected):
            await redis.set("n", 1)
        async with redis.pipeline(transaction=True) as pipe:
            pipe.set("n", 1)
            with pytest.raises(expected):
                await pipe.execute()


@pytest.mark.parametrize("refusing", [("--save", "3600", "1", "--dbfilename", "taken.rdb")], indirect=True)
async def test_a_redis_that_cannot_save_is_told_apart(refusing: str, tmp_path: Path) -> None:
    async with connect(refusing) as redis:
        (tmp_path / "taken.rdb" / "folder").mkdir(parents=True)  # a snapshot cannot replace it
        await redis.bgsave()
        async with asyncio.timeout(30):
            while True:
                if (await redis.info("persistence"))["rdb_last_bgsave_status"] == "err":
                    break
                await asyncio.sleep(0.01)
        with pytest.raises(PersistenceError):
            await can_write(redis, "test")
        with pytest.raises(PersistenceError):
            await redis.set("n", 2)
