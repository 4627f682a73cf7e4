"""Webhooks as BigCommerce sends them (bodies, signatures), and a receiver with a fake queue."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr
from standardwebhooks import Webhook as Signer
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from service.configuration import ConfiguredStore
from service.orders.state.queue import Counts, EnqueueResult, Queue, Webhook
from service.rules import compile_rules
from service.stores import Store

SECRET = "the client secret of abc123"


def a_store(store_hash: str = "abc123", **changes: Any) -> Store:
    """A store of the stores file; ``changes`` are keys of its table, of which None removes one."""
    table = {
        "hash": store_hash,
        "access_token": SecretStr("token"),
        "client_secret": SecretStr(SECRET),
        "po_number": "order.customer_message",
    } | changes
    return Store.model_validate({key: value for key, value in table.items() if value is not None})


def a_configured_store(store_hash: str = "abc123", **changes: Any) -> ConfiguredStore:
    """The same with its compiled rules. It follows no changes, unless told to: no optional webhook is needed."""
    store = a_store(store_hash, **{"follow": "0s", **changes})
    return ConfiguredStore(store, compile_rules(store))


def a_body(**changes: Any) -> bytes:
    """The body of a webhook for a new order, with these keys changed."""
    payload = {
        "scope": "store/order/created",
        "store_id": "1025646",
        "data": {"type": "order", "id": 250},
        "hash": "dd70c0976e06b67aaf671e73f49dcb79230ebf9d",
        "created_at": 1561479335,
        "producer": "stores/abc123",
    }
    return json.dumps(payload | changes).encode()


def signed(body: bytes, secret: str = SECRET, *, age: float = 0, webhook_id: str = "msg_1") -> dict[str, str]:
    """The headers of a body that was signed ``age`` seconds ago, by the specification's own library."""
    at = datetime.now(tz=UTC) - timedelta(seconds=age)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Signer(secret.encode()).sign(webhook_id, at, body.decode()),
    }


class FakeQueue(Queue):
    """A queue that records webhooks; ``answer`` and ``read_counts`` return its results."""

    def __init__(self) -> None:
        self.webhooks: list[Webhook] = []
        self.noted: list[tuple[str, str, int | None, float]] = []
        self.people_changed: list[str] = []
        self.reported: Counter[tuple[str, str]] = Counter()
        self.answer: Callable[[], EnqueueResult] = lambda: EnqueueResult.QUEUED
        self.read_counts: Callable[[], Counts] = lambda: Counts(workers=2, queued=7)

    async def accept(self, webhook: Webhook) -> EnqueueResult:
        answer = self.answer()
        self.webhooks.append(webhook)
        return answer

    async def note_event(self, store: str, scope: str, order_id: int | None, received_at: float) -> None:
        self.noted.append((store, scope, order_id, received_at))

    async def accept_people_change(self, store: str) -> EnqueueResult:
        answer = self.answer()
        self.people_changed.append(store)
        return answer

    async def report_receiver(self, receiver: str, counts: Mapping[tuple[str, str], int], *, now: float) -> None:
        self.reported.update(counts)

    async def remove_receiver(self, receiver: str) -> None:
        pass

    async def check_writable(self) -> None:
        pass

    async def counts(self) -> Counts:
        return self.read_counts()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Queue]:
        yield self


def raising(error: Exception) -> Callable[..., Any]:
    """A function that raises."""

    def function(*_: Any, **__: Any) -> Any:
        raise error

    return function


def refusing(error: Exception) -> Callable[..., Awaitable[Any]]:
    """A coroutine function that raises."""

    async def function(*_: Any, **__: Any) -> Any:
        raise error

    return function


def answering(answer: Any) -> Callable[..., Awaitable[Any]]:
    """A coroutine function that returns this answer."""

    async def function(*_: Any, **__: Any) -> Any:
        return answer

    return function


@asynccontextmanager
async def client_of(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client for an app in this process, within the app's lifespan."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(with_state), base_url="http://test") as client:
            yield client
