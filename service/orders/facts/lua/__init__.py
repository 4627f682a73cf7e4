# mypy: disable-error-code="empty-body"
"""The script that writes a fact of a store. Its Lua text lies beside this file."""

from typing import Literal

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, redis_script


@redis_script
async def put_fact(
    redis: Redis, *, facts: Key, fact: Arg[str], before: Arg[str], after: Arg[str], keep_ms: Arg[int]
) -> Literal[0, 1]:
    """Write a fact of a store unless another process has changed it since it was read; 1 when written."""
