"""Stores whose Creates may go over the storefront API, and tokens that are held for their buyers."""

import asyncio
import time
from collections.abc import Collection, Iterable

from pydantic import SecretStr

from service.orders.state.per_store.storefront.active_buyers import ActiveBuyer
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.orders.state.per_store.super_admins import SuperAdminBook
from service.redis.client import connect
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN
from tests.fakes.deployment import RULES, Deployment

OVERFLOW_RULES = RULES.replace("incomplete_orders", 'overflow          = "storefront"\nincomplete_orders')


async def hold_tokens(deployment: Deployment, customers: Iterable[int]) -> None:
    """Hold a token of each of these customers, as the workers do when they have fetched them.

    Then it waits until the workers have read the list of Super Admins: before that, no token is used.
    """
    store = deployment.stores[0]
    async with connect(deployment.redis.url) as redis:
        async with asyncio.timeout(30.0):
            while not (await SuperAdminBook(redis).read(store)).is_current(time.time()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        tokens = StorefrontTokens(redis, store, [SecretStr(SANDBOX_ACCESS_TOKEN)])
        for customer_id in customers:
            await tokens.put(customer_id, 1, await deployment.sandbox.issue_token(customer_id, store))


async def held(deployment: Deployment, customers: Collection[int]) -> list[SecretStr]:
    """The tokens that are held of these customers."""
    async with connect(deployment.redis.url) as redis:
        tokens = StorefrontTokens(redis, deployment.stores[0], [SecretStr(SANDBOX_ACCESS_TOKEN)])
        seconds = await tokens.held_for([ActiveBuyer(customer_id, 1) for customer_id in customers])
        found = [await tokens.get(customer_id, 1) for customer_id in customers]
    return [token for token, left_s in zip(found, seconds, strict=True) if token is not None and left_s > 0]


async def storefront_creates(deployment: Deployment) -> int:
    """How many Creates have reached the storefront API, whatever it answered."""
    calls = await deployment.sandbox.calls(deployment.stores[0])
    return sum(calls["storefront"].get("Create an Order", {}).values())


def over_storefront(writes: Collection[dict[str, object]]) -> bool:
    """Whether one of an order's writes, as the sandbox tells them, went over the storefront API."""
    return any(write["api"] == "storefront" for write in writes)
