# mypy: disable-error-code="empty-body"
"""The script that tries whether Redis takes orders; its Lua text lies beside this file."""

from typing import Literal

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, redis_script


@redis_script
async def try_write(redis: Redis, *, first: Key, second: Key, expire_ms: Arg[int]) -> Literal["ok"]:
    """Write two keys and delete them: what queueing an order needs of Redis, and nothing else."""
