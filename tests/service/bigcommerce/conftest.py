"""Fixtures of the API tests: a scripted upstream, a client for it, and Redis."""

from collections.abc import AsyncIterator

import pytest
from arq import ArqRedis

from service.bigcommerce import Budget, StoreApi
from tests.fakes.processes.budget_spender import Spender
from tests.fakes.sandbox import StillClock
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
def spender(redis: ArqRedis) -> Spender:
    clock = StillClock()
    return Spender(clock, Budget(redis, clock=clock))


@pytest.fixture
def other_spender(spender: Spender, redis: ArqRedis) -> Spender:
    """Another process for the same store."""
    return Spender(spender.clock, Budget(redis, clock=spender.clock))
