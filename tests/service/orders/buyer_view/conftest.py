"""A store in a sandbox over HTTP, and views of what its buyers see."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from arq import ArqRedis
from pydantic import SecretStr

from service.bigcommerce import StoreApi, Transport
from service.bigcommerce.connection_pool import http_client
from service.orders.buyer_view.order_view import BuyerViews, OrderView, api_for_views
from service.sandbox.demo import DEMO_STORE_HASH
from service.stores import Store
from tests.fakes.sandbox import RunningSandbox, running_sandbox
from tests.fakes.upstream import FakeUpstream, store_api

STORE = Store.model_validate(
    {
        "hash": DEMO_STORE_HASH,
        "access_token": SecretStr("sandbox-access-token"),
        "client_secret": SecretStr("sandbox-client-secret"),
        "po_number": "order.customer_message",
    }
)
ACCOUNT_NO = {"Account No": "ERP-10001"}
OLD = 100_000
"""Seconds: an order so old has B2B Edition's own record."""


@dataclass(frozen=True, slots=True)
class BuyerStack:
    sandbox: RunningSandbox
    transport: Transport
    redis: ArqRedis

    @property
    def views(self) -> BuyerViews:
        """Views of a process that starts now."""
        return BuyerViews(api_for_views(self.transport, STORE, lambda *_: None), self.redis, STORE)

    async def place(self, customer_id: int = 101, *, po: str | None = "A-1", **placed: Any) -> int:
        """Place an old order, with a record that holds this PO number."""
        placed = {"age": OLD, "buyer_po": po, "buyer_extra_fields": ACCOUNT_NO, **placed}
        order_id: int = (await self.sandbox.place_order(customer_id=customer_id, **placed))["id"]
        return order_id

    async def view(self, order_id: int) -> OrderView:
        view = await self.views.order(order_id)
        assert isinstance(view, OrderView)
        return view

    async def calls(self) -> dict[str, dict[str, dict[str, int]]]:
        calls = await self.sandbox.calls()
        return {api: calls[api] for api in ("core", "b2b", "storefront")}


@pytest.fixture
def options() -> dict[str, Any]:
    """The sandbox's options; tests override it."""
    return {}


@pytest.fixture
async def stack(redis: ArqRedis, options: dict[str, Any]) -> AsyncIterator[BuyerStack]:
    async with running_sandbox(**options) as sandbox, http_client() as http:
        yield BuyerStack(sandbox, Transport(http, core_url=sandbox.url, b2b_url=sandbox.url), redis)


@pytest.fixture
def upstream() -> FakeUpstream:
    """A BigCommerce without any scripted answers."""
    return FakeUpstream()


@pytest.fixture
async def api(upstream: FakeUpstream) -> AsyncIterator[StoreApi]:
    """The APIs of one store of ``upstream``, with one access token and no budget."""
    async with store_api(upstream) as api:
        yield api
