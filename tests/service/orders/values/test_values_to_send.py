"""Resolving values: what is dropped, what fails, and which fields a refusal is about."""

from pathlib import Path
from typing import Any

import pytest

from service.bigcommerce.models import ExtraFieldConfig, Values
from service.configuration import ConfiguredStore, load_configuration
from service.orders.values.values_to_send import (
    ResolvedValues,
    droppable_fields,
    duplicate_fields,
    fields_to_blame,
    missing_required_field,
    required_defaults,
    resolve_values,
)

DOCUMENT: dict[str, Any] = {"order": {"id": 7, "customer_message": "PO1", "staff_notes": "", "billing_address": {}}}


def configured(folder: Path, fields: str, po_number: str = '"order.customer_message"') -> ConfiguredStore:
    path = folder / "stores.toml"
    head = '[stores.abc123]\naccess_token = "t"\nclient_secret = "s"\n'
    path.write_text(f"{head}po_number = {po_number}\n[stores.abc123.extra_fields]\n{fields}")
    return load_configuration(path).stores["abc123"]


def configs(*names: str, **more: Any) -> list[ExtraFieldConfig]:
    return [ExtraFieldConfig.model_validate({"fieldName": name, **more}) for name in names]


def resolved(folder: Path, fields: str, known: list[ExtraFieldConfig], **keys: str) -> ResolvedValues:
    store = configured(folder, fields, **keys)
    return resolve_values(store.rules, DOCUMENT, known)


def test_values_are_sent_under_their_field_names(tmp_path: Path) -> None:
    known = [ExtraFieldConfig.model_validate({"fieldName": "cc", "labelName": "Cost Center"})]
    got = resolved(tmp_path, '"Cost Center" = "order.id"', known)
    assert got == ResolvedValues(Values("PO1", {"cc": "7"}), {}, None)


@pytest.mark.parametrize("broken", ["order", "length(order.id)", "products"])
def test_a_broken_rule_with_a_default_is_not_dropped(tmp_path: Path, broken: str) -> None:
    got = resolved(tmp_path, f'"D" = {{ from = "{broken}", default = "std" }}', configs("D"))
    assert got == ResolvedValues(Values("PO1", {"D": "std"}), {}, None)


def test_a_broken_rule_without_a_value_is_dropped_with_its_error(tmp_path: Path) -> None:
    got = resolved(tmp_path, '"D" = "order"', configs("D"), po_number='"order.billing_address"')
    assert got.values == Values(None, {})
    assert set(got.dropped) == {"D", "po_number"}


def test_a_broken_po_rule_with_a_default_is_not_dropped(tmp_path: Path) -> None:
    got = resolved(tmp_path, "", [], po_number='{ from = "order", default = "none given" }')
    assert got == ResolvedValues(Values("none given", {}), {}, None)


def test_without_the_value_of_a_required_rule_nothing_is_sent(tmp_path: Path) -> None:
    got = resolved(tmp_path, '"A" = { from = "order.staff_notes", required = true }', configs("A"))
    assert (got.values, got.failure, got.missing) == (Values(None, {}), None, "A")


def test_an_invalid_field_is_dropped_and_the_po_stays(tmp_path: Path) -> None:
    got = resolved(tmp_path, '"A" = "order.customer_message"', configs("A", maximumLength=1))
    assert (got.values, got.failure) == (Values("PO1", {}), None)
    assert set(got.dropped) == {"A"}


def test_an_invalid_required_field_is_the_failure(tmp_path: Path) -> None:
    got = resolved(tmp_path, '"A" = "order.customer_message"', configs("A", maximumLength=1, isRequired=True))
    assert got.failure == "A: the text has 3 characters, the field takes 1."


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("[Account No] is a required extra field", "Account No"),
        ("Unprocessable Entity; [Account No] is a required extra field", "Account No"),
        ("Unprocessable Entity; Account No is a required extra field", "Account No"),
        ("Account No is a required extra field", "Account No"),
        ("Error: Account No is a required extra field.", "Account No"),
        ("is a required extra field", None),
        ("Account No is required", None),
    ],
)
def test_the_missing_required_field_is_read_from_bigcommerces_message(message: str, field: str | None) -> None:
    assert missing_required_field(message) == field


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("Cost Center is not valid", ("Cost Center",)),
        ("Cost is not valid", ("Cost",)),
        ("Cost and Cost Center are not valid", ("Cost", "Cost Center")),
        ("Something is not valid", ("Cost", "Cost Center", "Note")),
    ],
)
def test_the_fields_named_by_a_refusal_are_droppable_else_all(
    tmp_path: Path, message: str, named: tuple[str, ...]
) -> None:
    rules = configured(tmp_path, '"Cost" = "order.id"\n"Cost Center" = "order.id"\n"Note" = "order.id"').rules
    values = Values("PO1", {"Cost": "1", "Cost Center": "2", "Note": "3"})
    assert droppable_fields(rules, [], values, message) == named


def test_no_field_is_droppable_when_nothing_would_be_left(tmp_path: Path) -> None:
    rules = configured(tmp_path, '"A" = "order.id"\n"B" = "order.id"').rules
    assert droppable_fields(rules, [], Values(None, {"A": "1"}), "A is bad") == ()
    assert droppable_fields(rules, [], Values(None, {"A": "1", "B": "2"}), "A is bad") == ("A",)
    assert droppable_fields(rules, [], Values("PO1", {}), "bad") == ()


def test_a_required_field_is_not_droppable(tmp_path: Path) -> None:
    rules = configured(tmp_path, '"Label A" = { from = "order.id", required = true }\n"B" = "order.id"').rules
    known = [
        ExtraFieldConfig.model_validate({"fieldName": "a", "labelName": "Label A"}),
        ExtraFieldConfig.model_validate({"fieldName": "B", "isRequired": True}),
    ]
    values = Values("PO1", {"a": "1", "B": "2"})
    assert droppable_fields(rules, known, values, "a is bad") == ()
    assert droppable_fields(rules, known, values, "B is bad") == ()


@pytest.mark.parametrize(
    ("message", "duplicates"),
    [
        ("Serial must be unique", ("serial",)),
        ("serial: duplicate value", ("serial",)),
        ("The value already exists.", ("serial", "badge")),
        ("Badge and Serial are already in use", ("serial", "badge")),
        ("Note must be unique", ()),
        ("The order already exists.", ()),
        ("Order already existed", ()),
        ("Serial is not valid", ()),
    ],
)
def test_duplicates_are_the_unique_fields_that_a_refusal_names_else_all(
    message: str, duplicates: tuple[str, ...]
) -> None:
    known = [
        *configs("serial", labelName="Serial", isUnique=True),
        *configs("badge", labelName="Badge", isUnique=True),
        *configs("other", isUnique=True),
        *configs("Note"),
    ]
    assert duplicate_fields(known, Values("PO1", {"serial": "1", "badge": "2", "Note": "3"}), message) == duplicates


def test_a_refusal_may_name_a_field_by_its_label(tmp_path: Path) -> None:
    rules = configured(tmp_path, '"f_1" = "order.id"\n"f_2" = "order.id"').rules
    known = [*configs("f_1", labelName="Alpha"), *configs("f_2", labelName="Beta")]
    assert droppable_fields(rules, known, Values("PO1", {"f_1": "1", "f_2": "2"}), "Beta is bad") == ("f_2",)
    assert fields_to_blame(["Alpha", "f_2"], known, "f_1 is bad") == {"Alpha"}
    assert fields_to_blame(["Alpha", "f_2"], known, "Invalid.") == set()


def test_only_required_fields_that_nothing_fills_get_their_default() -> None:
    known = [
        *configs("filled", "empty", isRequired=True, defaultValue="d"),
        *configs("bare", isRequired=True),
        *configs("optional", defaultValue="d"),
    ]
    assert required_defaults(known, Values("PO1", {"filled": "x"})) == {"empty": "d"}


def test_the_carried_fields_to_blame_are_those_named_else_those_unknown_to_the_store() -> None:
    known = configs("Here")
    assert fields_to_blame(["Old", "Here"], known, "extra field Old does not exist") == {"Old"}
    assert fields_to_blame(["Old", "Here"], known, "Here is not valid") == {"Here"}
    assert fields_to_blame(["Old", "Here"], known, "Invalid.") == {"Old"}
    assert fields_to_blame(["Old", "Old One"], known, "Old One is bad") == {"Old One"}
    assert fields_to_blame(["Old", "Here"], [], "Invalid.") == set(), "what the store has is not known"
    assert fields_to_blame([], known, "Invalid.") == set()
