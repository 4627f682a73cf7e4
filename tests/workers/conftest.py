"""Fixtures for tests of the workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from arq import ArqRedis

from service.bigcommerce import Transport
from service.orders.state.ledger import Ledger
from service.orders.state.transitions import Transitions
from tests.fakes.sandbox import StillClock, called_sandbox
from tests.fakes.stacks.job_stack import job_stack
from tests.fakes.stacks.overflow_stack import overflow
from tests.workers.stacks.stack import OpenStack, Stack
from tests.workers.stacks.verifier_stack import VerifierStack

__all__ = ["job_stack", "overflow"]


@pytest.fixture
async def open_stack(redis: ArqRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenStack]:
    """Opens a stack whose sandbox has the given options. A sleep moves the clock and returns at once."""
    clock = StillClock()
    sleep = asyncio.sleep

    async def skip_ahead(seconds: float, *_: object) -> None:
        clock.tick(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", skip_ahead)
    async with AsyncExitStack() as exits:

        async def build(**options: Any) -> Stack:
            sandbox = await exits.enter_async_context(called_sandbox(clock, **options))
            http = await exits.enter_async_context(sandbox.api._transport)
            transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url, clock=clock)
            transitions = Transitions(redis, clock=clock)
            stack = Stack(sandbox, clock, redis, Ledger(redis), transitions, transport, tmp_path)
            await stack.knows_super_admins()
            return stack

        yield build


@pytest.fixture
async def stack(open_stack: OpenStack) -> Stack:
    """A stack whose sandbox has no faults."""
    return await open_stack()


@pytest.fixture
def verifier(stack: Stack) -> VerifierStack:
    return VerifierStack(stack)
