"""Two processes with many callers of every priority share one small quota, on the sandbox as a real server."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import pytest
from arq import ArqRedis
from pydantic import SecretStr

from service.bigcommerce import Account, Api, Budget, Priority, StoreApi, Transport
from service.bigcommerce.connection_pool import http_client
from service.bigcommerce.transport import Call
from service.errors import WaitUntil
from service.sandbox.demo import DEMO_STORE_HASH
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN
from tests.fakes.sandbox import running_sandbox

READ = Call("Get Order Extra Field Configs", Api.B2B, "GET", "/v3/io/orders/extra-fields")
QUOTA, WINDOW_S, WINDOWS = 20, 2.0, 3

# In each of the two processes; all of them call as often as they may.
CALLERS = {Priority.CREATE: 6, Priority.VERIFY: 2, Priority.RECOVER: 2, Priority.BACKGROUND: 2}


@dataclass
class Tally:
    """Counts the answered calls; they are enough when the quota of all windows is spent."""

    answered: Counter[Priority] = field(default_factory=Counter)
    are_enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep_calling(self, api: StoreApi) -> None:
        """Make calls, and wait when refused, until there are enough."""
        while not self.are_enough.is_set():
            try:
                await api.call(READ)
            except WaitUntil as refusal:
                with suppress(TimeoutError):
                    async with asyncio.timeout(refusal.seconds):
                        await self.are_enough.wait()
            else:
                self.answered[api.priority] += 1
                if self.answered.total() >= QUOTA * WINDOWS:
                    self.are_enough.set()


@pytest.mark.chaos
async def test_creates_get_nearly_all_of_the_quota_and_429_is_rare(redis: ArqRedis) -> None:
    account = Account(DEMO_STORE_HASH, (SecretStr(SANDBOX_ACCESS_TOKEN),))
    async with (
        running_sandbox(b2b_quota=QUOTA, b2b_quota_window=WINDOW_S) as sandbox,
        http_client() as http,
        http_client() as other_http,
    ):

        def process(client: httpx.AsyncBaseTransport) -> Transport:
            return Transport(client, core_url=sandbox.url, b2b_url=sandbox.url, budget=Budget(redis))

        processes = [process(http), process(other_http)]
        await StoreApi(processes[0], account).call(READ)  # the limit is known from here on
        tally = Tally()
        tally.answered[Priority.CREATE] = 1
        apis = [
            StoreApi(processes[number % 2], account, timeout_s=30, priority=priority)
            for priority, callers in CALLERS.items()
            for number in range(2 * callers)
        ]
        async with asyncio.timeout(40):
            await asyncio.gather(*(tally.keep_calling(api) for api in apis))
        calls = await sandbox.calls()

    outcomes = calls["b2b"][READ.operation]
    assert outcomes["200"] == tally.answered.total()
    assert outcomes.get("429", 0) <= 1
    # Lower priorities get a call or two a window as their head start; without priorities they would get half.
    assert tally.answered[Priority.CREATE] >= 0.85 * tally.answered.total()
