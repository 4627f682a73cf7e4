"""A store in the sandbox, on a clock that the test moves, and the calls for its records."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

ORDERS = "/api/v3/io/orders"
ACCOUNT = {"fieldName": "Account No", "fieldValue": "ERP-10001"}
BUYER: dict[str, Any] = {
    "companies": [{"id": 5001, "name": "Great Buys"}],
    "users": [{"customer_id": 101, "company_id": 5001}],
}
"""What a store needs for customer 101 to be a Company user."""


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def sandbox(clock: StillClock) -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(clock) as sandbox:
        yield sandbox


async def create(
    sandbox: RunningSandbox, order_id: int, customer_id: int = 101, po: str = "A-1", *fields: dict[str, str]
) -> httpx.Response:
    body = {"bcOrderId": order_id, "customerId": customer_id, "poNumber": po, "extraFields": [ACCOUNT, *fields]}
    return await sandbox.api.post(ORDERS, json=body)


async def update(sandbox: RunningSandbox, order_id: int, **body: Any) -> httpx.Response:
    return await sandbox.api.put(f"{ORDERS}/{order_id}", json=body)


async def record(sandbox: RunningSandbox, order_id: int) -> dict[str, Any]:
    """What Get an Order shows."""
    response = await sandbox.api.get(f"{ORDERS}/{order_id}")
    assert response.status_code == 200, response.text
    (data,) = response.json()["data"]
    return dict(data)


async def placed(sandbox: RunningSandbox, **fields: Any) -> int:
    return int((await sandbox.place_order(**{"customer_id": 101, **fields}))["id"])
