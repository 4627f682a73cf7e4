"""Get All Orders, and what there is around orders: settings, products, Companies."""

from typing import Any

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from tests.service.sandbox.apis.b2b_orders.conftest import ACCOUNT, ORDERS, create, placed, record, update


async def listed(sandbox: RunningSandbox, **query: Any) -> list[int]:
    response = await sandbox.api.get(ORDERS, params=query)
    assert response.status_code == 200, response.text
    return [entry["bcOrderId"] for entry in response.json()["data"]]


async def test_b2c_and_guest_orders_are_listed_after_ten_seconds(sandbox: RunningSandbox, clock: StillClock) -> None:
    orders = [await placed(sandbox, customer_id=customer_id) for customer_id in (101, 199, 0)]
    early = await listed(sandbox)
    clock.tick(10)

    assert early == []
    assert sorted(await listed(sandbox)) == orders
    assert (await sandbox.api.get(f"{ORDERS}/{orders[2]}")).status_code == 404


async def test_extra_fields_are_listed_only_when_asked_for(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox)
    await create(sandbox, order_id)

    plain = (await sandbox.api.get(ORDERS)).json()["data"][0]
    whole = (await sandbox.api.get(ORDERS, params={"showExtra": "true"})).json()["data"][0]

    assert "extraFields" not in plain
    assert whole["extraFields"] == [ACCOUNT]
    assert whole["extraStr1"] is None


async def test_orders_are_filtered_and_sorted(sandbox: RunningSandbox, clock: StillClock) -> None:
    first = await placed(sandbox, record_after=0)
    clock.tick(100)
    second = await placed(sandbox, record_after=0, customer_id=103, channel_id=2)
    middle = int(clock.now) - 50
    clock.tick(100)
    await update(sandbox, first, extraFields=[ACCOUNT])

    assert await listed(sandbox) == [first, second]
    assert await listed(sandbox, orderBy="ASC") == [second, first]
    assert await listed(sandbox, sortBy="createdAt") == [second, first]
    assert await listed(sandbox, minCreated=middle) == [second]
    assert await listed(sandbox, maxCreated=middle) == [first]
    assert await listed(sandbox, minModified=middle + 60) == [first]
    assert await listed(sandbox, maxModified=middle + 60) == [second]
    assert await listed(sandbox, companyId=5002) == [second]
    assert await listed(sandbox, bcOrderId=first) == [first]
    assert await listed(sandbox, **{"channelIds[]": 2}) == [second]
    assert await listed(sandbox, **{"channelIds[]": [1, 2]}) == [first, second]


async def test_pages_of_ten_unless_asked_for_up_to_200(sandbox: RunningSandbox) -> None:
    orders = [await placed(sandbox, record_after=0) for _ in range(12)]

    page = (await sandbox.api.get(ORDERS)).json()
    assert len(page["data"]) == 10
    assert page["meta"]["pagination"] == {"totalCount": 12, "limit": 10, "offset": 0}
    assert await listed(sandbox, sortBy="createdAt", orderBy="ASC", limit=200, offset=11) == orders[11:]
    assert (await sandbox.api.get(ORDERS, params={"limit": 201})).status_code == 400


async def test_orders_older_than_a_year_are_listed_only_when_asked_for(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox, age=400 * 24 * 3600)

    assert await listed(sandbox) == []
    assert await listed(sandbox, minCreated=1) == [order_id]


async def test_extra_field_configs_come_in_pages_of_ten(clock: StillClock) -> None:
    async with called_sandbox(clock) as sandbox:
        names = [f"Field {number:02}" for number in range(12)]
        await sandbox.put_store(extra_fields=[{"fieldName": name} for name in names])

        first = (await sandbox.api.get(f"{ORDERS}/extra-fields")).json()
        rest = (await sandbox.api.get(f"{ORDERS}/extra-fields", params={"offset": 10})).json()

        assert [config["fieldName"] for config in (*first["data"], *rest["data"])] == names
        assert len(first["data"]) == 10
        assert first["data"][0] == first["data"][0] | {"labelName": "Field 00", "fieldType": 0, "configType": 2}


async def test_orders_from_before_the_company_are_assigned(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await placed(sandbox, customer_id=300)
    clock.tick(10)
    refused = await sandbox.api.put("/api/v3/io/customers/300/orders/b2b")
    await sandbox.put_store(
        companies=[{"id": 5001, "name": "Great Buys"}], users=[{"customer_id": 300, "company_id": 5001}]
    )
    assigned = await sandbox.api.put("/api/v3/io/customers/300/orders/b2b")

    assert refused.status_code == 404
    assert assigned.json()["data"] == {"total": 1}
    assert (await record(sandbox, order_id))["companyId"] == 5001


async def test_orders_are_reassigned_by_customer_group(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox, record_after=0)

    moved = await sandbox.api.put("/api/v3/io/customers/101/orders/company", json={"bcGroupId": 22})
    refused = await sandbox.api.put("/api/v3/io/customers/101/orders/company", json={"bcGroupId": 99})

    assert moved.json()["data"] == {"total": 1}
    assert (await record(sandbox, order_id))["companyId"] == 5002
    assert refused.status_code == 404


async def test_users_and_companies_have_extra_fields(sandbox: RunningSandbox) -> None:
    user = (await sandbox.api.get("/api/v3/io/users/customer/101")).json()["data"]
    company = (await sandbox.api.get("/api/v3/io/companies/5001")).json()["data"]

    assert user == user | {"companyId": 5001, "customerId": 101}
    assert user["extraFields"] == [{"fieldName": "Employee No", "fieldValue": "E-101"}]
    assert company["extraFields"] == [{"fieldName": "ERP Account", "fieldValue": "ERP-10001"}]
    assert (await sandbox.api.get("/api/v3/io/users/customer/199")).status_code == 404


async def test_products_of_an_order(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox, record_after=0, products=[{"sku": "A"}, {"sku": "B", "quantity": 5}])

    data = (await sandbox.api.get(f"{ORDERS}/{order_id}/products")).json()["data"]

    assert [(product["variantSku"], product["quantity"]) for product in data] == [("A", 2), ("B", 5)]
    assert (await sandbox.api.get(f"{ORDERS}/999/products")).status_code == 404
