"""A receiver in this process, whose queue takes or ignores webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from service.hooks import WEBHOOK_PATH
from service.receiver.app import create_app
from service.receiver.authentication import StoreRegistry
from service.stores import Store
from tests.fakes.webhooks import FakeQueue, a_store, client_of, signed

NOW = 1_561_479_336.25


@asynccontextmanager
async def receiver(queue: FakeQueue, *stores: Store) -> AsyncIterator[httpx.AsyncClient]:
    registry = StoreRegistry({store.hash: store for store in stores or (a_store(),)})
    async with client_of(create_app(registry, queue.opened, clock=lambda: NOW)) as client:
        yield client


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


async def post(client: httpx.AsyncClient, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return await client.post(WEBHOOK_PATH, content=body, headers=signed(body) if headers is None else headers)


def without_ms(logs: list[Any]) -> list[Any]:
    for line in logs:
        assert line.pop("ms") >= 0
    return logs


async def count_of(client: httpx.AsyncClient, answer: str) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    (line,) = [line for line in lines if line.startswith(f'enrich_webhooks_total{{answer="{answer}"}}')]
    return float(line.split()[1])
