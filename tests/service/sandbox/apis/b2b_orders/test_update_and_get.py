"""Update an Order and Get an Order, in each form that stores have shown."""

from typing import Any

import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from tests.service.sandbox.apis.b2b_orders.conftest import ACCOUNT, BUYER, ORDERS, create, placed, record, update


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
