"""Which differences between the record and what the buyer sees are claimed, and which are left open."""

from typing import Any

import pytest

from service.bigcommerce.clients.storefront_models import BuyerOrder
from service.bigcommerce.models import ExtraFieldConfig, Record
from service.orders.buyer_view.differences import Kind, compare_order
from service.orders.buyer_view.shown import Absent, NotShown, Shown

CONFIGS = [
    ExtraFieldConfig(field_name="cost_center", label="Cost Center"),
    ExtraFieldConfig(field_name="Internal", visible=False),
]
UNREAD, GONE = NotShown("down"), Absent("404")


def record(po: str = "A-1", **fields: Any) -> Record:
    rows = [{"fieldName": name, "fieldValue": value} for name, value in fields.items()]
    return Record.model_validate({"bcOrderId": 1, "poNumber": po, "extraFields": rows})


def seen(po: str | None = "A-1", **fields: Any) -> BuyerOrder:
    rows = [{"fieldName": name, "fieldValue": value} for name, value in fields.items()]
    shown = {} if po is None else {"poNumber": po}
    return BuyerOrder.model_validate({"id": 1, "extraFields": rows, **shown})


@pytest.mark.parametrize(
    ("recorded", "shown", "sentence"),
    [
        ("A-1", "", "The record holds the PO number A-1, and the buyer does not see it."),
        ("", "A-1", "The buyer sees the PO number A-1, and the record does not hold it."),
        ("A-1", "A-2", "The record holds the PO number A-1, and the buyer sees A-2."),
    ],
)
def test_each_way_in_which_po_numbers_differ_has_its_sentence(recorded: str, shown: str, sentence: str) -> None:
    (difference,) = compare_order(record(recorded), seen(shown), CONFIGS).differences
    assert (difference.kind, difference.sentence) == (Kind.PO_NUMBER, sentence)


@pytest.mark.parametrize(("recorded", "shown"), [("A-1", "A-1"), ("", ""), (" A-1", "A-1 ")])
def test_equal_po_numbers_do_not_differ(recorded: str, shown: str) -> None:
    compared = compare_order(record(recorded), seen(shown), CONFIGS)
    assert (compared.differences, compared.not_compared) == ((), ())


def test_a_po_number_that_the_answer_lacks_is_not_an_empty_one() -> None:
    compared = compare_order(record("A-1"), seen(None), CONFIGS)
    assert compared.differences == ()
    assert compared.not_compared == ("The storefront's answer shows no PO number field, so it was not compared.",)


def test_extra_fields_that_the_answer_lacks_are_not_empty_ones() -> None:
    shown = BuyerOrder.model_validate({"id": 1, "poNumber": "A-1"})
    compared = compare_order(record(cost_center="CC-1"), shown, CONFIGS)
    assert compared.differences == ()
    assert compared.not_compared == ("The storefront's answer shows no extra fields, so they were not compared.",)


def test_a_field_is_the_same_under_its_label() -> None:
    shown = seen(**{"Cost Center": "CC-1"})
    assert compare_order(record(cost_center="CC-1"), shown, CONFIGS).differences == ()
    (difference,) = compare_order(record(cost_center="CC-2"), shown, CONFIGS).differences
    assert (difference.name, difference.recorded, difference.seen) == ("cost_center", "CC-2", "CC-1")


def test_a_field_that_buyers_may_not_see_differs_only_where_they_see_another_value() -> None:
    assert compare_order(record(Internal="x"), seen(), CONFIGS).differences == ()
    (difference,) = compare_order(record(Internal="x"), seen(Internal="y"), CONFIGS).differences
    assert difference.name == "Internal"


def test_with_unknown_settings_a_field_that_the_buyer_does_not_see_is_left_open() -> None:
    compared = compare_order(record(Source="web"), seen(), None)
    assert compared.differences == ()
    assert compared.not_compared == (
        "Whether buyers may see the extra field Source is unknown, so it was not compared.",
    )
    (difference,) = compare_order(record(), seen(Source="web"), None).differences
    assert difference.sentence == ("The buyer sees the extra field Source with web, and the record does not hold it.")


@pytest.mark.parametrize(
    ("recorded", "shown"), [(UNREAD, seen()), (UNREAD, GONE), (UNREAD, UNREAD), (record(), UNREAD), (GONE, UNREAD)]
)
def test_nothing_is_claimed_while_one_side_is_unknown(recorded: Shown[Record], shown: Shown[BuyerOrder]) -> None:
    compared = compare_order(recorded, shown, CONFIGS)
    assert compared.differences == ()
    assert len(compared.not_compared) == 1


def test_an_order_that_is_on_neither_side_does_not_differ() -> None:
    compared = compare_order(GONE, GONE, CONFIGS)
    assert (compared.differences, compared.not_compared) == ((), ())


def test_a_record_that_the_buyer_does_not_see_is_a_difference_with_its_po() -> None:
    (difference,) = compare_order(record("A-1"), GONE, CONFIGS).differences
    assert (difference.kind, difference.recorded) == (Kind.ORDER, "A-1")


def test_without_a_record_what_the_buyer_sees_is_a_difference() -> None:
    (difference,) = compare_order(GONE, seen("A-1"), CONFIGS).differences
    assert difference.sentence == "The buyer sees the PO number A-1, and the record does not hold it."
