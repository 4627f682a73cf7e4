from collections.abc import AsyncIterator

import pytest
from arq import ArqRedis

from service.redis.client import connect
from tests.fakes.loader_stack import house, open_house

__all__ = ["house", "open_house", "redis"]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    async with connect(redis_url) as client:
        yield client
