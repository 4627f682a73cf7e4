"""The check of Redis."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis as SyncRedis

from service.checks.environment.redis_server import check_redis, check_redis_settings
from service.redis.client import connect
from tests.fakes.redis.failover import redis_on_tcp
from tests.fakes.redis.stub import hello, stub_redis
from tests.fakes.stacks.checks import lines

EVICTION = (
    "warning  Redis  maxmemory-policy is allkeys-lru: when memory runs out, Redis deletes waiting orders."
    " Set it to noeviction."
)
NO_PERSISTENCE = "warning  Redis  appendonly is no: waiting orders are lost when Redis stops. Set it to yes."


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"maxmemory-policy": "noeviction", "appendonly": "yes"}, []),
        ({"maxmemory-policy": "allkeys-lru", "appendonly": "yes"}, [EVICTION]),
        ({"maxmemory-policy": "noeviction", "appendonly": "no"}, [NO_PERSISTENCE]),
        ({"maxmemory-policy": "allkeys-lru", "appendonly": "no"}, [EVICTION, NO_PERSISTENCE]),
    ],
)
def test_redis_settings_that_may_lose_orders_are_warnings(settings: dict[str, str], expected: list[str]) -> None:
    assert lines(check_redis_settings(settings)) == expected


async def test_a_redis_that_takes_orders_and_persists_is_ok(persistent_redis_url: str) -> None:
    async with connect(persistent_redis_url) as redis:
        (line,) = lines(await check_redis(redis))
        assert re.fullmatch(r"ok  Redis  takes orders \(redis \d+\.\d+\.\d+\)\.", line)
        assert await redis.keys("*") == []


async def test_settings_are_read_from_redis(persistent_redis_url: str) -> None:
    async with connect(persistent_redis_url) as redis:
        try:
            await redis.config_set("maxmemory-policy", "allkeys-lru")
            assert lines(await check_redis(redis))[1:] == [EVICTION]
        finally:
            await redis.config_set("maxmemory-policy", "noeviction")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_on_tcp(tmp_path_factory.mktemp("redis"), "--appendonly", "yes") as port:
        yield port


async def checked(url: str) -> list[str]:
    async with connect(url) as redis:
        return lines(await check_redis(redis))


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (("~*", "&*", "+@all", "-@dangerous"), ["ok  Redis  takes orders (redis VERSION)."]),
        (
            ("~*", "+@all"),
            [
                "ok  Redis  takes orders (redis VERSION).",
                "warning  Redis  its user may not use the channel enrich:wake: a fresh order waits up to 50 ms for the"
                " next poll. Allow it &enrich:wake.",
            ],
        ),
        (("~*", "&*", "+@all", "-zadd"), ["error  Redis  its user may not use ZADD. Allow it +zadd."]),
        (
            ("~*", "&*", "+@all", "-@scripting"),
            [
                "error  Redis  its user may not run scripts (EVAL), and each change of an order is one."
                " Allow it +eval +evalsha. A Redis without scripts cannot be used."
            ],
        ),
    ],
)
async def test_rights_of_the_user_are_checked(port: int, rights: tuple[str, ...], expected: list[str]) -> None:
    with SyncRedis(port=port) as admin:
        admin.execute_command("ACL", "SETUSER", "shop", "reset", "resetchannels", "on", ">secret", *rights)
    found = await checked(f"redis://shop:secret@127.0.0.1:{port}")
    assert [re.sub(r"\d+\.\d+\.\d+", "VERSION", line) for line in found] == expected


NEEDED = "The receiver and the workers need it."


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--maxmemory", "1"),
            "error  Redis  has no memory left and refuses changes (OOM)."
            f" Raise its maxmemory, and keep the policy noeviction. {NEEDED}",
        ),
        (
            ("--replicaof", "127.0.0.1", "1"),
            "error  Redis  is a replica and refuses changes (READONLY)."
            f" REDIS_URL must lead to the master. After a failover this ends by itself. {NEEDED}",
        ),
        (
            ("--min-replicas-to-write", "1"),
            "error  Redis  has too few replicas connected and refuses changes (NOREPLICAS)."
            f" Start its replicas, or lower min-replicas-to-write. {NEEDED}",
        ),
        (
            ("--requirepass", "secret"),
            "error  Redis  refuses this user or password (Authentication required.)."
            " Correct REDIS_URL, or the rights of its user.",
        ),
    ],
)
async def test_a_redis_that_takes_no_orders_is_an_error(tmp_path: Path, options: tuple[str, ...], line: str) -> None:
    with redis_on_tcp(tmp_path, *options) as port:
        assert await checked(f"redis://127.0.0.1:{port}") == [line]


async def test_a_redis_that_does_not_answer_is_one_finding() -> None:
    assert await checked("redis://127.0.0.1:1") == [
        f"error  Redis  does not answer (ConnectionError). Check that it is running and REDIS_URL is correct. {NEEDED}"
    ]


async def test_a_version_that_is_not_told_is_no_error(tmp_path: Path) -> None:
    without = [word for name in ("HELLO", "INFO", "CONFIG") for word in ("--rename-command", name, f"NO-{name}")]
    with redis_on_tcp(tmp_path, *without) as port:
        assert await checked(f"redis://127.0.0.1:{port}") == [
            "ok  Redis  takes orders. Its version is unknown: it refuses HELLO and INFO."
        ]


async def test_a_redis_that_is_too_old_is_one_finding() -> None:
    async with stub_redis({"HELLO": hello("redis", "6.0.16")}) as url:
        assert await checked(url) == ["error  Redis  6.0.16 is too old. Use Redis 6.2 or Valkey 7.2, or a newer one."]
