"""The sandbox's Super Admins, orders for other Companies, and customers who become Company users."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.sandbox.demo import DEMO_STORE
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

LIST, INFO = "/api/v3/io/companies/super-admins", "/api/v3/io/super-admins/info"
ORDERS, USERS = "/api/v3/io/orders", "/api/v3/io/users/customer"
ADA, SUE, ZOE = 101, 150, 199


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(StillClock()) as sandbox:
        yield sandbox


async def create(sandbox: RunningSandbox, customer_id: int, **placed: Any) -> tuple[int, dict[str, Any]]:
    """Place an order and create its record: the answer's status, and its data."""
    order = await sandbox.place_order(customer_id=customer_id, **placed)
    fields = [{"fieldName": "Account No", "fieldValue": "X"}]
    body = {"bcOrderId": order["id"], "customerId": customer_id, "poNumber": "A-1", "extraFields": fields}
    answer = await sandbox.api.post(ORDERS, json=body)
    return answer.status_code, answer.json()["data"]


async def test_the_list_shows_no_customer_ids_and_the_details_do(sandbox: RunningSandbox) -> None:
    (listed,) = (await sandbox.api.get(LIST)).json()["data"]
    assert "customerId" not in listed

    detail = (await sandbox.api.get(f"{INFO}/{listed['id']}")).json()["data"]
    assert (detail["id"], detail["customerId"]) == (listed["id"], SUE)
    assert (await sandbox.api.get(f"{INFO}/1")).status_code == 404
    assert (await sandbox.api.get(f"{USERS}/{SUE}")).status_code == 404


async def test_super_admins_are_listed_in_pages(sandbox: RunningSandbox) -> None:
    store = DEMO_STORE.model_dump(mode="json", by_alias=True)
    admins = [{"customer_id": 1000 + number, "company_ids": [5001]} for number in range(25)]
    await sandbox.put_store(**{**store, "super_admins": admins})

    pages = [(await sandbox.api.get(LIST, params={"offset": offset})).json() for offset in (0, 10, 20)]
    assert [len(page["data"]) for page in pages] == [10, 10, 5]
    assert pages[0]["meta"]["pagination"] == {"totalCount": 25, "limit": 10, "offset": 0}
    assert (await sandbox.api.get(LIST, params={"limit": 201})).status_code == 400


@pytest.mark.parametrize(
    ("customer_id", "placed", "company_id"),
    [(ADA, {}, 5001), (ADA, {"company_id": 5003}, 5003), (SUE, {}, 5001), (SUE, {"company_id": 5002}, 5002)],
)
async def test_the_record_is_of_the_company_that_the_order_is_for(
    sandbox: RunningSandbox, customer_id: int, placed: dict[str, Any], company_id: int
) -> None:
    status, record = await create(sandbox, customer_id, **placed)
    assert (status, record["companyId"]) == (200, company_id)

    by_itself = await sandbox.place_order(customer_id=customer_id, record_after=0, **placed)
    (record,) = (await sandbox.api.get(f"{ORDERS}/{by_itself['id']}")).json()["data"]
    assert record["companyId"] == company_id


async def test_options_refuse_super_admins_and_leave_companies_out() -> None:
    options: dict[str, Any] = {
        "create_for_super_admins": "refused",
        "create_shows_company": False,
        "list_company": False,
    }
    async with called_sandbox(StillClock(), **options) as sandbox:
        assert (await create(sandbox, SUE))[0] == 400
        status, record = await create(sandbox, ADA)
        listed = (await sandbox.api.get(ORDERS, params={"limit": 200})).json()["data"]
    assert (status, "companyId" in record) == (200, False)
    assert [row for row in listed if "companyId" in row] == []
    assert listed


async def test_customer_becomes_a_company_user_and_earlier_orders_stay(sandbox: RunningSandbox) -> None:
    order = await sandbox.place_order(customer_id=ZOE, record_after=0)
    await sandbox.put_user(ZOE, 5001)

    assert (await sandbox.api.get(f"{USERS}/{ZOE}")).json()["data"]["companyId"] == 5001
    assert (await sandbox.order(order["id"]))["record"]["company_id"] is None
    assert (await create(sandbox, ZOE))[1]["companyId"] == 5001
