"""``enrich preview --document`` and ``--try``: an order's document, and expressions over it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cli import Enrich
from tests.fakes.processes.threaded_sandbox import ServedSandbox
from tests.fakes.stacks.preview import ADA, GUEST, ZOE, configure, place_many, read, shown


def test_the_document_is_all_that_rules_can_read(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = sandbox.place(metafields={"checkout": {"po_number": "A-1"}}, products=[{"name": "Carton ½ ü"}])
    document = read(enrich("preview", str(order), "--document"))

    assert list(document) == [
        *("order", "products", "shipping_addresses", "metafields", "customer", "user", "company"),
        *("cart", "quote", "transactions", "record"),
    ]
    assert document["order"]["id"] == order
    assert document["products"][0]["name"] == "Carton ½ ü"
    assert document["shipping_addresses"][0]["city"] == "Austin"
    assert document["metafields"] == {"checkout": {"po_number": "A-1"}}
    assert document["customer"]["attributes"] == {"Cost Center": "CC-110"}
    assert document["customer"]["form_fields"] == {"Department": "Purchasing"}
    assert document["user"]["extraFields"] == {"Employee No": "E-101"}
    assert document["company"]["extraFields"] == {"ERP Account": "ERP-10001"}


@pytest.mark.parametrize(
    ("customer", "missing", "said"),
    [
        (
            GUEST,
            [],
            [f"{part} is empty: the order is a guest's." for part in ("customer", "user", "company")],
        ),
        (ZOE, [], [f"{part} is empty: customer 199 is no Company user." for part in ("user", "company")]),
        (
            ADA,
            ["customers"],
            [
                "customer could not be read: Get All Customers: 403: You don't have a required scope to access the"
                " endpoint. The access token may lack the scope Customers (read-only)."
            ],
        ),
        (
            ADA,
            ["b2b_read"],
            [
                f"{part} could not be read: Get User Details by BigCommerce Customer ID: 403: You don't have a required"
                " scope to access the endpoint. The access token may lack the scope B2B Edition."
                for part in ("user", "company")
            ]
            + [
                f"{part} could not be read: {operation}: 403: You don't have a required scope to access the endpoint."
                " The access token may lack the scope B2B Edition."
                for part, operation in (("quote", "Get All Quotes"), ("record", "Get an Order"))
            ],
        ),
        (
            ADA,
            ["carts", "transactions"],
            [
                f"{part} could not be read: {operation}: 403: You don't have a required scope to access the endpoint."
                f" The access token may lack the scope {scope} (read-only)."
                for part, operation, scope in (
                    ("cart", "Get Cart Metafields", "Carts"),
                    ("transactions", "Get Transactions", "Order Transactions"),
                )
            ],
        ),
    ],
)
def test_a_part_that_cannot_be_loaded_is_reported_and_the_rest_is_shown(
    enrich: Enrich, sandbox: ServedSandbox, customer: int, missing: list[str], said: list[str]
) -> None:
    spec: dict[str, Any] = {
        "companies": [{"id": 5001, "name": "A"}],
        "users": [{"customer_id": ADA, "company_id": 5001}],
    }
    sandbox.run(sandbox.sandbox.put_store(missing_scopes=missing, **spec))
    ran = enrich("preview", str(sandbox.place(customer)), "--document")

    assert (ran.code, sorted(ran.err.splitlines())) == (0, sorted(said))
    document = json.loads(ran.out)
    assert document["products"]
    assert not any(document[line.partition(" ")[0]] for line in said)


def test_on_a_terminal_the_document_has_colours(
    enrich: Enrich, sandbox: ServedSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = sandbox.place()
    plain = enrich("preview", str(order), "--document").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = enrich("preview", str(order), "--document").out
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain != coloured


def test_an_expression_shows_its_raw_result_and_its_text(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = str(sandbox.place(customer_message=" PO: A-1 ", staff_notes="none"))

    assert shown(enrich("preview", order, "--try", "order.customer_message")) == [
        ["raw", '" PO: A-1 "'],
        ["text", "PO: A-1"],
    ]
    matched = ("--match", r"PO: (\S+)")
    assert shown(enrich("preview", order, "--try", "order.customer_message", *matched))[2] == ["match", "A-1"]
    assert shown(enrich("preview", order, "--try", "order.staff_notes", *matched))[2] == ["match", "— (does not match)"]
    assert shown(enrich("preview", order, "--try", "order.no_such_name")) == [
        ["raw", "null"],
        ["text", "— (no value)"],
    ]
    error = "length(order.id): length() takes string or array or object, but was given number"
    assert shown(enrich("preview", order, "--try", "length(order.id)"))[-1] == ["error", error]


def test_an_expression_fetches_only_what_it_needs(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = str(sandbox.place())
    result = read(enrich("preview", order, "--try", "company.companyName", "--json"))
    assert (result["raw"], result["text"], result["value"]) == ("Great Buys",) * 3
    assert sandbox.calls() == {
        "Get an Order": 1,
        "Get User Details by BigCommerce Customer ID": 1,
        "Get Company Details": 1,
    }


def test_an_expression_over_the_newest_orders_is_a_row_each(enrich: Enrich, sandbox: ServedSandbox) -> None:
    ids = [str(order) for order in place_many(sandbox)[-3:]]
    words = ("preview", "--last", "3", "--try", 'user.extraFields."Employee No"', "--match", "E-(.*)")
    head, *lines, said = shown(enrich(*words))

    assert head == ["ORDER", "CREATED (UTC)", "CUSTOMER", "RAW", "TEXT", "MATCH", "NOTE"]
    assert [[order, *rest] for order, _, *rest in lines] == [
        [ids[2], "101", '"E-101"', "E-101", "101"],
        [ids[1], "199", "null", "—", "—", "customer 199 is no Company user"],
        [ids[0], "guest", "null", "—", "—", "the order is a guest's"],
    ]
    assert said == ["1 of 3 orders have a value."]
    assert [row["value"] for row in read(enrich(*words, "--json"))] == ["101", None, None]


@pytest.mark.parametrize("text", ["[/x]", "[red]PO[/red]", "[Account No] is a required extra field", "\x1b[31mPO"])
def test_texts_of_others_are_shown_without_control_characters(
    enrich: Enrich, sandbox: ServedSandbox, folder: Path, text: str
) -> None:
    configure(folder, sandbox, 'po_number = "order.customer_message"')
    order = str(sandbox.place(customer_message=text))
    safe = text.replace("\x1b", "")
    outputs = [
        enrich("preview", *words).out
        for words in ((order,), ("--last", "1"), (order, "--try", "order.customer_message"), (order, "--document"))
    ]
    assert all(safe in out or "\\u001b" in out for out in outputs)
    assert not any("\x1b" in out for out in outputs)
