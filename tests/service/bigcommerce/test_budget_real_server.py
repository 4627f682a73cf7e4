"""Two processes, many callers of every priority, one small quota: against the sandbox as a real server."""

import asyncio
import time
from collections import Counter

import httpx
from arq import ArqRedis
from pydantic import SecretStr

from service.bigcommerce import Account, Api, Budget, Priority, StoreApi, Transport, http_client
from service.bigcommerce.transport import Call
from service.errors import WaitUntil
from service.sandbox.demo import DEMO_STORE_HASH
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN
from tests.fakes.sandbox import running_sandbox

READ = Call("Get Order Extra Field Configs", Api.B2B, "GET", "/v3/io/orders/extra-fields")
QUOTA, WINDOW_S, WINDOWS = 20, 2.0, 3

# In each of the two processes; all of them ask as often as they are allowed to.
CALLERS = {Priority.CREATE: 6, Priority.VERIFY: 2, Priority.RECOVER: 2, Priority.BACKGROUND: 2}


async def keep_asking(api: StoreApi, until: float) -> int:
    """Make calls, and wait as told; returns how many were answered."""
    answered = 0
    while time.monotonic() < until:
        try:
            await api.call(READ)
            answered += 1
        except WaitUntil as told:
            await asyncio.sleep(min(told.seconds, max(0.0, until - time.monotonic())))
    return answered


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
        await StoreApi(processes[0], account).call(READ)  # from now on the limit is known
        until = time.monotonic() + (WINDOWS - 0.5) * WINDOW_S
        asking = {
            (priority, number): asyncio.create_task(
                keep_asking(StoreApi(processes[number % 2], account, timeout_s=5, priority=priority), until)
            )
            for priority, callers in CALLERS.items()
            for number in range(2 * callers)
        }
        answered: Counter[Priority] = Counter({Priority.CREATE: 1})
        for (priority, _), task in asking.items():
            answered[priority] += await task
        calls = await sandbox.calls()

    outcomes = calls["b2b"][READ.operation]
    assert outcomes["200"] == sum(answered.values())
    assert outcomes.get("429", 0) <= 1
    assert answered[Priority.CREATE] >= 0.95 * QUOTA * WINDOWS
