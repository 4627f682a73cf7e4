# mypy: disable-error-code="empty-body"
"""The scripts of the search. Each is one step in Redis; its Lua text lies beside this file."""

from collections.abc import Sequence

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, Rest, redis_script


@redis_script
async def newest_failed(
    redis: Redis, *, failed: Key, index: Key, highest: Arg[str], lowest: Arg[int], most: Arg[int]
) -> tuple[str | int, ...]:
    """Failed orders of a store, the newest first: of each its id, its time (ms), and 1 where the index has it, too."""


@redis_script
async def may_match(
    redis: Redis, *, status: Arg[str], customer_id: Arg[str], po: Arg[bytes], entries: Rest[Sequence[str]]
) -> tuple[int, ...]:
    """Which of these orders may match: their places in the list, from 1."""
