"""What the service needs of a Redis: its version, the rights of its user, and that it takes writes.

The rights are tried on keys of their own, which are deleted afterwards. INFO and CONFIG are not needed.
"""

import re
import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from redis import exceptions
from redis.asyncio import Redis

from service.errors import ConfigError, Problem
from service.logs import Event
from service.redis.client import connect
from service.redis.errors import (
    TRANSIENT_ERRORS,
    ClusterUnsupportedError,
    SentinelError,
    UnknownDatabaseError,
    diagnose,
)
from service.redis.lua import try_write

log = structlog.get_logger()

# Redis 6.2 has ZADD with GT and LT, and HELLO that names the version; Valkey began as Redis 7.2.
MINIMUM_VERSIONS = {"redis": (6, 2), "valkey": (7, 2)}

# Keys of the checks begin with this.
_PREFIX = "enrich:check:"
# Should a check be killed, its keys are gone after a minute.
_EXPIRE_MS = 60_000

# The keys that the service uses: its own, and those of the job queue library.
KEY_PATTERNS = ("enrich:*", "arq:*")
WAKE_CHANNEL = "enrich:wake"

# A start must not wait longer for a Redis that hangs. The processes then go on waiting for it by themselves.
_START_TIMEOUT_S = 1.0

# What another start cannot cure: somebody must change REDIS_URL, the user's rights, or the server.
_LASTING_ERRORS = (
    exceptions.AuthenticationError,
    exceptions.NoPermissionError,
    exceptions.InvalidResponse,
    ClusterUnsupportedError,
    SentinelError,
    UnknownDatabaseError,
)


def rights_tried(prefix: str) -> list[tuple[str | int, ...]]:
    """Every command that the service uses, on keys with this prefix; the last one deletes them."""
    kinds = ("text", "fields", "scores", "names", "list")
    text, fields, scores, names, items = (f"{prefix}:{kind}" for kind in kinds)
    return [
        ("PING",),
        ("SET", text, 1, "PX", _EXPIRE_MS),
        ("INCR", text),
        ("EXPIRE", text, 60),
        ("GET", text),
        ("MGET", text),
        ("EXISTS", text),
        ("PERSIST", text),
        ("PEXPIRE", text, _EXPIRE_MS),
        ("PTTL", text),
        ("HSET", fields, "a", 1),
        ("PEXPIRE", fields, _EXPIRE_MS),
        ("HSETNX", fields, "b", 1),
        ("HINCRBY", fields, "b", 1),
        ("HGET", fields, "a"),
        ("HMGET", fields, "a"),
        ("HGETALL", fields),
        ("HEXISTS", fields, "a"),
        ("HLEN", fields),
        ("HDEL", fields, "a"),
        ("ZADD", scores, 1, "a"),
        ("PEXPIRE", scores, _EXPIRE_MS),
        ("ZINCRBY", scores, 1, "a"),
        ("ZCARD", scores),
        ("ZSCORE", scores, "a"),
        ("ZMSCORE", scores, "a"),
        ("ZRANGE", scores, 0, -1),
        ("ZRANGEBYSCORE", scores, 0, 1),
        ("ZREVRANGE", scores, 0, -1),
        ("ZREVRANGEBYSCORE", scores, 1, 0),
        ("ZREM", scores, "b"),
        ("ZREMRANGEBYSCORE", scores, 5, 6),
        ("ZPOPMIN", scores),
        ("SADD", names, "a"),
        ("PEXPIRE", names, _EXPIRE_MS),
        ("SMEMBERS", names),
        ("SREM", names, "b"),
        ("RPUSH", items, "a"),
        ("PEXPIRE", items, _EXPIRE_MS),
        ("LPUSH", items, "b"),
        ("LTRIM", items, 0, 5),
        ("LRANGE", items, 0, -1),
        ("LPOP", items, 1),
        ("TIME",),
        ("SCAN", 0, "COUNT", 1),
        ("UNLINK", names),
        ("DEL", text, fields, scores, items),
    ]


async def can_write(redis: Redis, name: str) -> None:
    """Do what queueing an order needs, on keys of this name. Errors are Redis's own."""
    await try_write(redis, first=f"{_PREFIX}{name}:1", second=f"{_PREFIX}{name}:2", expire_ms=_EXPIRE_MS)


async def find_problems(redis: Redis) -> list[Problem]:
    """What the service lacks in this Redis. Errors that may pass (``TRANSIENT_ERRORS``) are Redis's own."""
    try:
        version = await read_version(redis)
        if problem := _too_old(version):
            return [problem]
        return await _missing_rights(redis) or await _missing_scripts(redis)
    except _LASTING_ERRORS as error:
        found = diagnose(error)
        return [Problem("REDIS_URL", f"Redis {found.message}", found.cure)]


async def read_version(redis: Redis) -> str | None:
    """The server and its version, such as ``redis 6.2.14``; None when the server does not tell it.

    HELLO needs no right beyond a connection, INFO is often forbidden. Raises ClusterUnsupportedError for a cluster.
    """
    try:
        answer = await redis.execute_command("HELLO", 2)  # type: ignore[no-untyped-call]
    except exceptions.ResponseError as error:
        _raise_if_transient(error)
        return await _version_by_info(redis)
    said = {_text(name): _text(value) for name, value in zip(answer[::2], answer[1::2], strict=True)}
    if said.get("mode") == "cluster":
        raise ClusterUnsupportedError("HELLO says mode cluster")
    if said.get("mode") == "sentinel":
        raise SentinelError("HELLO says mode sentinel")
    return f"{said['server']} {said['version']}" if "version" in said else None


async def _version_by_info(redis: Redis) -> str | None:
    """The same by INFO: Redis 5 and some proxies have no HELLO."""
    try:
        said: dict[str, Any] = await redis.info("server")
    except exceptions.ResponseError as error:
        _raise_if_transient(error)
        return None
    if "valkey_version" in said:
        return f"valkey {said['valkey_version']}"
    return f"redis {said['redis_version']}" if "redis_version" in said else None


def _too_old(version: str | None) -> Problem | None:
    if version is None:
        return None
    server, _, number = version.partition(" ")
    least = MINIMUM_VERSIONS.get(server)
    if least is None or tuple(map(int, re.findall(r"\d+", number)[:2])) >= least:
        return None
    needed = " or ".join(f"{name.capitalize()} {'.'.join(map(str, v))}" for name, v in MINIMUM_VERSIONS.items())
    return Problem("REDIS_URL", f"{server.capitalize()} {number} is too old.", f"Use {needed}, or a newer one.")


async def _missing_rights(redis: Redis) -> list[Problem]:
    refused = await _refused(redis, [("EXISTS", f"{pattern[:-1]}check") for pattern in KEY_PATTERNS])
    if patterns := [
        pattern
        for pattern, error in zip(KEY_PATTERNS, refused, strict=True)
        if isinstance(error, exceptions.NoPermissionError) and "key" in str(error)
    ]:
        wanted = " ".join(f"~{pattern}" for pattern in patterns)
        return [Problem("REDIS_URL", "the Redis user may not use the keys of this service.", f"Allow it {wanted}.")]
    tried = rights_tried(f"{_PREFIX}{uuid.uuid4().hex}")
    refused = await _refused(redis, tried)
    missing = {str(words[0]) for words, error in zip(tried, refused, strict=True) if error is not None}
    missing |= await _missing_transactions(redis)
    if not missing:
        return []
    names = sorted(missing)
    cure = f"Allow it {' '.join(f'+{name.lower()}' for name in names)}."
    return [Problem("REDIS_URL", f"the Redis user may not use {', '.join(names)}.", cure)]


async def _refused(redis: Redis, commands: Sequence[tuple[str | int, ...]]) -> list[exceptions.ResponseError | None]:
    """For each command, why the server refuses it for ever; None when it does not. Raises the first other error."""
    async with redis.pipeline(transaction=False) as pipe:
        for words in commands:
            pipe.execute_command(*words)
        answers = await pipe.execute(raise_on_error=False)
    refused = [answer if _is_refusal(answer) else None for answer in answers]
    for answer, refusal in zip(answers, refused, strict=True):
        # A command that builds on a refused one fails, too.
        if isinstance(answer, Exception) and refusal is None:
            _raise_if_transient(answer)
            if not any(refused):
                raise answer
    return refused


async def _missing_transactions(redis: Redis) -> set[str]:
    try:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.time()
            await pipe.execute()
    except exceptions.ResponseError as error:
        _raise_if_transient(error)
        return {"MULTI", "EXEC"}
    return set()


async def _missing_scripts(redis: Redis) -> list[Problem]:
    try:
        await can_write(redis, uuid.uuid4().hex)
    except exceptions.ResponseError as error:
        if not _is_refusal(error):
            raise
        message = "the Redis user may not run scripts (EVAL), and each change of an order is one."
        return [Problem("REDIS_URL", message, "Allow it +eval +evalsha. A Redis without scripts cannot be used.")]
    return []


async def may_publish(redis: Redis) -> bool:
    """Whether the user may wake up workers over the channel. Without it, orders wait for the next poll."""
    try:
        await redis.publish(WAKE_CHANNEL, "check")
    except exceptions.ResponseError as error:
        _raise_if_transient(error)
        return False
    return True


async def require_usable_redis(url: str) -> None:
    """Check this Redis at the start of a process. Raises ConfigError when it cannot be used, however long one waits.

    A Redis that is away, loading or full is no error here: the process waits for it.
    """
    async with connect(url, socket_timeout=_START_TIMEOUT_S) as redis:
        try:
            problems = await find_problems(redis)
        except TRANSIENT_ERRORS:
            return
    if problems:
        raise ConfigError(*problems)


async def log_problems(redis: Redis) -> None:
    """The same for a Redis that could not be reached at the start: log what it lacks. Errors are Redis's own."""
    for problem in await find_problems(redis):
        log.error(Event.REDIS_UNUSABLE, error=str(problem))


def _is_refusal(answer: object) -> bool:
    return isinstance(answer, exceptions.NoPermissionError) or (
        isinstance(answer, exceptions.ResponseError) and "unknown command" in str(answer).lower()
    )


def _raise_if_transient(error: Exception) -> None:
    if isinstance(error, (*TRANSIENT_ERRORS, ClusterUnsupportedError, SentinelError)):
        raise error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
