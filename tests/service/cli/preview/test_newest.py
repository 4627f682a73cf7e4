"""``enrich preview --last``: the table of the newest orders."""

from pathlib import Path

import pytest

from tests.fakes.cli import CommandResult, Enrich
from tests.fakes.processes.threaded_sandbox import ServedSandbox, served_sandbox
from tests.fakes.stacks.preview import configure, place_many, read, shown


def test_the_newest_orders_are_a_table_with_a_summary(enrich: Enrich, sandbox: ServedSandbox) -> None:
    ids = [str(order) for order in place_many(sandbox)]
    head, *lines, said = shown(enrich("preview", "--last", "20"))

    assert head == [
        *("ORDER", "CREATED (UTC)", "CUSTOMER", "PO NUMBER", "Cost Center", "Ship Window", "Source", "Account No"),
        "NOTE",
    ]
    assert [[order, *rest] for order, _, *rest in lines] == [
        [ids[4], "101", "A-2", "UNASSIGNED", "W05", "web", "ERP-10001"],
        [ids[3], "199", "Z-1", "UNASSIGNED", "—", "web", "—", "skipped: not_a_company_user"],
        [ids[2], "guest", "G-1", "UNASSIGNED", "—", "web", "—", "skipped: guest"],
        [
            *(ids[1], "103", "—", "—", "—", "web", "ERP-10002"),
            "not sent: Cost Center",
        ],
        [ids[0], "101", "A-1", "CC-1", "—", "web", "ERP-10001"],
    ]
    assert said == [
        "2 of 3 have a PO; Cost Center is empty on 1; Ship Window is empty on 2; 2 of 5 orders would be skipped."
    ]


def test_the_newest_orders_take_few_calls(enrich: Enrich, sandbox: ServedSandbox) -> None:
    place_many(sandbox)
    enrich("preview", "--last", "250")
    assert sandbox.calls() == {
        "Get All Orders": 1,
        "Get All Order Metafields": 1,
        "Get Order Extra Field Configs": 1,
        "Get User Details by BigCommerce Customer ID": 3,
        "Get Company Details": 2,
    }


def test_last_shows_no_more_than_asked_for(enrich: Enrich, sandbox: ServedSandbox) -> None:
    ids = place_many(sandbox)
    result = read(enrich("preview", "--last", "2", "--json"))
    assert [(order["order_id"], order["outcome"], order["reason"]) for order in result] == [
        (ids[4], "sent", None),
        (ids[3], "skipped", "not_a_company_user"),
    ]


def test_a_store_without_orders_says_so(enrich: Enrich, sandbox: ServedSandbox) -> None:
    assert enrich("preview", "--last", "20") == CommandResult(0, "No orders.\n", "")
    assert enrich("preview", "--last", "20", "--try", "order.id") == CommandResult(0, "No orders.\n", "")
    assert enrich("preview", "--last", "20", "--json") == CommandResult(0, "[]\n", "")


def test_an_order_that_would_wait_is_counted(enrich: Enrich, sandbox: ServedSandbox, folder: Path) -> None:
    configure(folder, sandbox, 'po_number = { from = "order.customer_message", required = true }')
    sandbox.place(customer_message="A-1")
    sandbox.place()
    ran = enrich("preview", "--last", "20")
    assert shown(ran)[1][-1] == "waiting: value: po_number"
    assert ran.out.endswith("\n1 of 2 have a PO; BigCommerce requires Account No, which no rule fills; 1 would wait.\n")


def test_a_rule_that_failed_is_noted(enrich: Enrich, sandbox: ServedSandbox, folder: Path) -> None:
    fields = 'Source = { value = "web" }\n"Ship Window" = "order"'
    configure(folder, sandbox, f"[stores.sandbox.extra_fields]\n{fields}")
    sandbox.place()
    ran = enrich("preview", "--last", "20")
    assert shown(ran)[1][-1] == "error: Ship Window"
    assert ran.out.endswith("\nShip Window is empty on 1; BigCommerce requires Account No, which no rule fills.\n")


def test_an_order_that_cannot_be_read_does_not_affect_the_others(enrich: Enrich, sandbox: ServedSandbox) -> None:
    for age in (0, 10):  # too near to each other for a list
        sandbox.place(age=age, customer_message="PO A-1")
    faults = {"error_rate": 1, "operations": ["Get Order Metafields"], "apis": ["core"]}
    sandbox.run(sandbox.sandbox.faults(**faults))
    ran = enrich("preview", "--last", "20")
    assert [line[-1].partition(": 50")[0] for line in shown(ran)[1:3]] == ["unread: Get Order Metafields"] * 2
    assert ran.out.endswith("\n2 of 2 orders could not be read.\n")


def test_on_a_terminal_progress_is_shown_beside_the_table(
    enrich: Enrich, sandbox: ServedSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.place(customer_message="PO A-1")
    table = enrich("preview", "--last", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    on_terminal = enrich("preview", "--last", "20")
    assert (table.err, "Reading orders" in table.out) == ("", False)
    assert ("Reading orders" in on_terminal.err, "Reading orders" in on_terminal.out) == (True, False)


def test_the_quota_is_waited_for(enrich: Enrich, folder: Path) -> None:
    with served_sandbox(b2b_quota=1, b2b_quota_window=1.0) as sandbox:
        configure(folder, sandbox)
        sandbox.place()
        assert len(read(enrich("preview", "--last", "20", "--json"))) == 1
        assert sandbox.run(sandbox.sandbox.calls())["over_quota"]["b2b"] > 0
