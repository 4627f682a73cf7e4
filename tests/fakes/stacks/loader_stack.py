"""An order loader, the sandbox that it reads from, and a recording transport between them."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from service.bigcommerce import Account, Budget, Priority, StoreApi, Transport
from service.orders.document.batch_loader import OrderLoader
from service.orders.document.loading import Document
from service.rules import Needs
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

NOTHING = Needs(
    consignments=False,
    metafields=False,
    customer=False,
    customer_attributes=False,
    customer_form_fields=False,
    user=False,
    company=False,
)
METAFIELDS = replace(NOTHING, metafields=True)
CONSIGNMENTS = replace(NOTHING, consignments=True)

SINGLE, LIST = "Get an Order", "Get All Orders"
SINGLE_METAFIELDS, LIST_METAFIELDS = "Get Order Metafields", "Get All Order Metafields"

LIST_PATHS = ("/v2/orders", "/v3/orders/metafields")
BAD_REQUEST = httpx.Response(400, json=[{"status": 400, "message": "No such list."}])


class RecordingTransport(httpx.AsyncBaseTransport):
    """Records the requests to the sandbox, and may replace or hold the answers."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.requests: list[httpx.Request] = []
        self.replaced: dict[str, httpx.Response] = {}
        self.hidden: set[int] = set()
        self.held: dict[str, asyncio.Event] = {}

    def hold(self, path: str) -> asyncio.Event:
        """Hold calls to this path (without ``/stores/<hash>``) until the returned event is set."""
        self.held[path] = asyncio.Event()
        return self.held[path]

    def lists(self, path: str = "/v2/orders") -> list[httpx.QueryParams]:
        return [request.url.params for request in self.requests if request.url.path.endswith(path)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = re.sub(r"^/stores/\w+", "", request.url.path)
        if path in self.held:
            await self.held[path].wait()
        if path in self.replaced:
            answer = self.replaced[path]
            headers = {"Content-Type": "application/json"}
            return httpx.Response(answer.status_code, content=answer.content, headers=headers)
        response = await self._inner.handle_async_request(request)
        if path == "/v2/orders" and self.hidden:
            await response.aread()
            return httpx.Response(200, json=[order for order in response.json() if order["id"] not in self.hidden])
        return response


@dataclass(slots=True)
class LoaderStack:
    """A store in the sandbox, an order loader, and the transport between them."""

    sandbox: RunningSandbox
    clock: StillClock
    recorder: RecordingTransport
    transport: Transport
    account: Account
    loader: OrderLoader
    apis: list[StoreApi] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)

    async def place(self, count: int = 1, **fields: Any) -> list[int]:
        return [(await self.sandbox.place_order(customer_id=101, **fields))["id"] for _ in range(count)]

    async def place_with_metafields(self, count: int) -> list[int]:
        """Place orders with the PO numbers A-0, A-1 and so on."""
        return [
            order_id
            for number in range(count)
            for order_id in await self.place(metafields={"checkout": {"po_number": f"A-{number}"}})
        ]

    def start(
        self, ids: list[int], needs: Needs = NOTHING, priority: Priority = Priority.CREATE, **hint: float | None
    ) -> list[asyncio.Task[Document]]:
        """Start reading the orders; by default with a hint that they may have been created just now."""
        started = []
        for order_id in ids:
            api = StoreApi(self.transport, self.account, priority=priority)
            self.apis.append(api)
            reading = self.loader.read(api, order_id, needs, **{"created_hint": self.clock.now} | hint)
            started.append(asyncio.create_task(reading))
        return started

    async def read(self, ids: list[int], needs: Needs = NOTHING, **options: Any) -> list[Document]:
        """Read all orders at the same time."""
        return await asyncio.gather(*self.start(ids, needs, **options))

    async def outcomes(self, ids: list[int], needs: Needs = NOTHING) -> list[Document | BaseException]:
        return await asyncio.gather(*self.start(ids, needs), return_exceptions=True)

    async def calls(self) -> dict[str, int]:
        """How often each operation was called since the last call of this method."""
        calls = (await self.sandbox.calls())["core"]
        now = {operation: sum(counts.values()) for operation, counts in calls.items()}
        since = {operation: count - self.counted.get(operation, 0) for operation, count in now.items()}
        self.counted = now
        return {operation: count for operation, count in since.items() if count}

    async def until_listed(self, path: str, times: int = 1) -> None:
        """Wait until that many list calls to this path have been started."""
        await until(lambda: len(self.recorder.lists(path)) >= times)


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run step by step, so that the condition is seen as soon as it is true."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition never became true")


OpenStack = Callable[..., Awaitable[LoaderStack]]


@pytest.fixture
async def open_stack() -> AsyncIterator[OpenStack]:
    """Builds a stack whose sandbox has the given options."""
    async with AsyncExitStack() as exit_stack:

        async def build(budget: Budget | None = None, **options: Any) -> LoaderStack:
            clock = StillClock()
            sandbox = await exit_stack.enter_async_context(called_sandbox(clock, **options))
            recorder = RecordingTransport(sandbox.api._transport)
            http = await exit_stack.enter_async_context(recorder)
            transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url, clock=clock, budget=budget)
            account = Account("sandbox", (SecretStr("sandbox-access-token"),))
            return LoaderStack(sandbox, clock, recorder, transport, account, OrderLoader(transport, account))

        yield build


@pytest.fixture
async def stack(open_stack: OpenStack) -> LoaderStack:
    """A stack whose quota is never short."""
    return await open_stack(core_quota=100_000)


def ids_of(documents: list[Document]) -> list[int]:
    return [document["order"]["id"] for document in documents]


def po_numbers(documents: list[Document]) -> list[Any]:
    return [document["metafields"].get("checkout", {}).get("po_number") for document in documents]
