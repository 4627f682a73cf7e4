"""What an API account may not do is answered 403, and counts as no call of the quota."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

CORE, B2B = "/stores/sandbox", "/api/v3/io"
CALLS = {
    ("GET", f"{CORE}/v2/orders"): "orders",
    ("GET", f"{CORE}/v3/orders/metafields"): "orders",
    ("GET", f"{CORE}/v3/orders/1/transactions"): "transactions",
    ("GET", f"{CORE}/v3/carts/a/metafields"): "carts",
    ("GET", f"{CORE}/v2/customer_groups/1"): "customers",
    ("GET", f"{CORE}/v3/customers"): "customers",
    ("GET", f"{CORE}/v3/customers/attributes"): "customers",
    ("GET", f"{CORE}/v3/catalog/products/1/images"): "products",
    ("GET", f"{CORE}/v3/hooks"): None,
    ("GET", f"{CORE}/v2/store"): None,
    ("GET", f"{B2B}/orders/extra-fields"): "b2b_read",
    ("GET", f"{B2B}/orders"): "b2b_read",
    ("GET", f"{B2B}/rfq"): "b2b_read",
    ("PUT", f"{B2B}/orders/1"): "b2b_modify",
    ("POST", f"{B2B}/orders"): "b2b_modify",
}


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(StillClock()) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    "missing", ["orders", "transactions", "carts", "customers", "products", "b2b_read", "b2b_modify"]
)
async def test_only_calls_of_the_missing_scope_are_403(sandbox: RunningSandbox, missing: str) -> None:
    await sandbox.put_store(missing_scopes=[missing])
    refused = {call for call in CALLS if (await sandbox.api.request(*call, json={})).status_code == 403}
    assert refused == {call for call, scope in CALLS.items() if scope == missing}


async def test_the_answer_says_what_is_missing(sandbox: RunningSandbox) -> None:
    await sandbox.put_store(missing_scopes=["orders", "b2b_read"])
    answer = await sandbox.api.get(f"{CORE}/v2/orders")
    assert answer.json() == [{"status": 403, "message": "You don't have a required scope to access the endpoint"}]
    assert answer.headers["X-Rate-Limit-Requests-Left"] == "150"
    assert (await sandbox.api.get(f"{B2B}/orders")).json()["code"] == 403
    assert (await sandbox.calls())["core"]["Get All Orders"] == {"403": 1}
