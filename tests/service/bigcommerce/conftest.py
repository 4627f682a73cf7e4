"""Fixtures of the API tests: a scripted upstream, a client for it, and Redis."""

from collections.abc import AsyncIterator

import pytest
from arq import ArqRedis

from service.bigcommerce import StoreApi
from service.redis.client import connect
from tests.fakes.upstream import FakeUpstream, store_api


@pytest.fixture
def upstream() -> FakeUpstream:
    """A BigCommerce without any scripted answers."""
    return FakeUpstream()


@pytest.fixture
async def api(upstream: FakeUpstream) -> AsyncIterator[StoreApi]:
    """The APIs of one store of ``upstream``, with one access token and no budget."""
    async with store_api(upstream) as api:
        yield api


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    async with connect(redis_url) as client:
        yield client
