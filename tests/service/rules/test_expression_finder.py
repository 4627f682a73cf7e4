"""A text is found wherever it is in an order document, with an expression that gives it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules.expression import ROOTS, Expression
from service.rules.expression_finder import MAX_FINDINGS, find_text
from service.rules.plain_text import to_text

DOCUMENT: dict[str, Any] = {
    "order": {
        "id": 4711,
        "customer_message": "our PO-77, please",
        "billing_address": {
            "form_fields": [{"name": "Tax ID", "value": "x"}, {"name": "PO Number", "value": "PO-77"}],
        },
    },
    "products": [{"name": "Bolt", "product_options": [{"display_name": "It's", "display_value": "PO-77"}]}],
    "metafields": {"check out": {"po": "PO-77"}},
    "company": {"extraFields": {"ERP Account": "A-1"}},
}


def expressions(text: str, document: dict[str, Any] = DOCUMENT) -> list[str]:
    return [found.expression for found in find_text(document, text)]


def test_each_place_of_a_text_is_found_and_the_exact_ones_come_first() -> None:
    assert expressions("po-77") == [
        "order.billing_address.form_fields[?name=='PO Number'].value | [0]",
        'products[0].product_options[?display_name==`"It\'s"`].display_value | [0]',
        'metafields."check out".po',
        "order.customer_message",
    ]
    assert expressions("4711") == ["order.id"]
    assert expressions("A-1") == ['company.extraFields."ERP Account"']
    assert expressions("nothing") == expressions("") == expressions("  ") == []


def test_what_the_record_holds_comes_last_for_we_may_have_written_it() -> None:
    document = {"record": {"poNumber": "4711"}, "order": {"customer_message": "PO 4711", "staff_notes": "4711"}}
    found = [finding.expression for finding in find_text(document, "4711")]
    assert found == ["order.staff_notes", "order.customer_message", "record.poNumber"]


def test_the_second_field_of_a_name_is_told_by_its_place() -> None:
    fields = [{"name": "PO", "value": "1"}, {"name": "PO", "value": "2"}]
    assert expressions("2", {"order": {"form_fields": fields}}) == ["order.form_fields[1].value"]


def test_no_more_is_found_than_a_person_looks_through() -> None:
    assert len(expressions("x", {"order": {f"k{number}": "x" for number in range(200)}})) == MAX_FINDINGS


keys = st.sampled_from(
    ["name", "value", "display_name", "display_value", "a b", "é", "", "`", "'", '"', "\\"]
) | st.text(max_size=4)
scalars = st.text(max_size=8) | st.integers(-99, 99) | st.booleans() | st.none() | st.floats(allow_nan=False)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
documents = st.dictionaries(st.sampled_from([root for root in ROOTS if root != "cart"]), values, max_size=3)


def texts(value: Any) -> list[str]:
    """The texts of all plain values."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return [text for item in items for text in texts(item)]
    text = to_text(value)
    return [] if text is None else [text]


@given(documents, st.data())
def test_every_expression_gives_the_value_that_was_found(document: dict[str, Any], data: st.DataObject) -> None:
    every = texts(document)
    wanted = data.draw(st.sampled_from(every) if every else st.text())
    found = find_text(document, wanted)
    for each in found:
        given = to_text(Expression.compile(each.expression, "").search(document))
        assert given == each.text
        assert wanted.strip().casefold() in given.casefold()
        each.expression.encode()
    if every and wanted.strip():
        assert found


@pytest.mark.parametrize("name", ["'", "\\", "a\\'b", "`", '"', "\n", "\ud800", "PO\u202e"])
def test_a_name_may_hold_anything(name: str) -> None:
    document = {"order": {"form_fields": [{"name": "first", "value": "no"}, {"name": name, "value": "PO-1"}]}}
    (expression,) = expressions("PO-1", document)
    assert "[?name==" in expression
    assert Expression.compile(expression, "").search(document) == "PO-1"
