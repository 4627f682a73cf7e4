"""Create, Get, Update and Get All Orders as BigCommerce documents them, to the fraction of a second."""

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


async def test_create_inside_the_window_makes_the_record(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await placed(sandbox)
    clock.tick(9.999)

    created = await create(sandbox, order_id, 101, "A-1", {"fieldName": "Source", "fieldValue": "web"})

    assert created.status_code == 200
    assert created.json()["meta"] == {"message": "SUCCESS"}
    shown = await record(sandbox, order_id)
    assert shown == {**shown, "bcOrderId": order_id, "poNumber": "A-1", "companyId": 5001, "isInvoiceOrder": 0}
    assert shown["extraFields"] == [ACCOUNT, {"fieldName": "Source", "fieldValue": "web"}]
    assert shown["id"] != order_id


async def test_create_at_ten_seconds_comes_too_late(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await placed(sandbox)
    clock.tick(10)

    refused = await create(sandbox, order_id)

    assert refused.status_code == 400
    assert refused.json() == {"code": 400, "data": {}, "meta": {"message": "The order already exists."}}
    assert (await record(sandbox, order_id))["poNumber"] is None


async def test_a_second_create_is_refused_and_changes_nothing(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox)
    await create(sandbox, order_id, 101, "A-1")

    refused = await create(sandbox, order_id, 101, "B-2")

    assert refused.status_code == 400
    assert (await record(sandbox, order_id))["poNumber"] == "A-1"


async def test_there_is_no_record_before_ten_seconds_unless_somebody_creates_it(
    sandbox: RunningSandbox, clock: StillClock
) -> None:
    order_id = await placed(sandbox, buyer_po="BUYER-7")
    clock.tick(9.999)
    missing = await sandbox.api.get(f"{ORDERS}/{order_id}")
    clock.tick(0.002)

    assert missing.status_code == 404
    assert missing.json() == {"code": 404, "data": {}, "meta": {"message": "Order Does Not Exist."}}
    assert (await record(sandbox, order_id))["poNumber"] == "BUYER-7"


async def test_the_platform_does_not_overwrite_a_created_record(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await placed(sandbox, buyer_po="BUYER-7")
    await create(sandbox, order_id, 101, "A-1")
    clock.tick(60)

    assert (await record(sandbox, order_id))["poNumber"] == "A-1"


async def test_create_is_refused_if_the_storefront_created_the_record_first(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox, record_after=0, buyer_po="BUYER-7")

    assert (await create(sandbox, order_id)).status_code == 400
    assert (await record(sandbox, order_id))["poNumber"] == "BUYER-7"


@pytest.mark.parametrize("customer_id", [199, 4711])
async def test_create_is_refused_for_a_customer_who_is_not_a_company_user(
    sandbox: RunningSandbox, customer_id: int
) -> None:
    order_id = await placed(sandbox, customer_id=customer_id)

    refused = await create(sandbox, order_id, customer_id)

    assert refused.status_code == 404
    assert refused.json()["meta"]["message"]


async def test_create_for_an_unknown_order_is_404(sandbox: RunningSandbox) -> None:
    assert (await create(sandbox, 999_999)).status_code == 404


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Nobody Knows", "x", 400),
        ("Cost Center", "x" * 41, 422),
        ("Source", "fax", 422),
        ("Quantity Limit", "1001", 422),
        ("Quantity Limit", "many", 422),
        ("Cost Center", "x" * 40, 200),
        ("Quantity Limit", "1000", 200),
    ],
)
async def test_create_validates_extra_fields(sandbox: RunningSandbox, name: str, value: str, status: int) -> None:
    order_id = await placed(sandbox)

    answer = await create(sandbox, order_id, 101, "A-1", {"fieldName": name, "fieldValue": value})

    assert answer.status_code == status
    assert (name in answer.json()["meta"]["message"]) is (status != 200)


async def test_a_missing_required_extra_field_is_named(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await placed(sandbox)
    created = await sandbox.api.post(ORDERS, json={"bcOrderId": order_id, "customerId": 101})
    clock.tick(10)
    updated = await update(sandbox, order_id, poNumber="A-1")

    for answer in (created, updated):
        message = "[Account No] is a required extra field"
        assert answer.status_code == 422
        assert answer.json() == {"code": 422, "data": {"errMsg": message}, "meta": {"message": message}}


async def test_a_unique_extra_field_is_taken_once(clock: StillClock) -> None:
    async with called_sandbox(clock) as sandbox:
        await sandbox.put_store(
            extra_fields=[{"fieldName": "Account No", "isUnique": True}],
            **BUYER,
        )
        first, second = await placed(sandbox), await placed(sandbox)

        assert (await create(sandbox, first)).status_code == 200
        assert (await create(sandbox, second)).status_code == 422


async def test_update_needs_a_record(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await placed(sandbox)
    early = await update(sandbox, order_id, poNumber="A-1", extraFields=[ACCOUNT])
    clock.tick(10)
    late = await update(sandbox, order_id, poNumber="A-1", extraFields=[ACCOUNT])

    assert (early.status_code, late.status_code) == (404, 200)
    assert (await record(sandbox, order_id))["poNumber"] == "A-1"


async def test_update_needs_something_to_update(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await placed(sandbox)
    clock.tick(10)

    assert (await update(sandbox, order_id)).status_code == 400


@pytest.mark.parametrize(("option", "kept"), [("replace", False), ("merge", True)])
async def test_update_replaces_or_merges_extra_fields_as_configured(clock: StillClock, option: str, kept: bool) -> None:
    async with called_sandbox(clock, update_extra_fields=option) as sandbox:
        order_id = await placed(sandbox, record_after=0, buyer_extra_fields={"Source": "web"})

        await update(sandbox, order_id, extraFields=[ACCOUNT])

        assert (
            {"fieldName": "Source", "fieldValue": "web"} in (await record(sandbox, order_id))["extraFields"]
        ) is kept


async def test_alternative_response_formats_can_be_configured(clock: StillClock) -> None:
    async with called_sandbox(clock, record_data_as="object", bc_order_id_as="text") as sandbox:
        order_id = await placed(sandbox, record_after=0, is_invoice_order=True)

        data = (await sandbox.api.get(f"{ORDERS}/{order_id}")).json()["data"]

        assert data == {**data, "bcOrderId": str(order_id), "isInvoiceOrder": 1}


@pytest.mark.parametrize(("shown_as", "flag"), [("number", 1), ("boolean", True), ("text", "A_1")])
async def test_the_flag_of_an_invoice_payment_can_be_configured(clock: StillClock, shown_as: str, flag: Any) -> None:
    async with called_sandbox(clock, invoice_flag_as=shown_as) as sandbox:
        order_id = await placed(sandbox, record_after=0, is_invoice_order=True)

        assert (await record(sandbox, order_id))["isInvoiceOrder"] == flag


@pytest.mark.parametrize("name", ["cc", "Cost"])
async def test_extra_fields_can_be_shown_by_label(clock: StillClock, name: str) -> None:
    async with called_sandbox(clock, extra_field_shown_by="label") as sandbox:
        fields = [{"fieldName": "Account No"}, {"fieldName": "cc", "labelName": "Cost"}]
        await sandbox.put_store(extra_fields=fields, **BUYER)
        order_id = await placed(sandbox)

        assert (await create(sandbox, order_id, 101, "A-1", {"fieldName": name, "fieldValue": "x"})).is_success

        assert (await record(sandbox, order_id))["extraFields"] == [ACCOUNT, {"fieldName": "Cost", "fieldValue": "x"}]


@pytest.mark.parametrize(
    ("options", "row"),
    [
        ({"list_extra_fields": "missing"}, {"poNumber": "B-1"}),
        ({"list_extra_fields": "null"}, {"poNumber": "B-1", "extraFields": None}),
        ({"list_extra_fields": "empty"}, {"poNumber": "B-1", "extraFields": []}),
        ({"list_po_number": False}, {"extraFields": [{"fieldName": "Source", "fieldValue": "web"}]}),
    ],
)
async def test_lists_can_leave_values_out(clock: StillClock, options: dict[str, Any], row: dict[str, Any]) -> None:
    async with called_sandbox(clock, **options) as sandbox:
        await placed(sandbox, record_after=0, buyer_po="B-1", buyer_extra_fields={"Source": "web"})

        (shown,) = (await sandbox.api.get(ORDERS, params={"showExtra": "true"})).json()["data"]

        assert {key: shown[key] for key in ("poNumber", "extraFields") if key in shown} == row


@pytest.mark.parametrize(
    ("options_in", "shown"),
    [
        ("listOfValues", {"listOfValues": ["A"]}),
        ("listOfValue", {"listOfValue": ["A"]}),
        ("valueConfig", {"valueConfig": {"listOfValue": ["A"]}}),
        ("valueConfigs", {"valueConfigs": {"listOfValue": ["A"]}}),
        ("nowhere", {}),
    ],
)
async def test_settings_can_have_other_forms(clock: StillClock, options_in: str, shown: dict[str, Any]) -> None:
    field = {"fieldName": "P", "fieldType": 3, "listOfValues": ["A"], "maximumLength": 9}
    async with called_sandbox(clock, dropdown_options_in=options_in, limits_as="text") as sandbox:
        await sandbox.put_store(extra_fields=[field], **BUYER)

        (config,) = (await sandbox.api.get(f"{ORDERS}/extra-fields")).json()["data"]

        keys = ("listOfValues", "listOfValue", "valueConfig", "valueConfigs")
        assert {key: config[key] for key in keys if key in config} == shown
        assert (config["maximumLength"], config["maximumValue"]) == ("9", "")


async def test_reads_lag_behind_writes(sandbox: RunningSandbox, clock: StillClock) -> None:
    await sandbox.faults(read_lag=3)
    order_id = await placed(sandbox)
    clock.tick(1)
    await create(sandbox, order_id)
    clock.tick(2.9)
    early = await sandbox.api.get(f"{ORDERS}/{order_id}")
    clock.tick(0.2)

    assert early.status_code == 404
    assert (await record(sandbox, order_id))["poNumber"] == "A-1"


async def test_a_write_of_others_shows(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox)
    await create(sandbox, order_id)

    await sandbox.write_record(order_id, po_number="", extra_fields={})

    shown = await record(sandbox, order_id)
    assert (shown["poNumber"], shown["extraFields"]) == ("", [])
    assert len((await sandbox.order(order_id))["writes"]) == 1


# --- Get All Orders


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


# --- around orders


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


# ── orders without a record of their own ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "placement", "status"),
    [
        ({"own_records": False}, {}, 404),
        ({"own_records": False}, {"own_record": True}, 200),
        ({}, {"own_record": False}, 404),
        ({}, {"own_record": False, "record_after": 0}, 404),
        ({}, {}, 200),
    ],
)
async def test_b2b_edition_makes_no_record_where_the_options_or_the_order_say_so(
    clock: StillClock, options: dict[str, Any], placement: dict[str, Any], status: int
) -> None:
    async with called_sandbox(clock, **options) as sandbox:
        order_id = await placed(sandbox, **placement)
        clock.tick(3 * 365 * 24 * 3600.0)
        assert (await sandbox.api.get(f"{ORDERS}/{order_id}")).status_code == status
        assert (await update(sandbox, order_id, poNumber="A-1", extraFields=[ACCOUNT])).status_code == status


@pytest.mark.parametrize(
    ("late_create", "own_record", "status"),
    [("accepted", False, 200), ("refused", False, 400), ("accepted", True, 400)],
)
async def test_a_late_create_is_accepted_only_where_there_is_no_record_and_the_options_say_so(
    clock: StillClock, late_create: str, own_record: bool, status: int
) -> None:
    async with called_sandbox(clock, late_create=late_create) as sandbox:
        order_id = await placed(sandbox, own_record=own_record)
        clock.tick(7200.0)
        assert (await create(sandbox, order_id)).status_code == status
