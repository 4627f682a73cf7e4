# mypy: disable-error-code="empty-body"
"""The script of the search, which is one step in Redis; its Lua text lies beside this file."""

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, redis_script


@redis_script
async def newest_matching(
    redis: Redis,
    *,
    orders: Key,
    index: Key,
    prefix: Arg[str],
    highest: Arg[str],
    lowest: Arg[int],
    most: Arg[int],
    enough: Arg[int],
    skips_indexed: Arg[bool],
    status: Arg[str],
    customer_id: Arg[str],
    aged: Arg[float | None],
    po: Arg[bytes],
) -> tuple[str | int, ...]:
    """The newest orders of a store that may match, and how far the script has looked: 1 where there are no more.

    After that, of each order its id, its time (ms), how many orders were looked at since the one before it, and a digit
    (see the Lua text).
    """
