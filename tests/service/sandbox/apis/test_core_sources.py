"""The sandbox's carts, payments and customer groups."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

V2, V3 = "/stores/sandbox/v2", "/stores/sandbox/v3"


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(StillClock()) as sandbox:
        yield sandbox


async def get(sandbox: RunningSandbox, path: str, **query: Any) -> Any:
    response = await sandbox.api.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def placed(sandbox: RunningSandbox, **fields: Any) -> tuple[int, str]:
    """The order's id and its cart's."""
    order_id = (await sandbox.place_order(customer_id=101, **fields))["id"]
    return order_id, (await get(sandbox, f"{V2}/orders/{order_id}"))["cart_id"]


async def test_each_order_has_a_cart_with_metafields(sandbox: RunningSandbox) -> None:
    _, other = await placed(sandbox)
    _, cart_id = await placed(sandbox, cart_metafields={"checkout": {"po_number": "A-26", "note": "x"}})
    assert cart_id != other

    both = await get(sandbox, f"{V3}/carts/{cart_id}/metafields")
    assert [(each["namespace"], each["key"], each["value"]) for each in both["data"]] == [
        ("checkout", "po_number", "A-26"),
        ("checkout", "note", "x"),
    ]
    assert {(each["resource_type"], each["resource_id"]) for each in both["data"]} == {("cart", cart_id)}
    one = await get(sandbox, f"{V3}/carts/{cart_id}/metafields", key="note", limit=1)
    assert [each["value"] for each in one["data"]] == ["x"]
    assert (await get(sandbox, f"{V3}/carts/{other}/metafields"))["data"] == []


async def test_a_cart_that_is_gone_is_404(sandbox: RunningSandbox) -> None:
    _, gone = await placed(sandbox, cart_metafields=None)
    for cart_id in (gone, "unknown"):
        response = await sandbox.api.get(f"{V3}/carts/{cart_id}/metafields")
        assert (response.status_code, response.json()["title"]) == (404, "Cart not found.")


async def test_payments_have_defaults_and_what_was_placed(sandbox: RunningSandbox) -> None:
    custom = {"method": "custom", "custom": {"payment_method": "Invoice"}, "offline": None}
    order_id, _ = await placed(sandbox, transactions=[{}, custom])
    first, second = (await get(sandbox, f"{V3}/orders/{order_id}/transactions"))["data"]

    assert (first["method"], first["offline"]) == ("offline", {"display_name": "PO Number / Reference #"})
    assert (second["method"], second["custom"], second["offline"]) == ("custom", {"payment_method": "Invoice"}, None)
    assert first["order_id"] == second["order_id"] == str(order_id)
    assert first["id"] != second["id"]


async def test_an_order_without_payments_is_204(sandbox: RunningSandbox) -> None:
    order_id, _ = await placed(sandbox)
    assert (await sandbox.api.get(f"{V3}/orders/{order_id}/transactions")).status_code == 204
    assert (await sandbox.api.get(f"{V3}/orders/9/transactions")).status_code == 404


async def test_a_customer_shows_its_group(sandbox: RunningSandbox) -> None:
    people: dict[str, Any] = {"customers": [{"id": 101, "customer_group_id": 3}, {"id": 102}]}
    await sandbox.put_store(**people, customer_groups=[{"id": 3, "name": "Wholesale"}])

    customers = (await get(sandbox, f"{V3}/customers"))["data"]
    assert [each["customer_group_id"] for each in customers] == [3, 0]
    group = await get(sandbox, f"{V2}/customer_groups/3")
    assert (group["id"], group["name"]) == (3, "Wholesale")
    assert (await sandbox.api.get(f"{V2}/customer_groups/4")).status_code == 404


@pytest.mark.parametrize("value", [4711, ["Budget", "Legal"], "A-1"])
async def test_form_fields_hold_texts_numbers_and_lists(sandbox: RunningSandbox, value: Any) -> None:
    await sandbox.put_store(customers=[{"id": 101, "form_fields": {"PO Number": value}}])
    (customer,) = (await get(sandbox, f"{V3}/customers", include="formfields"))["data"]
    assert [each["value"] for each in customer["form_fields"]] == [value]
