"""Rules against the store's extra-field configs."""

from pathlib import Path
from typing import Any

import pytest

from service.bigcommerce.models import ExtraFieldConfig
from service.checks.extra_fields import check_fields
from tests.fakes.checks import config, configured, lines

NOTE = config("note", labelName="Note", fieldType=0, maximumLength=5)
FLOOR = config("floor", labelName="Floor", fieldType=2, maximumValue=12)
DOCK = config("dock", labelName="Dock", fieldType=3, listOfValues=["North", "South"])
EMPTY = config("empty", labelName="empty", fieldType=3)
TWINS = [config("gate_1", labelName="Gate"), config("gate_2", labelName="Gate")]
MUST = config("must", labelName="Must", isRequired=True)
CONFIGS = [NOTE, FLOOR, DOCK, EMPTY, *TWINS]


def check(folder: Path, fields: str, configs: list[ExtraFieldConfig] = CONFIGS, **more: Any) -> list[str]:
    return lines(check_fields("abc123", configured(folder, fields).rules, configs, **more))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        # What is fine.
        ('note = "order.id"', 'ok  rule "note"  the field is there.'),
        ('Note = "order.id"', 'ok  rule "Note"  is the label of "note", which is what is sent.'),
        ('note = { value = "12345" }', 'ok  rule "note"  the field is there.'),
        ('floor = "order.customer_message"', 'ok  rule "floor"  the field is there.'),
        ('dock = "order.customer_message"', 'ok  rule "dock"  the field is there.'),
        ('dock = { from = "order.id", default = "north" }', 'ok  rule "dock"  the field is there.'),
        ("floor = { value = 12.0 }", 'ok  rule "floor"  the field is there.'),
        # Which field.
        (
            'notes = "order.id"',
            'error  rule "notes"  the store has no extra field of this name. Did you mean "note"?'
            " If it was renamed in BigCommerce, write its new name here.",
        ),
        (
            'Qqqq = "order.id"',
            'error  rule "Qqqq"  the store has no extra field of this name. The store has "note", "floor", "dock",'
            ' "empty", "gate_1", "gate_2". If it was renamed in BigCommerce, write its new name here.',
        ),
        (
            'Gate = "order.id"',
            'error  rule "Gate"  several extra fields of the store have this label: "gate_1", "gate_2".'
            " Write the fieldName of one of them.",
        ),
        # What cannot fit.
        (
            'note = { value = "123456" }',
            'error  rule "note"  the value "123456" does not fit: the text has 6 characters, the field takes 5.',
        ),
        (
            'note = { from = "order.id", default = "UNASSIGNED" }',
            'error  rule "note"  the default "UNASSIGNED" does not fit: the text has 10 characters, the field takes 5.',
        ),
        (
            'floor = { value = "first" }',
            'error  rule "floor"  the value "first" does not fit: the field takes a number, and the text is none.',
        ),
        (
            "floor = { value = 13 }",
            'error  rule "floor"  the value "13" does not fit: the number is above 12, the most that the field takes.',
        ),
        (
            'dock = { value = "West" }',
            'error  rule "dock"  the value "West" does not fit: the text is not one of the field\'s options.'
            ' It takes "North", "South".',
        ),
        (
            'empty = { value = "West" }',
            'error  rule "empty"  the value "West" does not fit: the text is not one of the field\'s options.'
            " The dropdown has no options at all.",
        ),
    ],
)
def test_each_rule_is_held_against_its_field(tmp_path: Path, fields: str, line: str) -> None:
    assert check(tmp_path, fields) == [line]


def test_a_field_that_only_an_earlier_look_knew_was_renamed_or_deleted(tmp_path: Path) -> None:
    earlier = [config("cc", labelName="Cost Center")]
    (line,) = check(tmp_path, '"Cost Center" = "order.id"', [config("Cost Centre Code")], earlier=earlier)
    assert line == (
        'error  rule "Cost Center"  the field was there lately, and is no longer: it was renamed or deleted in'
        ' BigCommerce. Did you mean "Cost Centre Code"? Write its new name here, or take the rule out.'
    )


def test_a_deleted_field_without_a_likely_new_name_shows_what_there_is(tmp_path: Path) -> None:
    (line,) = check(tmp_path, 'zzz = "order.id"', [NOTE], earlier=[config("zzz")])
    assert line.endswith('Write its new name here, or take the rule out. The store has "note".')


def test_a_store_without_any_field_is_told_so(tmp_path: Path) -> None:
    (line,) = check(tmp_path, 'note = "order.id"', [])
    assert line == (
        'error  rule "note"  the store has no extra field of this name.'
        " If it was renamed in BigCommerce, write its new name here."
    )


def test_a_long_list_of_names_is_cut(tmp_path: Path) -> None:
    many = [config(f"field {number}") for number in range(12)]
    (line,) = check(tmp_path, 'zzz = "order.id"', many)
    assert '"field 9" and 2 more. If' in line


def test_two_rules_for_one_field_are_an_error_of_the_second(tmp_path: Path) -> None:
    assert check(tmp_path, 'note = "order.id"\nNote = "order.id"') == [
        'ok  rule "note"  the field is there.',
        'error  rule "Note"  fills the same field as rule "note": "note". Take one of them out.',
    ]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            "",
            'error  field "must"  BigCommerce requires it and no rule fills it: every order would be refused.'
            ' Add a rule "must", or make the field optional in B2B Edition.',
        ),
        (
            'Must = "order.staff_notes"',
            'warning  rule "Must"  BigCommerce requires the field: orders for which this rule finds nothing will fail.'
            ' Give it a default, or write "required = true" if that is what you want.',
        ),
    ],
)
def test_a_required_field_wants_a_value_for_every_order(tmp_path: Path, fields: str, line: str) -> None:
    assert check(tmp_path, fields, [MUST])[-1] == line


@pytest.mark.parametrize(
    "rule", ['{ value = "a" }', '{ from = "order.id", default = "a" }', '{ from = "order.id", required = true }']
)
def test_a_required_field_with_a_sure_value_or_on_purpose_is_fine(tmp_path: Path, rule: str) -> None:
    assert check(tmp_path, f"must = {rule}", [MUST]) == ['ok  rule "must"  the field is there.']


def test_the_po_number_is_no_extra_field(tmp_path: Path) -> None:
    assert check(tmp_path, "") == []
