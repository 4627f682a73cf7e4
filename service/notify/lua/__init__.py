# mypy: disable-error-code="empty-body"
"""The scripts of the notifications. Their Lua texts lie beside this file."""

from collections.abc import Sequence
from typing import Literal

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, Rest, redis_script


@redis_script
async def record_alerts(
    redis: Redis,
    *,
    alerts: Key,
    queue: Key,
    version: Arg[int],
    max_queued: Arg[int],
    changes: Arg[int],
    rest: Rest[Sequence[str]],
) -> tuple[Literal[0, 1], tuple[str, ...]]:
    """Record how alerts have changed and queue the messages about it, both or neither."""
