"""A worker's connections to BigCommerce are open before an order needs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from service.bigcommerce import Account, Api, Priority, StoreApi
from service.configuration import load_configuration
from service.errors import OutOfBudget, UpstreamError
from service.process.task_cancellation import cancel_and_wait
from tests.fakes.counting_relay import Relay, relayed
from tests.fakes.sandbox import RunningSandbox, running_sandbox
from tests.fakes.stacks.job_stack import JobStack
from tests.fakes.stores_file import SANDBOX_STORES
from tests.fakes.upstream import STORE_HASH
from workers.resources import open_resources
from workers.warm_connections import CONNECTIONS, IDLE_S, RETRY_S, START_S, keep_connections_warm

ROUTES = {Api.CORE: "GET /v2/orders", Api.B2B: "GET /api/v3/io/orders"}
EMPTY = {Api.CORE: [], Api.B2B: {"code": 200, "data": [], "meta": {"pagination": {"totalCount": 0}}}}


class Quiet:
    """A worker without orders, on a clock that goes on with each of its pauses."""

    def __init__(self, stack: JobStack, api: Api) -> None:
        self.stack, self.api = stack, api
        self.internal_errors = 0
        self._began, self._called = stack.clock(), list[float]()
        self.answers(EMPTY[api])

    def answers(self, answer: Any) -> None:
        """The API answers so."""

        def note(_: httpx.Request) -> Any:
            self._called.append(round(self.stack.clock() - self._began))
            return answer

        self.stack.upstream.on(ROUTES[self.api], note)

    def calls_at(self, *seconds: float) -> list[float]:
        """The usual number of calls at each of these times."""
        return [each for each in seconds for _ in range(CONNECTIONS[self.api])]

    async def calls_during(self, seconds: float) -> list[float]:
        """Keep the connections warm for so long; returns when calls were made, in seconds after the start."""
        self._began, self._called = self.stack.clock(), []
        with capture_logs() as logs:
            keeping = asyncio.create_task(keep_connections_warm(self.stack.resources, self.api))
            while self.stack.clock() < self._began + seconds and not keeping.done():
                await asyncio.wait([keeping], timeout=0.001)
            assert not keeping.done(), keeping.exception()
            await cancel_and_wait([keeping])
        self.internal_errors += sum(line["event"] == "internal_error" for line in logs)
        return [at for at in self._called if at <= seconds]

    async def call(self) -> None:
        """Make a call, as an order does."""
        (configured,) = self.stack.resources.configuration.stores.values()
        api = StoreApi(self.stack.resources.transport, Account(STORE_HASH, configured.store.access_tokens))
        await (api.core.orders() if self.api is Api.CORE else api.b2b.orders())


@pytest.fixture(params=CONNECTIONS)
def quiet(job_stack: JobStack, request: pytest.FixtureRequest) -> Quiet:
    return Quiet(job_stack, request.param)


@asynccontextmanager
async def keeping_warm(folder: Path, redis_url: str) -> AsyncIterator[tuple[RunningSandbox, Relay, Relay]]:
    """A sandbox with relays to both of its APIs, and a worker that only keeps its connections warm."""
    async with running_sandbox(b2b_quota=10_000) as sandbox, relayed(sandbox.url) as core, relayed(sandbox.url) as b2b:
        stores_file = folder / "stores.toml"
        stores = SANDBOX_STORES.format(url=core.url)
        stores_file.write_text(stores.replace(f'b2b_api_url = "{core.url}"', f'b2b_api_url = "{b2b.url}"'))
        async with open_resources(load_configuration(stores_file), redis_url) as resources:
            warm = [keep_connections_warm(resources, api, idle_s=0.05, start_s=0.0) for api in CONNECTIONS]
            keeping = [asyncio.create_task(each) for each in warm]
            yield sandbox, core, b2b
            await cancel_and_wait(keeping)


async def test_the_same_connections_are_used_again_and_again(tmp_path: Path, redis_url: str) -> None:
    async with keeping_warm(tmp_path, redis_url) as (sandbox, core, b2b):
        fewest = 0
        async with asyncio.timeout(60):
            while fewest < 10:
                await asyncio.sleep(0.05)
                calls = await sandbox.calls()
                fewest = min(sum(calls[api].get("Get All Orders", {}).values()) for api in ("core", "b2b"))
        assert (core.open, b2b.open) == (core.opened, b2b.opened) == (2, 1)


async def test_there_are_calls_when_the_worker_starts_and_then_when_it_is_idle(quiet: Quiet) -> None:
    assert await quiet.calls_during(130.0) == quiet.calls_at(START_S, START_S + IDLE_S, START_S + 2 * IDLE_S)


async def test_an_api_that_was_called_lately_is_not_called(quiet: Quiet) -> None:
    await quiet.call()
    assert await quiet.calls_during(95.0) == quiet.calls_at(IDLE_S, 2 * IDLE_S)


@pytest.mark.parametrize("answer", [500, (403, {"message": "no scope"}), {"data": "nonsense"}])
async def test_any_answer_is_as_good(quiet: Quiet, answer: Any) -> None:
    quiet.answers(answer)
    assert await quiet.calls_during(50.0) == quiet.calls_at(START_S, START_S + IDLE_S)
    assert quiet.internal_errors == 0


@pytest.mark.parametrize(
    "answer",
    [httpx.ConnectError("refused"), httpx.ReadTimeout("silence"), httpx.Response(503, headers={"Connection": "close"})],
)
async def test_without_an_open_connection_it_soon_tries_again(quiet: Quiet, answer: Any) -> None:
    quiet.answers(answer)
    assert await quiet.calls_during(25.0) == quiet.calls_at(START_S, START_S + RETRY_S, START_S + 2 * RETRY_S)
    assert quiet.internal_errors == 0


async def test_a_failed_call_of_an_order_makes_it_try_at_the_next_occasion(quiet: Quiet) -> None:
    await quiet.call()
    quiet.answers(httpx.ReadTimeout("silence"))
    with pytest.raises(UpstreamError):
        await quiet.call()
    quiet.answers(EMPTY[quiet.api])
    assert await quiet.calls_during(50.0) == quiet.calls_at(START_S, START_S + IDLE_S)


async def test_stores_with_refused_credentials_are_not_called(quiet: Quiet) -> None:
    await quiet.stack.resources.breaker.open(STORE_HASH)
    assert await quiet.calls_during(100.0) == []


async def test_another_store_is_called_instead(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of three has refused credentials, one has no quota."""
    resources, (configured,) = quiet.stack.resources, quiet.stack.resources.configuration.stores.values()
    named = {name: configured.store.model_copy(update={"hash": name}) for name in ("a", "b", "c")}
    stores = {name: replace(configured, store=store) for name, store in named.items()}
    resources.configuration = replace(resources.configuration, stores=stores)
    await resources.breaker.open("a")

    async def spend(account: Account, *_: Any, operation: str, **__: Any) -> None:
        assert account.store_hash != "a"
        if account.store_hash == "b":
            raise OutOfBudget(operation, seconds=30.0)

    monkeypatch.setattr(resources.transport, "spend", spend)
    assert await quiet.calls_during(50.0) == quiet.calls_at(START_S, START_S + IDLE_S)
    assert quiet.internal_errors == 0


async def test_without_stores_it_waits_for_one(quiet: Quiet) -> None:
    resources, configuration = quiet.stack.resources, quiet.stack.resources.configuration
    resources.configuration = replace(configuration, stores={})
    assert await quiet.calls_during(100.0) == []
    resources.configuration = configuration
    assert await quiet.calls_during(20.0) == quiet.calls_at(START_S)


@pytest.mark.parametrize(("error", "is_logged"), [(RedisConnectionError("gone"), False), (ValueError("a bug"), True)])
async def test_no_error_ends_it(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch, error: Exception, is_logged: bool
) -> None:
    async def fail(_: str) -> bool:
        raise error

    with monkeypatch.context() as outage:
        outage.setattr(quiet.stack.resources.breaker, "is_open", fail)
        assert await quiet.calls_during(100.0) == []
    assert bool(quiet.internal_errors) is is_logged
    assert await quiet.calls_during(20.0) == quiet.calls_at(START_S)


async def test_orders_come_first(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    priorities = set()

    async def note(_: Account, __: Api, priority: Priority, **___: Any) -> None:
        priorities.add(priority)

    monkeypatch.setattr(quiet.stack.resources.transport, "spend", note)
    await quiet.calls_during(10.0)
    assert priorities == {Priority.BACKGROUND}
