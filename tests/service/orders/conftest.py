from collections.abc import AsyncIterator

import pytest
from arq import ArqRedis

from service.redis.client import connect
from tests.fakes.stacks.loader_stack import open_stack, stack

__all__ = ["open_stack", "redis", "stack"]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    async with connect(redis_url) as client:
        yield client
