# mypy: disable-error-code="empty-body"
"""Scripts about Redis itself, and leases. Each is one step in Redis; its Lua text lies beside this file."""

from typing import Literal

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, redis_script


@redis_script
async def try_write(redis: Redis, *, first: Key, second: Key, expire_ms: Arg[int]) -> Literal["ok"]:
    """Write two keys and delete them: what queueing an order needs of Redis, and nothing else."""


@redis_script
async def hold_lease(redis: Redis, *, lease: Key, owner: Arg[str], ttl_ms: Arg[int]) -> Literal[0, 1]:
    """Take or renew a lease; 0 while somebody else holds it."""


@redis_script
async def release_lease(redis: Redis, *, lease: Key, owner: Arg[str]) -> Literal[0, 1]:
    """Give a lease back; 0 when somebody else holds it by now."""
