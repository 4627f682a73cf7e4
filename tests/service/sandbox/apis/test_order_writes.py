"""Orders made and changed by API, and the list of Company users."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

ORDERS = "/stores/sandbox/v2/orders"
B2B = "/api/v3/io"
BODY: dict[str, Any] = {
    "customer_id": 101,
    "staff_notes": "by phone",
    "external_source": "ERP",
    "billing_address": {"city": "Waco"},
    "products": [{"name": "Box", "quantity": 3, "price_inc_tax": 1, "price_ex_tax": 1}],
}


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def sandbox(clock: StillClock) -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(clock) as sandbox:
        yield sandbox


async def made(sandbox: RunningSandbox, **fields: Any) -> int:
    response = await sandbox.api.post(ORDERS, json=BODY | fields)
    assert response.status_code == 200, response.text
    return int(response.json()["id"])


async def test_an_order_is_made_with_its_fields(sandbox: RunningSandbox) -> None:
    order_id = await made(sandbox)

    order = (await sandbox.api.get(f"{ORDERS}/{order_id}")).json()
    (product,) = (await sandbox.api.get(f"{ORDERS}/{order_id}/products")).json()

    assert {name: order[name] for name in ("customer_id", "status", "staff_notes", "external_source")} == {
        "customer_id": 101,
        "status": "Pending",
        "staff_notes": "by phone",
        "external_source": "ERP",
    }
    assert (order["billing_address"]["city"], product["name"], product["quantity"]) == ("Waco", "Box", 3)


@pytest.mark.parametrize(
    "fields",
    [{"billing_address": None}, {"products": []}, {"customer_id": 9999}, {"status_id": 99}, {"status_id": "1"}],
)
async def test_an_order_that_is_not_valid_is_refused(sandbox: RunningSandbox, fields: dict[str, Any]) -> None:
    response = await sandbox.api.post(ORDERS, json=BODY | fields)
    assert response.status_code == 400
    assert (await sandbox.api.get(ORDERS)).status_code == 204


async def test_an_order_is_changed(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await made(sandbox)
    clock.tick(60)

    response = await sandbox.api.put(f"{ORDERS}/{order_id}", json={"status_id": 5, "staff_notes": "no"})

    order = (await sandbox.api.get(f"{ORDERS}/{order_id}")).json()
    assert response.json() == order
    assert (order["status"], order["staff_notes"]) == ("Cancelled", "no")
    assert order["date_modified"] == "Sat, 10 Jan 2026 21:01:00 +0000"
    assert (await sandbox.api.put(f"{ORDERS}/9999", json={"status_id": 5})).status_code == 404
    assert (await sandbox.api.put(f"{ORDERS}/{order_id}", json={"status_id": 15})).status_code == 400


@pytest.mark.parametrize(
    ("options", "early", "late", "create"),
    [
        ({}, 404, 404, 400),
        ({"late_create": "accepted"}, 404, 404, 200),
        ({"api_orders_get_records": True}, 404, 200, 400),
        ({"api_orders_get_records": True, "own_records": False, "late_create": "accepted"}, 404, 404, 200),
    ],
)
async def test_the_record_of_an_order_made_by_api(
    clock: StillClock, options: dict[str, Any], early: int, late: int, create: int
) -> None:
    async with called_sandbox(clock, **options) as sandbox:
        order_id = await made(sandbox)
        fields = [{"fieldName": "Account No", "fieldValue": "1"}]
        body = {"bcOrderId": order_id, "customerId": 101, "poNumber": "A-1", "extraFields": fields}
        assert (await sandbox.api.get(f"{B2B}/orders/{order_id}")).status_code == early
        clock.tick(30)
        assert (await sandbox.api.get(f"{B2B}/orders/{order_id}")).status_code == late
        assert (await sandbox.api.post(f"{B2B}/orders", json=body)).status_code == create


async def test_a_late_create_is_refused_where_the_record_is_there(clock: StillClock) -> None:
    async with called_sandbox(clock, late_create="accepted") as sandbox:
        order_id = (await sandbox.place_order(customer_id=101))["id"]
        clock.tick(30)
        body = {"bcOrderId": order_id, "customerId": 101, "poNumber": "A-1"}
        assert (await sandbox.api.post(f"{B2B}/orders", json=body)).status_code == 400


async def test_reading_orders_does_not_allow_to_write_them(sandbox: RunningSandbox) -> None:
    order_id = await made(sandbox)
    await sandbox.put_store(missing_scopes=["orders_modify"])
    assert (await sandbox.api.get(f"{ORDERS}/{order_id}")).status_code == 200
    assert (await sandbox.api.post(ORDERS, json=BODY)).status_code == 403
    assert (await sandbox.api.put(f"{ORDERS}/{order_id}", json={"status_id": 5})).status_code == 403


async def test_company_users_are_listed_in_pages(sandbox: RunningSandbox) -> None:
    first = (await sandbox.api.get(f"{B2B}/users", params={"limit": 2})).json()
    last = (await sandbox.api.get(f"{B2B}/users", params={"limit": 2, "offset": 4})).json()
    assert [user["customerId"] for user in first["data"]] == [101, 102]
    assert [user["customerId"] for user in last["data"]] == [105]
    assert first["meta"]["pagination"] == {"totalCount": 5, "limit": 2, "offset": 0}
    assert (await sandbox.api.get(f"{B2B}/users", params={"limit": 0, "offset": -1})).status_code == 422


async def test_answers_may_lack_quota_headers(clock: StillClock) -> None:
    async with called_sandbox(clock, quota_headers=False) as sandbox:
        answers = [await sandbox.api.get(ORDERS), await sandbox.api.get(f"{B2B}/users")]
        assert not [name for answer in answers for name in answer.headers if name.startswith("x-r")]
