# mypy: disable-error-code="empty-body"
"""Scripts about Redis itself, leases and hashes. Each is one step in Redis; its Lua text lies beside this file."""

from collections.abc import Sequence
from typing import Any, Literal

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, Rest, redis_script


@redis_script
async def try_write(redis: Redis, *, first: Key, second: Key, expire_ms: Arg[int]) -> Literal["ok"]:
    """Write two keys and delete them: what queueing an order needs of Redis, and nothing else."""


@redis_script
async def hold_lease(redis: Redis, *, lease: Key, owner: Arg[str], ttl_ms: Arg[int]) -> Literal[0, 1]:
    """Take or renew a lease; 0 while somebody else holds it."""


@redis_script
async def release_lease(redis: Redis, *, lease: Key, owner: Arg[str]) -> Literal[0, 1]:
    """Give a lease back; 0 when somebody else holds it by now."""


@redis_script
async def read_fields(redis: Redis, *, names_count: Arg[int], words: Rest[Sequence[str]]) -> tuple[str | None, ...]:
    """The same fields of many hashes: the values of the first hash, then those of the next one, and so on."""


@redis_script
async def read_together(redis: Redis, *, words: Rest[Sequence[str | int]]) -> tuple[Any, ...]:
    """The answers to several commands: ``words`` has of each how many words it has, then these."""
