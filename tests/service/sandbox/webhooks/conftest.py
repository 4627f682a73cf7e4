"""A receiver of webhooks, and a sandbox that sends them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.sandbox.specs import SANDBOX_CLIENT_SECRET
from tests.fakes.sandbox import RunningSandbox, running_app, running_sandbox

HOOKS = "/stores/sandbox/v3/hooks"
T = TypeVar("T")


@dataclass(slots=True)
class Delivery:
    path: str
    headers: dict[str, str]
    body: bytes
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Receiver:
    """Records its deliveries; answers with the statuses of ``answers`` in sequence, then 200."""

    url: str = ""
    got: list[Delivery] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    always: int = 200
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def take(self, request: Request) -> Response:
        body = await request.body()
        self.got.append(Delivery(request.url.path, dict(request.headers), body, await request.json()))
        await self.may_answer.wait()
        status = self.answers.pop(0) if self.answers else self.always
        return Response(status_code=status, headers={"Location": f"{self.url}/elsewhere"} if status == 302 else {})

    async def deliveries(self, count: int) -> list[Delivery]:
        """What came, once there is that much of it."""

        async def read() -> list[Delivery]:
            return self.got

        return await eventually(read, count)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with running_app(Starlette(routes=[Route("/{path}", receiver.take, methods=["POST"])])) as url:
        receiver.url = url
        yield receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    """Retries within milliseconds: all eleven take 0.2 s."""
    async with running_sandbox(retry_scale=1e-6) as sandbox:
        yield sandbox


async def hook(sandbox: RunningSandbox, url: str, scope: str = "store/order/created", **rest: Any) -> str:
    """Register a webhook; its path in the API."""
    body = {"scope": scope, "destination": f"{url}/hook", **rest}
    response = await sandbox.api.post(HOOKS, json=body)
    assert response.status_code == 200, response.text
    return f"{HOOKS}/{response.json()['data']['id']}"


async def eventually(read: Callable[[], Awaitable[list[T]]], count: int = 1) -> list[T]:
    """What is seen once there is that much of it."""
    async with asyncio.timeout(30):
        while True:
            if len(seen := await read()) >= count:
                return seen
            await asyncio.sleep(0.005)


async def settled(sandbox: RunningSandbox, order_id: int, attempts: int) -> list[dict[str, Any]]:
    """The delivery attempts for an order, once there are that many."""

    async def read() -> list[dict[str, Any]]:
        return list((await sandbox.order(order_id))["webhooks"])

    return await eventually(read, attempts)


async def admin(sandbox: RunningSandbox) -> dict[str, Any]:
    return dict((await sandbox.api.get(f"{HOOKS}/admin")).json()["data"])


def verified(delivery: Delivery, secret: str = SANDBOX_CLIENT_SECRET) -> Any:
    return Webhook(base64.b64encode(secret.encode()).decode()).verify(delivery.body, delivery.headers)
