"""A reader of orders, the sandbox that it reads from, and the wire between them."""

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


class Wire(httpx.AsyncBaseTransport):
    """Between the reader and the sandbox: remembers what was asked, and may change or hold up the answers."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.asked: list[httpx.Request] = []
        self.replaced: dict[str, httpx.Response] = {}
        self.hidden: set[int] = set()
        self.held: dict[str, asyncio.Event] = {}

    def hold(self, path: str) -> asyncio.Event:
        """Calls to this path, below the version's root, wait until the event is set."""
        self.held[path] = asyncio.Event()
        return self.held[path]

    def lists(self, path: str = "/v2/orders") -> list[httpx.QueryParams]:
        return [request.url.params for request in self.asked if request.url.path.endswith(path)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = re.sub(r"^/stores/\w+", "", request.url.path)
        if path in self.held:
            await self.held[path].wait()
        if path in self.replaced:
            told = self.replaced[path]
            return httpx.Response(told.status_code, content=told.content, headers={"Content-Type": "application/json"})
        response = await self._inner.handle_async_request(request)
        if path == "/v2/orders" and self.hidden:
            await response.aread()
            return httpx.Response(200, json=[order for order in response.json() if order["id"] not in self.hidden])
        return response


@dataclass(slots=True)
class House:
    """A store, one reader of its orders, and the wire between them."""

    sandbox: RunningSandbox
    clock: StillClock
    wire: Wire
    transport: Transport
    account: Account
    reader: OrderLoader
    apis: list[StoreApi] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)

    async def place(self, count: int = 1, **fields: Any) -> list[int]:
        return [(await self.sandbox.place_order(customer_id=101, **fields))["id"] for _ in range(count)]

    async def place_with_metafields(self, count: int) -> list[int]:
        """Each has the number of its place as its PO number."""
        return [
            order_id
            for number in range(count)
            for order_id in await self.place(metafields={"checkout": {"po_number": f"A-{number}"}})
        ]

    def start(
        self, ids: list[int], needs: Needs = NOTHING, priority: Priority = Priority.CREATE, **hint: float | None
    ) -> list[asyncio.Task[Document]]:
        """Have them read; where nothing else is said, each may have been created just now."""
        started = []
        for order_id in ids:
            api = StoreApi(self.transport, self.account, priority=priority)
            self.apis.append(api)
            reading = self.reader.read(api, order_id, needs, **{"created_hint": self.clock.now} | hint)
            started.append(asyncio.create_task(reading))
        return started

    async def read(self, ids: list[int], needs: Needs = NOTHING, **options: Any) -> list[Document]:
        """All of them at the same time."""
        return await asyncio.gather(*self.start(ids, needs, **options))

    async def outcomes(self, ids: list[int], needs: Needs = NOTHING) -> list[Document | BaseException]:
        return await asyncio.gather(*self.start(ids, needs), return_exceptions=True)

    async def calls(self) -> dict[str, int]:
        """How often each operation was called since the last time."""
        told = (await self.sandbox.calls())["core"]
        now = {operation: sum(counts.values()) for operation, counts in told.items()}
        since = {operation: count - self.before.get(operation, 0) for operation, count in now.items()}
        self.before = now
        return {operation: count for operation, count in since.items() if count}

    async def until_asked(self, path: str, times: int = 1) -> None:
        """Return when that many calls to lists of this path are under way or done."""
        await passing(lambda: len(self.wire.lists(path)) >= times)


async def passing(condition: Callable[[], bool]) -> None:
    """Let everybody else take steps until this holds: it must be seen at its first moment."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


OpenHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def open_house() -> AsyncIterator[OpenHouse]:
    """Builds a house whose sandbox has the given options."""
    async with AsyncExitStack() as stack:

        async def build(budget: Budget | None = None, **options: Any) -> House:
            clock = StillClock()
            sandbox = await stack.enter_async_context(called_sandbox(clock, **options))
            wire = Wire(sandbox.api._transport)
            http = await stack.enter_async_context(wire)
            transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url, clock=clock, budget=budget)
            account = Account("sandbox", (SecretStr("sandbox-access-token"),))
            return House(sandbox, clock, wire, transport, account, OrderLoader(transport, account))

        yield build


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    """A house whose quota is never short."""
    return await open_house(core_quota=100_000)


def ids_of(documents: list[Document]) -> list[int]:
    return [document["order"]["id"] for document in documents]


def po_numbers(documents: list[Document]) -> list[Any]:
    return [document["metafields"].get("checkout", {}).get("po_number") for document in documents]
