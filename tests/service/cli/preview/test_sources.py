"""``enrich preview`` with rules that read the cart, the quote, the payments, the customer group or the record."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cli import Enrich
from tests.fakes.processes.threaded_sandbox import ServedSandbox
from tests.fakes.stacks.preview import ADA, configure, read

CART: dict[str, Any] = {"cart_metafields": {"checkout": {"po_number": "A-26", "purchase": '{"po": 4711}'}}}
QUOTE: dict[str, Any] = {"quote": {"referenceNumber": "PO-2026-31", "extraFields": {"Cost Center": "CC-5"}}}
PAYMENT: dict[str, Any] = {"transactions": [{"offline": {"display_name": "Net 30"}}]}
RECORD: dict[str, Any] = {"buyer_po": "B-7001", "record_after": 0, "buyer_extra_fields": {"Cost Center": "CC-9"}}

CASES = [
    ("cart.metafields.checkout.po_number", CART, "A-26"),
    ("parse_json(cart.metafields.checkout.purchase).po", CART, "4711"),
    ("cart.metafields.checkout.po_number", {"cart_metafields": None}, None),
    ("quote.referenceNumber", QUOTE, "PO-2026-31"),
    ('quote.extraFields."Cost Center"', QUOTE, "CC-5"),
    ("quote.referenceNumber", {}, None),
    ("transactions[0].offline.display_name", PAYMENT, "Net 30"),
    ("transactions[0].offline.display_name", {}, None),
    ("customer.group.name", {}, "Wholesale"),
    ("record.poNumber", RECORD, "B-7001"),
    ('record.extraFields."Cost Center"', RECORD, "CC-9"),
    ("record.poNumber", {}, None),
]


@pytest.fixture
def wholesale(sandbox: ServedSandbox) -> ServedSandbox:
    """A store whose only buyer is in a customer group."""
    spec: dict[str, Any] = {
        "customers": [{"id": ADA, "customer_group_id": 3}],
        "customer_groups": [{"id": 3, "name": "Wholesale"}],
        "companies": [{"id": 5001, "name": "Great Buys"}],
        "users": [{"customer_id": ADA, "company_id": 5001}],
    }
    sandbox.run(sandbox.sandbox.put_store(**spec))
    return sandbox


@pytest.mark.parametrize(("expression", "placed", "value"), CASES)
def test_a_rule_gets_its_value(
    enrich: Enrich, wholesale: ServedSandbox, folder: Path, expression: str, placed: dict[str, Any], value: str | None
) -> None:
    configure(folder, wholesale, f"po_number = '''{expression}'''")
    order = str(wholesale.place(**placed))

    result = read(enrich("preview", order, "--json"))
    assert [rule["sent"] for rule in result["rules"]] == [value]
    assert (result["outcome"], result["reason"]) == (("sent", None) if value else ("skipped", "no_values"))
    (row,) = read(enrich("preview", "--last", "1", "--json"))
    assert [rule["sent"] for rule in row["rules"]] == [value]


@pytest.mark.parametrize(("expression", "placed", "value"), CASES)
def test_an_expression_can_be_tried(
    enrich: Enrich, wholesale: ServedSandbox, expression: str, placed: dict[str, Any], value: str | None
) -> None:
    order = str(wholesale.place(**placed))
    assert read(enrich("preview", order, "--try", expression, "--json"))["value"] == value


def test_the_document_shows_all_of_them(enrich: Enrich, wholesale: ServedSandbox) -> None:
    order = str(wholesale.place(**CART, **QUOTE, **PAYMENT, **RECORD))
    document = read(enrich("preview", order, "--document"))

    assert document["cart"]["metafields"]["checkout"]["po_number"] == "A-26"
    assert document["quote"]["referenceNumber"] == "PO-2026-31"
    assert document["transactions"][0]["offline"] == {"display_name": "Net 30"}
    assert document["customer"]["group"]["name"] == "Wholesale"
    assert document["record"]["poNumber"] == "B-7001"


def test_the_record_is_read_once(enrich: Enrich, wholesale: ServedSandbox, folder: Path) -> None:
    configure(folder, wholesale, "po_number = 'record.poNumber'")
    result = read(enrich("preview", str(wholesale.place(**RECORD)), "--json"))

    assert result["record"] == {"po_number": "B-7001", "fields": {"Cost Center": "CC-9"}}
    calls = wholesale.run(wholesale.sandbox.calls())
    assert calls["b2b"]["Get an Order"] == {"200": 1}
