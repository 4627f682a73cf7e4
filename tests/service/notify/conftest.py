"""Fixtures for notifications: a real Redis, a real receiver of messages, and workers' notifiers on a test's clock."""

from collections.abc import AsyncIterator

import pytest
from arq import ArqRedis

from tests.fakes.notify.http_receiver import HttpReceiver, http_receiver
from tests.fakes.notify.notify_stack import NotifyStack


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as fake:
        yield fake


@pytest.fixture
async def stack(redis: ArqRedis, receiver: HttpReceiver) -> NotifyStack:
    stack = NotifyStack(redis, receiver)
    await stack.heartbeat()
    return stack
