"""``enrich preview`` against a sandbox: what it shows for many kinds of orders, and that it is read-only."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.orders.state.entry import Entry, Status
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.fakes.cli import Enrich, Ran
from tests.fakes.threaded_sandbox import ServedSandbox, served_sandbox

ADA, CLEO, ZOE, GUEST = 101, 103, 199, 0

STORES = r"""
[bigcommerce]
api_url     = "{url}"
b2b_api_url = "{url}"
[stores.sandbox]
access_token  = "sandbox-access-token"
client_secret = "sandbox-client-secret"
{keys}
"""
RULES = r"""
[stores.sandbox.po_number]
from  = ["metafields.checkout.po_number", "order.customer_message"]
match = 'PO[\s#:]*([A-Z0-9-]+)'
[stores.sandbox.extra_fields]
"Cost Center" = { from = "metafields.checkout.cost_center", default = "UNASSIGNED" }
"Ship Window" = { from = "order.customer_message", match = 'ship:(\S+)' }
"Source"      = { value = "web" }
"Account No"  = { from = 'company.extraFields."ERP Account"', required = true }
"""
TOO_LONG = "a cost center that is longer than forty characters"
RECORD_EXISTS_S = 100_000
"""Seconds: long enough for B2B Edition's own record."""


@pytest.fixture(scope="module")
def served() -> Iterator[ServedSandbox]:
    """One sandbox for all tests here; ``sandbox`` is what they ask for."""
    with served_sandbox() as served:
        yield served


@pytest.fixture
def sandbox(folder: Path, served: ServedSandbox) -> ServedSandbox:
    """A sandbox without orders that ``enrich`` talks to."""
    served.begin_anew()
    configure(folder, served)
    return served


@pytest.fixture(autouse=True)
def reads_only(served: ServedSandbox) -> Iterator[None]:
    """Fail a test that writes anything."""
    yield
    assert [operation for operation in served.calls() if not operation.startswith("Get ")] == []


def configure(folder: Path, sandbox: ServedSandbox, rules: str = RULES, keys: str = "") -> None:
    (folder / "stores.toml").write_text(STORES.format(url=sandbox.url, keys=keys) + rules)


def shown(ran: Ran) -> list[list[str]]:
    """The lines as their columns."""
    assert (ran.code, ran.err) == (0, "")
    return [re.split(r"  +", line.strip()) for line in ran.out.splitlines()]


def read(ran: Ran) -> Any:
    """The output as JSON."""
    assert (ran.code, ran.err) == (0, "")
    return json.loads(ran.out)


def outcome(ran: Ran) -> tuple[str, str | None]:
    told = read(ran)
    return told["outcome"], told["reason"]


# ── one order ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_shows_what_would_be_sent_and_where_each_value_came_from(
    enrich: Enrich, sandbox: ServedSandbox
) -> None:
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
    told = read(enrich("preview", str(order), "--json"))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told.pop("order_created_at"))
    rules = {rule["rule"]: rule for rule in told.pop("rules")}
    assert told == {
        "store": "sandbox",
        "order_id": order,
        "customer_id": ADA,
        "company_user": True,
        "outcome": "sent",
        "reason": None,
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
    told = read(enrich("preview", order, "--json"))

    assert (told["outcome"], told["reason"]) == expected
    assert (told["payload"] is None) is (expected[0] == "skipped")
    if expected[1]:
        assert any(
            line[0] == "outcome" and line[1].endswith(f": {expected[1]}") for line in shown(enrich("preview", order))
        )


def test_a_required_rule_without_a_value_is_the_failure(enrich: Enrich, sandbox: ServedSandbox, folder: Path) -> None:
    configure(folder, sandbox, 'po_number = { from = "order.customer_message", required = true }')
    order = sandbox.place()

    ran = enrich("preview", str(order))
    assert ["outcome", "would fail: po_number"] in shown(ran)
    assert ["po_number", "—", "no value (required)"] in shown(ran)
    assert "Create an Order" not in ran.out
    # Nobody asks who the buyer is before the rules have given something.
    assert outcome(enrich("preview", str(sandbox.place(ZOE)), "--json")) == ("failed", "po_number")


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

    told = read(enrich("preview", str(order), "--json"))
    assert told["payload"]["extraFields"] == [{"fieldName": "cc_1", "fieldValue": str(order)}]
    assert [(rule["field"], rule["sent"], rule["dropped"]) for rule in told["rules"]] == [
        ("cc_1", str(order), None),
        ("cc_1", None, "another rule has filled the same field already."),
    ]
    assert ["sent as cc_1"] in shown(enrich("preview", str(order)))


# ── the record that is there ────────────────────────────────────────────────────────────────────────────────────


def test_an_existing_record_shows_kept_values_and_the_update(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = sandbox.place(age=RECORD_EXISTS_S, metafields={"checkout": {"po_number": "PO A-1"}})
    theirs = {"Source": "phone", "Ship Window": "W1"}
    sandbox.run(sandbox.sandbox.write_record(order, po_number="", extra_fields=theirs))

    told = read(enrich("preview", str(order), "--json"))
    assert told["record"] == {"po_number": "", "fields": theirs}
    assert told["kept"] == ["Source"]
    assert told["update"]["poNumber"] == "A-1"
    assert {field["fieldName"]: field["fieldValue"] for field in told["update"]["extraFields"]} == {
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
    told = read(enrich("preview", str(order), "--json"))
    assert (told["kept"], told["update"]) == ([], {"poNumber": "new"})


# ── many orders ─────────────────────────────────────────────────────────────────────────────────────────────────


def place_many(sandbox: ServedSandbox) -> list[int]:
    """The newest last."""
    return [
        sandbox.place(age=RECORD_EXISTS_S, metafields={"checkout": {"po_number": "PO A-1", "cost_center": "CC-1"}}),
        sandbox.place(CLEO, age=50_000, metafields={"checkout": {"cost_center": TOO_LONG}}),
        sandbox.place(GUEST, customer_message="PO G-1"),
        sandbox.place(ZOE, customer_message="PO Z-1"),
        sandbox.place(customer_message="PO A-2, ship:W05"),
    ]


def test_the_newest_orders_are_a_table_with_gaps_marked_and_a_summary(enrich: Enrich, sandbox: ServedSandbox) -> None:
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
    told = read(enrich("preview", "--last", "2", "--json"))
    assert [(order["order_id"], order["outcome"], order["reason"]) for order in told] == [
        (ids[4], "sent", None),
        (ids[3], "skipped", "not_a_company_user"),
    ]


def test_a_store_without_orders_says_so(enrich: Enrich, sandbox: ServedSandbox) -> None:
    assert enrich("preview", "--last", "20") == Ran(0, "No orders.\n", "")
    assert enrich("preview", "--last", "20", "--try", "order.id") == Ran(0, "No orders.\n", "")
    assert enrich("preview", "--last", "20", "--json") == Ran(0, "[]\n", "")


def test_an_order_that_would_fail_is_counted(enrich: Enrich, sandbox: ServedSandbox, folder: Path) -> None:
    configure(folder, sandbox, 'po_number = { from = "order.customer_message", required = true }')
    sandbox.place(customer_message="A-1")
    sandbox.place()
    ran = enrich("preview", "--last", "20")
    assert shown(ran)[1][-1] == "failed: po_number"
    assert ran.out.endswith("\n1 of 2 have a PO; BigCommerce requires Account No, which no rule fills; 1 would fail.\n")


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


# ── the document ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_document_is_all_that_rules_can_read(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = sandbox.place(metafields={"checkout": {"po_number": "A-1"}}, products=[{"name": "Carton ½ ü"}])
    document = read(enrich("preview", str(order), "--document"))

    assert list(document) == [*("order", "products", "shipping_addresses", "metafields", "customer", "user", "company")]
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

    assert (ran.code, ran.err.splitlines()) == (0, said)
    document = json.loads(ran.out)
    assert document["products"]
    assert [document[line.partition(" ")[0]] for line in said] == [{}] * len(said)


def test_on_a_terminal_the_document_has_colours(
    enrich: Enrich, sandbox: ServedSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = sandbox.place()
    plain = enrich("preview", str(order), "--document").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = enrich("preview", str(order), "--document").out
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain != coloured


# ── an expression ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_expression_shows_what_it_finds_and_the_text_of_it(enrich: Enrich, sandbox: ServedSandbox) -> None:
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
    error = "length(order.id): length() takes string or array or object, and was given number"
    assert shown(enrich("preview", order, "--try", "length(order.id)"))[-1] == ["error", error]


def test_an_expression_fetches_only_what_it_needs(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = str(sandbox.place())
    told = read(enrich("preview", order, "--try", "company.companyName", "--json"))
    assert (told["raw"], told["text"], told["value"]) == ("Great Buys",) * 3
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


# ── mistakes ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "ORDER: is missing. Name an order by its ID, or use --last 20 for the newest ones."),
        (
            ("1", "--last", "2"),
            "ORDER and --last: cannot be combined. Name one order, or use --last for the newest ones.",
        ),
        (
            ("--last", "2", "--document"),
            "--document and --last: cannot be combined. Name the order whose document you want.",
        ),
        (("1", "--document", "--try", "order.id"), "--document and --try: cannot be combined. Use one of them."),
        (("1", "--match", "x"), "--match: needs --try. The `match` of a rule is in the stores file."),
        (
            ("1", "--try", "ordr.id"),
            '--try: the order document has no "ordr", in ordr.id. Did you mean "order"?',
        ),
        (("1", "--try", ""), "--try: the expression is empty. For example: order.customer_message."),
        (("1", "--try", "order.id", "--match", "("), "--match: this is no pattern that RE2 knows: missing ): (."),
        (("one",), "enrich preview: Invalid value for 'ORDER': must be a valid integer"),
        (("0",), "enrich preview: Invalid value for 'ORDER': must be greater than or equal to 1"),
        (("--last", "251"), "enrich preview: Invalid value for '--last': must be less than or equal to 250"),
    ],
)
def test_misuse_is_one_line(enrich: Enrich, folder: Path, words: tuple[str, ...], line: str) -> None:
    ran = enrich("preview", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(line)


@pytest.mark.parametrize("words", [(), ("--document",), ("--try", "metafields.a.b"), ("--json",)], ids=" ".join)
def test_an_order_that_is_not_there_is_one_line(enrich: Enrich, sandbox: ServedSandbox, words: tuple[str, ...]) -> None:
    line = (
        "order 999: was not found (Get an Order: 404). "
        "Run `enrich preview --last 20` to see the newest orders of sandbox.\n"
    )
    assert enrich("preview", "999", *words) == Ran(2, "", line)


@pytest.mark.parametrize("words", [("1",), ("1", "--document"), ("--last", "5")], ids=" ".join)
def test_a_token_that_is_refused_is_one_line(enrich: Enrich, sandbox: ServedSandbox, words: tuple[str, ...]) -> None:
    sandbox.run(sandbox.sandbox.faults(refuse_credentials=["sandbox"]))
    ran = enrich("preview", *words)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(
        r"Get [A-Za-z ]+: 401: Unauthorized\. The credentials are not valid\. Run `enrich check` .* token\.\n", ran.err
    )


@pytest.mark.parametrize("last", [False, True])
def test_a_missing_scope_is_one_line_and_found_with_the_first_order(
    enrich: Enrich, sandbox: ServedSandbox, last: bool
) -> None:
    sandbox.run(sandbox.sandbox.put_store(missing_scopes=["b2b_read"]))
    orders = [sandbox.place(age=age) for age in range(12)]
    ran = enrich("preview", *(("--last", "12") if last else (str(orders[0]),)))
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(
        r"Get .*: 403: You don't have a required scope .+\. Run `enrich check` to see .+ token\.\n", ran.err
    )
    assert sandbox.calls().get("Get User Details by BigCommerce Customer ID", 0) <= 8


def test_redis_is_not_needed(enrich: Enrich, sandbox: ServedSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    order = sandbox.place(age=RECORD_EXISTS_S)
    assert outcome(enrich("preview", str(order), "--json")) == ("sent", None)
