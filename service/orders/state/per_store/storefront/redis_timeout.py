"""Questions to Redis that an order inside its window does not wait for long."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from redis.exceptions import RedisError

T = TypeVar("T")

REDIS_TIMEOUT_S = 1.0


async def within_timeout(answer: Awaitable[T]) -> T | None:
    """Redis's answer, or None while it does not answer."""
    try:
        async with asyncio.timeout(REDIS_TIMEOUT_S):
            return await answer
    except (RedisError, TimeoutError):
        return None
