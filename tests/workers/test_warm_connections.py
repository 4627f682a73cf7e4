"""A worker's connections to BigCommerce are open before an order needs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from service.bigcommerce import Account, Api, Priority, StoreApi
from service.configuration import load_configuration
from service.errors import UpstreamError
from service.process.task_cancellation import cancel_and_wait
from service.sandbox import app
from tests.fakes.counting_relay import Relay, relayed
from tests.fakes.sandbox import RunningSandbox, running_sandbox
from tests.fakes.stacks.job_stack import JobStack
from tests.fakes.stores_file import SANDBOX_STORES
from tests.fakes.upstream import STORE_HASH
from workers.resources import open_resources
from workers.warm_connections import APIS, IDLE_S, RETRY_S, START_S, keep_connection_warm

ROUTES = {Api.CORE: "GET /v2/orders", Api.B2B: "GET /api/v3/io/orders/extra-fields"}


class Quiet:
    """A worker without orders, on a clock that goes on with each of its pauses."""

    def __init__(self, stack: JobStack, api: Api) -> None:
        self.stack, self.api = stack, api
        self._began, self._called = stack.clock(), list[int]()

    def answers(self, answer: Any) -> None:
        """The API answers so."""

        def note(_: httpx.Request) -> Any:
            self._called.append(round(self.stack.clock() - self._began))
            return answer

        self.stack.upstream.on(ROUTES[self.api], note)

    async def calls_during(self, seconds: float) -> list[int]:
        """Keep the connection warm for so long; returns when calls were made, in seconds after the start."""
        self._began, self._called = self.stack.clock(), []
        keeping = asyncio.create_task(keep_connection_warm(self.stack.resources, self.api))
        while self.stack.clock() < self._began + seconds and not keeping.done():
            await asyncio.wait([keeping], timeout=0.001)
        assert not keeping.done(), keeping.exception()
        await cancel_and_wait([keeping])
        return [at for at in self._called if at <= seconds]


@pytest.fixture(params=APIS)
def quiet(job_stack: JobStack, request: pytest.FixtureRequest) -> Quiet:
    quiet = Quiet(job_stack, request.param)
    quiet.answers([])
    return quiet


@asynccontextmanager
async def keeping_warm(
    folder: Path, redis_url: str, idle_s: float
) -> AsyncIterator[tuple[RunningSandbox, Relay, Relay]]:
    """A sandbox with relays to both of its APIs, and a worker that only keeps its connections warm."""
    async with running_sandbox(b2b_quota=10_000) as sandbox, relayed(sandbox.url) as core, relayed(sandbox.url) as b2b:
        stores_file = folder / "stores.toml"
        stores = SANDBOX_STORES.format(url=core.url)
        stores_file.write_text(stores.replace(f'b2b_api_url = "{core.url}"', f'b2b_api_url = "{b2b.url}"'))
        async with open_resources(load_configuration(stores_file), redis_url) as resources:
            warm = [keep_connection_warm(resources, api, idle_s=idle_s, start_s=0.0) for api in APIS]
            keeping = [asyncio.create_task(each) for each in warm]
            yield sandbox, core, b2b
            await cancel_and_wait(keeping)


async def test_one_connection_to_each_api_stays_open(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "KEEP_ALIVE_S", 1)  # an idle connection is closed so soon
    async with keeping_warm(tmp_path, redis_url, idle_s=0.1) as (sandbox, core, b2b):
        calls: dict[str, Any] = {}
        async with asyncio.timeout(60):  # twice as long as idle connections stay
            while min(calls.get("core", 0), calls.get("b2b", 0)) < 20:
                await asyncio.sleep(0.1)
                calls = {api: sum(map(_total, (await sandbox.calls())[api].values())) for api in ("core", "b2b")}
        assert (core.open, b2b.open) == (1, 1)
        assert (core.opened, b2b.opened) == (1, 1)


def _total(outcomes: dict[str, int]) -> int:
    return sum(outcomes.values())


async def test_there_is_a_call_when_the_worker_starts_and_then_when_it_is_idle(quiet: Quiet) -> None:
    assert await quiet.calls_during(130.0) == [START_S, START_S + IDLE_S, START_S + 2 * IDLE_S]


async def test_an_api_that_was_called_lately_is_not_called(quiet: Quiet) -> None:
    (configured,) = quiet.stack.resources.configuration.stores.values()
    api = StoreApi(quiet.stack.resources.transport, Account(STORE_HASH, configured.store.access_tokens))
    with suppress(UpstreamError):
        await (api.core.orders() if quiet.api is Api.CORE else api.b2b.extra_field_configs())
    assert await quiet.calls_during(95.0) == [IDLE_S, 2 * IDLE_S]


@pytest.mark.parametrize("answer", [500, 429, (403, {"message": "no scope"}), {"data": "nonsense"}])
async def test_any_answer_is_as_good(quiet: Quiet, answer: Any) -> None:
    quiet.answers(answer)
    assert await quiet.calls_during(50.0) == [START_S, START_S + IDLE_S]


async def test_without_an_answer_it_soon_tries_again(quiet: Quiet) -> None:
    quiet.answers(httpx.ConnectError("refused"))
    assert await quiet.calls_during(25.0) == [START_S, START_S + RETRY_S, START_S + 2 * RETRY_S]


async def test_stores_with_refused_credentials_are_not_called(quiet: Quiet) -> None:
    await quiet.stack.resources.breaker.open(STORE_HASH)
    assert await quiet.calls_during(100.0) == []


async def test_without_stores_it_waits_for_one(quiet: Quiet) -> None:
    resources, configuration = quiet.stack.resources, quiet.stack.resources.configuration
    resources.configuration = replace(configuration, stores={})
    assert await quiet.calls_during(100.0) == []
    resources.configuration = configuration
    assert await quiet.calls_during(20.0) == [START_S]


@pytest.mark.parametrize("error", [RedisConnectionError("gone"), ValueError("a bug")])
async def test_no_error_ends_it(quiet: Quiet, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def fail(_: str) -> bool:
        raise error

    with monkeypatch.context() as outage:
        outage.setattr(quiet.stack.resources.breaker, "is_open", fail)
        assert await quiet.calls_during(100.0) == []
    assert await quiet.calls_during(20.0) == [START_S]


async def test_orders_come_first(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    priorities = []

    async def note(_: Account, __: Api, priority: Priority, **___: Any) -> None:
        priorities.append(priority)

    monkeypatch.setattr(quiet.stack.resources.transport, "spend", note)
    await quiet.calls_during(10.0)
    assert priorities == [Priority.BACKGROUND]
