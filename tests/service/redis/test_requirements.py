"""What the service needs of a Redis: version, rights, scripts; and what is said when one of them is missing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from arq import ArqRedis
from redis import Redis

from service.errors import ConfigError
from service.redis.client import TRANSIENT_ERRORS, connect
from service.redis.requirements import (
    find_problems,
    may_publish,
    read_version,
    require_usable_redis,
    rights_tried,
)
from tests.fakes.pages import ROOT
from tests.fakes.redis.failover import redis_on_tcp
from tests.fakes.redis.stub import bulk, hello, stub_redis, web_server

# Commands of the commands line and of the pub/sub connection are no rights that an order depends on.
NOT_NEEDED = {"PUBLISH", "SUBSCRIBE"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_on_tcp(tmp_path_factory.mktemp("redis")) as port:
        yield port


def user(port: int, *rights: str) -> str:
    """The URL for a user with these rights."""
    with Redis(port=port) as admin:
        admin.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">secret", *rights)
    return f"redis://shop:secret@127.0.0.1:{port}/0"


async def problems(url: str) -> list[str]:
    async with connect(url) as client:
        return [str(problem) for problem in await find_problems(client)]


async def test_a_usable_redis_has_no_problems_and_no_key_is_left(redis: ArqRedis) -> None:
    assert await find_problems(redis) == []
    assert await may_publish(redis)
    assert await redis.keys("*") == []
    assert re.fullmatch(r"(redis|valkey) \d+\.\d+\.\d+", str(await read_version(redis)))


async def test_every_command_of_the_scripts_is_tried() -> None:
    texts = [path.read_text() for folder in ("service", "workers") for path in (ROOT / folder).rglob("*.lua")]
    used = {command for text in texts for command in re.findall(r"redis\.p?call\('(\w+)'", text)}
    assert used - NOT_NEEDED <= {str(words[0]) for words in rights_tried("x")}


def test_every_command_of_the_python_code_is_tried() -> None:
    tried = {str(words[0]).lower() for words in rights_tried("x")}
    not_needed = {"config_get", "info", "publish"}  # the code does without them where they are refused
    other = {"delete", "eval", "evalsha", "execute", "execute_command", "ping", "pipeline", "pubsub", "scan_iter"}
    for path, call in redis_calls():
        assert call in tried | not_needed | other, f"{path} uses {call}"


def redis_calls() -> Iterator[tuple[Path, str]]:
    for folder in ("service", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            for found in re.finditer(r"\b(?:redis|pipe|pool)\.([a-z]\w*)\(", path.read_text()):
                if hasattr(Redis, found[1]):
                    yield path, found[1]


# ── rights ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "rights",
    [
        ("~*", "&*", "+@all", "-@dangerous"),
        ("resetchannels", "~enrich:*", "~arq:*", "&enrich:wake", "+@all", "-@dangerous", "-@admin"),
        ("~*", "&*", "+@all", "-script", "-info", "-config"),
        ("~*", "&*", "+@all", "-evalsha", "-script"),
    ],
)
async def test_these_rights_are_enough(port: int, rights: tuple[str, ...]) -> None:
    url = user(port, *rights)
    assert await problems(url) == []
    await require_usable_redis(url)


async def test_only_the_commands_that_are_tried_are_needed(port: int) -> None:
    commands = {str(words[0]).lower() for words in rights_tried("x")} | {"multi", "exec", "eval"}
    assert await problems(user(port, "~*", "&*", *(f"+{command}" for command in commands))) == []


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (
            ("~*", "&*", "+@all", "-zadd", "-hset"),
            "REDIS_URL: the Redis user may not use HSET, ZADD. Allow it +hset +zadd.",
        ),
        (
            ("~enrich:*", "&*", "+@all"),
            "REDIS_URL: the Redis user may not use the keys of this service. Allow it ~arq:*.",
        ),
        (
            ("~other:*", "&*", "+@all"),
            "REDIS_URL: the Redis user may not use the keys of this service. Allow it ~enrich:* ~arq:*.",
        ),
        (
            ("~*", "&*", "+@all", "-@scripting"),
            "REDIS_URL: the Redis user may not run scripts (EVAL), and each change of an order is one."
            " Allow it +eval +evalsha. A Redis without scripts cannot be used.",
        ),
        (("~*", "&*", "+@all", "-multi"), "REDIS_URL: the Redis user may not use EXEC, MULTI. Allow it +exec +multi."),
    ],
)
async def test_a_missing_right_is_named_with_its_cure(port: int, rights: tuple[str, ...], expected: str) -> None:
    url = user(port, *rights)
    assert await problems(url) == [expected]
    with pytest.raises(ConfigError) as refused:
        await require_usable_redis(url)
    assert str(refused.value) == expected
    with Redis(port=port) as admin:
        assert admin.keys("*") == []


async def test_a_wrong_password_is_a_problem_and_is_not_shown(port: int) -> None:
    user(port, "~*", "+@all")
    (problem,) = await problems(f"redis://shop:wrong-one@127.0.0.1:{port}/0")
    assert problem.startswith("REDIS_URL: Redis refuses this user or password (")
    assert "wrong-one" not in problem


async def test_a_channel_that_is_forbidden_is_no_problem(port: int) -> None:
    url = user(port, "resetchannels", "~*", "+@all")
    assert await problems(url) == []


# ── versions, and what is no Redis that can be used ─────────────────────────────────────────────────────────────

INFO_VALKEY_7_1 = bulk("# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:7.1.9\r\n")
INFO_5 = bulk("# Server\r\nredis_version:5.0.14\r\n")
CLUSTER = (
    "REDIS_URL: Redis is a Redis Cluster, which this service cannot use."
    " Use a Redis without cluster mode, alone or behind Sentinel."
)
NO_SUCH_DATABASE = (
    "REDIS_URL: Redis has no database of this number."
    " Correct the number at the end of REDIS_URL (a cluster has only 0), or raise `databases` in its configuration."
)
NO_RIGHT = b"-NOPERM this user has no permissions to run this command\r\n"


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({"HELLO": hello("redis", "6.0.16")}, "Redis 6.0.16 is too old. Use Redis 6.2 or Valkey 7.2, or a newer one."),
        ({"INFO": INFO_5}, "Redis 5.0.14 is too old. Use Redis 6.2 or Valkey 7.2, or a newer one."),
        ({"HELLO": NO_RIGHT, "INFO": INFO_5}, "Redis 5.0.14 is too old. Use Redis 6.2 or Valkey 7.2, or a newer one."),
        ({"HELLO": hello("valkey", "7.1.9")}, "Valkey 7.1.9 is too old. Use Redis 6.2 or Valkey 7.2, or a newer one."),
        # What Valkey calls its version of Redis only says what it is compatible with.
        ({"INFO": INFO_VALKEY_7_1}, "Valkey 7.1.9 is too old. Use Redis 6.2 or Valkey 7.2, or a newer one."),
    ],
)
async def test_a_version_that_is_too_old_is_named(answers: dict[str, bytes], found: str) -> None:
    async with stub_redis(answers) as url:
        assert await problems(url) == [f"REDIS_URL: {found}"]
        with pytest.raises(ConfigError, match=re.escape(found)):
            await require_usable_redis(url)


@pytest.mark.parametrize(
    ("answers", "version"),
    [
        ({"HELLO": hello("redis", "10.0.1")}, "redis 10.0.1"),
        ({"HELLO": hello("valkey", "8.1.0")}, "valkey 8.1.0"),
        ({"INFO": bulk("redis_version:7.2.4\r\nvalkey_version:8.0.2\r\n")}, "valkey 8.0.2"),
        ({"HELLO": NO_RIGHT, "INFO": NO_RIGHT}, None),
    ],
)
async def test_a_version_is_found_where_the_server_tells_it(answers: dict[str, bytes], version: str | None) -> None:
    async with stub_redis(answers) as url, connect(url) as client:
        assert await read_version(client) == version


async def test_a_web_server_is_named() -> None:
    async with web_server() as url:
        assert await problems(url) == [
            "REDIS_URL: Redis is not what answers there: it is another server, such as a web server."
            " Correct host and port in REDIS_URL."
        ]


async def test_a_database_that_is_not_there_is_named(port: int) -> None:
    assert await problems(f"redis://127.0.0.1:{port}/99") == [NO_SUCH_DATABASE]


@pytest.mark.parametrize("database", [0, 1])
@pytest.mark.parametrize("knows_hello", [True, False])
async def test_a_cluster_is_named(tmp_path: Path, database: int, knows_hello: bool) -> None:
    options = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]
    if not knows_hello:
        options += ["--rename-command", "HELLO", "NO-HELLO", "--rename-command", "INFO", "NO-INFO"]
    with redis_on_tcp(tmp_path, *options) as port:
        found = await problems(f"redis://127.0.0.1:{port}/{database}")
        # In Valkey 9 a cluster may have more than one database, so the one that is not there is named first.
        assert found == [CLUSTER] or (database and found == [NO_SUCH_DATABASE])


# ── what may pass is no problem of the set-up ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "options",
    [("--maxmemory", "1"), ("--replicaof", "127.0.0.1", "1"), ("--min-replicas-to-write", "1")],
)
async def test_a_redis_that_takes_no_writes_now_does_not_end_a_process(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with redis_on_tcp(tmp_path, *options) as port:
        with pytest.raises(TRANSIENT_ERRORS):
            await problems(f"redis://127.0.0.1:{port}/0")
        await require_usable_redis(f"redis://127.0.0.1:{port}/0")


async def test_a_redis_that_is_away_does_not_end_a_process() -> None:
    await require_usable_redis("redis://127.0.0.1:1/0")
