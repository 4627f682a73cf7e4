"""``enrich preview ORDER``: the preview of one order, also with an existing record."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.super_admins import SuperAdminBook, SuperAdmins
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.fakes.cli import Enrich
from tests.fakes.processes.threaded_sandbox import ServedSandbox
from tests.fakes.stacks.preview import ADA, GUEST, RECORD_EXISTS_S, TOO_LONG, ZOE, configure, outcome, read, shown

SUE = 150
"""A Super Admin of the Companies 5001 and 5002."""


def test_an_order_shows_what_would_be_sent_and_the_source_of_each_value(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = sandbox.place(customer_message="Our PO: 4702-D please", metafields={"checkout": {"cost_center": TOO_LONG}})
    lines = shown(enrich("preview", str(order)))
    order_line, (*_, payload) = lines[0], enrich("preview", str(order)).out.partition("Create an Order would send:\n")

    assert re.fullmatch(rf"{order} of sandbox, \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d", order_line[1])
    assert lines[1:12] == [
        ["buyer", "customer 101, user of Company 5001"],
        ["outcome", "would be sent"],
        [""],
        ["RULE", "VALUE", "SOURCE"],
        ["po_number", "4702-D", "from order.customer_message"],
        ['found "Our PO: 4702-D please"'],
        ["Cost Center", "—", "from metafields.checkout.cost_center"],
        [f'found "{TOO_LONG}"'],
        ["not sent: the text has 50 characters, the field takes 40."],
        ["Ship Window", "—", "no value"],
        ["Source", "web", "value"],
    ]
    assert lines[12] == ["Account No", "ERP-10001", 'from company.extraFields."ERP Account"']
    assert json.loads(payload) == {
        "bcOrderId": order,
        "customerId": ADA,
        "poNumber": "4702-D",
        "extraFields": [
            {"fieldName": "Source", "fieldValue": "web"},
            {"fieldName": "Account No", "fieldValue": "ERP-10001"},
        ],
    }


def test_json_is_for_scripts(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = sandbox.place(metafields={"checkout": {"po_number": "PO A-1"}})
    result = read(enrich("preview", str(order), "--json"))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result.pop("order_created_at"))
    rules = {rule["rule"]: rule for rule in result.pop("rules")}
    assert result == {
        "store": "sandbox",
        "order_id": order,
        "customer_id": ADA,
        "company_user": True,
        "outcome": "sent",
        "reason": None,
        "rule": None,
        "payload": {
            "bcOrderId": order,
            "customerId": ADA,
            "poNumber": "A-1",
            "extraFields": [
                {"fieldName": "Cost Center", "fieldValue": "UNASSIGNED"},
                {"fieldName": "Source", "fieldValue": "web"},
                {"fieldName": "Account No", "fieldValue": "ERP-10001"},
            ],
        },
        "required_by_bigcommerce": [],
        "record": None,
        "update": None,
        "kept": [],
    }
    assert rules["po_number"] == {
        "rule": "po_number",
        "required": False,
        "kind": "from",
        "source": "metafields.checkout.po_number",
        "raw": "PO A-1",
        "text": "A-1",
        "field": "poNumber",
        "sent": "A-1",
        "dropped": None,
        "error": None,
    }
    assert {name: rule["kind"] for name, rule in rules.items()} == {
        "po_number": "from",
        "Cost Center": "default",
        "Ship Window": "none",
        "Source": "value",
        "Account No": "from",
    }


@pytest.mark.parametrize(
    ("placed", "keys", "expected"),
    [
        ({"customer_id": GUEST}, "", ("skipped", "guest")),
        ({"customer_id": ZOE}, "", ("skipped", "not_a_company_user")),
        ({"is_deleted": True}, "", ("skipped", "deleted")),
        ({"channel_id": 2}, "channels = [1]", ("skipped", "channel")),
        ({"status_id": 0}, 'incomplete_orders = "skip"', ("skipped", "incomplete")),
        ({"status_id": 0}, 'incomplete_orders = "wait"', ("waiting", "incomplete")),
        ({"status_id": 0}, 'incomplete_orders = "enrich"', ("sent", None)),
        ({"age": RECORD_EXISTS_S, "is_invoice_order": True}, "", ("skipped", "invoice_payment")),
    ],
)
def test_the_reason_for_not_sending_an_order_is_shown(
    enrich: Enrich,
    sandbox: ServedSandbox,
    folder: Path,
    placed: dict[str, Any],
    keys: str,
    expected: tuple[str, str | None],
) -> None:
    configure(folder, sandbox, keys=keys)
    order = str(sandbox.place(**placed))
    result = read(enrich("preview", order, "--json"))

    assert (result["outcome"], result["reason"]) == expected
    assert (result["payload"] is None) is (expected[0] == "skipped")
    if expected[1]:
        assert any(
            line[0] == "outcome" and line[1].endswith(f": {expected[1]}") for line in shown(enrich("preview", order))
        )


def test_without_the_value_of_a_required_rule_an_order_would_wait(
    enrich: Enrich, sandbox: ServedSandbox, folder: Path
) -> None:
    configure(folder, sandbox, 'po_number = { from = "order.customer_message", required = true }')
    order = sandbox.place()

    ran = enrich("preview", str(order))
    assert ["outcome", "would wait for a value: po_number"] in shown(ran)
    assert ["po_number", "—", "no value (required)"] in shown(ran)
    assert "Create an Order" not in ran.out
    # Nobody asks who the buyer is before the rules have given something.
    assert outcome(enrich("preview", str(sandbox.place(ZOE)), "--json")) == ("waiting", "value")
    assert read(enrich("preview", str(order), "--json"))["rule"] == "po_number"


def test_a_required_field_that_no_rule_fills_is_shown(enrich: Enrich, sandbox: ServedSandbox, folder: Path) -> None:
    configure(folder, sandbox, '[stores.sandbox.extra_fields]\nSource = { value = "web" }')
    order = str(sandbox.place())
    assert ["note", "BigCommerce requires Account No, which no rule fills"] in shown(enrich("preview", order))
    assert read(enrich("preview", order, "--json"))["required_by_bigcommerce"] == ["Account No"]


def test_a_required_field_is_shown_without_any_extra_field_rule(
    enrich: Enrich, sandbox: ServedSandbox, folder: Path
) -> None:
    configure(folder, sandbox, 'po_number = "order.customer_message"')
    order = sandbox.place(customer_message="A-1")
    assert ["note", "BigCommerce requires Account No, which no rule fills"] in shown(enrich("preview", str(order)))


def test_an_expression_that_failed_is_shown_with_its_error(
    enrich: Enrich, sandbox: ServedSandbox, folder: Path
) -> None:
    configure(folder, sandbox, 'po_number = { from = ["order.billing_address", "length(order.id)"] }')
    ran = enrich("preview", str(sandbox.place()))
    assert (
        "error: order.billing_address: gives an object where text was expected; length(order.id): length()" in ran.out
    )
    assert ["outcome", "would be skipped: no_values"] in shown(ran)


def test_a_field_is_named_as_it_is_sent(enrich: Enrich, sandbox: ServedSandbox, folder: Path) -> None:
    field = {"field_name": "cc_1", "label_name": "Cost Center"}
    users = [{"customer_id": ADA, "company_id": 5001}]
    company = {"id": 5001, "name": "Great Buys"}
    sandbox.run(sandbox.sandbox.put_store(extra_fields=[field], companies=[company], users=users))
    configure(folder, sandbox, '[stores.sandbox.extra_fields]\n"Cost Center" = "order.id"\ncc_1 = { value = "other" }')
    order = sandbox.place()

    result = read(enrich("preview", str(order), "--json"))
    assert result["payload"]["extraFields"] == [{"fieldName": "cc_1", "fieldValue": str(order)}]
    assert [(rule["field"], rule["sent"], rule["dropped"]) for rule in result["rules"]] == [
        ("cc_1", str(order), None),
        ("cc_1", None, "another rule has filled the same field already."),
    ]
    assert ["sent as cc_1"] in shown(enrich("preview", str(order)))


def test_an_existing_record_shows_kept_values_and_the_update(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = sandbox.place(age=RECORD_EXISTS_S, metafields={"checkout": {"po_number": "PO A-1"}})
    theirs = {"Source": "phone", "Ship Window": "W1"}
    sandbox.run(sandbox.sandbox.write_record(order, po_number="", extra_fields=theirs))

    result = read(enrich("preview", str(order), "--json"))
    assert result["record"] == {"po_number": "", "fields": theirs}
    assert result["kept"] == ["Source"]
    assert result["update"]["poNumber"] == "A-1"
    assert {field["fieldName"]: field["fieldValue"] for field in result["update"]["extraFields"]} == {
        **theirs,
        "Cost Center": "UNASSIGNED",
        "Account No": "ERP-10001",
    }
    lines = shown(enrich("preview", str(order)))
    assert all(
        line in lines
        for line in (
            ["Create an Order would have sent:"],
            ["PO number", "—"],
            ["Source", "phone"],
            ["Existing values that would be kept: Source"],
            ["Update an Order would send:"],
        )
    )


def test_a_record_that_is_complete_needs_no_update(enrich: Enrich, sandbox: ServedSandbox, folder: Path) -> None:
    configure(folder, sandbox, 'po_number = "order.customer_message"')
    order = sandbox.place(age=RECORD_EXISTS_S, customer_message="A-1", buyer_po="A-1")
    assert enrich("preview", str(order)).out.endswith("Nothing would be sent.\n")


def test_our_own_values_would_be_overwritten(
    enrich: Enrich, sandbox: ServedSandbox, folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(folder, sandbox, 'po_number = "order.customer_message"')
    order = sandbox.place(age=RECORD_EXISTS_S, customer_message="new", buyer_po="old")
    assert read(enrich("preview", str(order), "--json"))["kept"] == ["po_number"]

    async def end() -> None:
        async with connect(redis_url) as redis:
            await Transitions(redis).finish(
                Entry("sandbox", order, status=Status.CREATED, written={"po_number": ["old"]})
            )

    asyncio.run(end())
    monkeypatch.setenv("REDIS_URL", redis_url)
    result = read(enrich("preview", str(order), "--json"))
    assert (result["kept"], result["update"]) == ([], {"poNumber": "new"})


@pytest.mark.parametrize(
    ("customer_id", "company_id", "buyer", "account"),
    [
        (SUE, 5002, "customer 150, buyer of Company 5002", "ERP-10002"),
        (ADA, 5003, "customer 101, user of Company 5001", "ERP-10003"),
        (ZOE, 5001, "customer 199, buyer of Company 5001", "ERP-10001"),
    ],
)
def test_company_is_that_of_the_record(
    enrich: Enrich, sandbox: ServedSandbox, customer_id: int, company_id: int, buyer: str, account: str
) -> None:
    order = sandbox.place(customer_id=customer_id, company_id=company_id, age=RECORD_EXISTS_S)
    lines = shown(enrich("preview", str(order)))

    assert lines[1:3] == [["buyer", buyer], ["outcome", "would be sent"]]
    assert ["Account No", account, 'from company.extraFields."ERP Account"'] in lines


def test_super_admin_whom_the_workers_know_is_not_skipped(
    enrich: Enrich, sandbox: ServedSandbox, folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)

    async def read_book() -> None:
        async with connect(redis_url) as redis:
            await SuperAdminBook(redis).write("sandbox", SuperAdmins(read_at=1.0, customers={11: SUE}))

    asyncio.run(read_book())
    configure(folder, sandbox, rules='[stores.sandbox.po_number]\nvalue = "A-1"\n')
    orders = [sandbox.place(customer_id=customer_id) for customer_id in (SUE, ZOE)]

    results = [read(enrich("preview", str(order), "--json")) for order in orders]
    listed = {one["order_id"]: one["outcome"] for one in read(enrich("preview", "--last", "2", "--json"))}

    assert [result["outcome"] for result in results] == ["sent", "skipped"]
    assert listed == dict(zip(orders, ("sent", "skipped"), strict=True))
