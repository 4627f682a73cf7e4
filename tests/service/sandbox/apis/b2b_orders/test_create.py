"""Create an Order, to the fraction of a second, and orders that get no record of their own."""

from typing import Any

import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from tests.service.sandbox.apis.b2b_orders.conftest import ACCOUNT, BUYER, ORDERS, create, placed, record, update


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
