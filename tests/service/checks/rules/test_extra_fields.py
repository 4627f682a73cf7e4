"""Checks of rules against the store's extra-field configs."""

from pathlib import Path
from typing import Any

import pytest

from service.bigcommerce.models import ExtraFieldConfig
from service.checks.rules.extra_fields import check_fields
from tests.fakes.stacks.checks import config, configured, lines

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
        # Valid.
        ('note = "order.id"', 'ok  rule "note"  the field exists.'),
        ('Note = "order.id"', 'ok  rule "Note"  is the label of "note"; that name is sent.'),
        ('note = { value = "12345" }', 'ok  rule "note"  the field exists.'),
        ('floor = "order.customer_message"', 'ok  rule "floor"  the field exists.'),
        ('dock = "order.customer_message"', 'ok  rule "dock"  the field exists.'),
        ('dock = { from = "order.id", default = "north" }', 'ok  rule "dock"  the field exists.'),
        ("floor = { value = 12.0 }", 'ok  rule "floor"  the field exists.'),
        # Its own target.
        ('note = "record.extraFields.floor"', 'ok  rule "note"  the field exists.'),
        *(
            (
                f"note = 'record.extraFields.{name}'",
                'warning  rule "note"  reads from `record` the value that it writes itself. What others have written'
                " there stays anyway. Leave that expression out.",
            )
            for name in ("note", "Note", '"note"')
        ),
        # Which field.
        (
            'notes = "order.id"',
            'error  rule "notes"  the store has no extra field with this name or label. Did you mean "note"?'
            " If it was renamed in BigCommerce, use its new name here.",
        ),
        (
            'Qqqq = "order.id"',
            'error  rule "Qqqq"  the store has no extra field with this name or label. The store\'s fields are '
            '"note", "floor", "dock", "empty", "gate_1", "gate_2".'
            " If it was renamed in BigCommerce, use its new name here.",
        ),
        (
            'Gate = "order.id"',
            'error  rule "Gate"  several extra fields of the store have this label: "gate_1", "gate_2".'
            " Use the fieldName of one of them.",
        ),
        # Constants that the field refuses.
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
            'error  rule "floor"  the value "first" does not fit:'
            " the text is not a number, and the field takes only numbers.",
        ),
        (
            "floor = { value = 13 }",
            'error  rule "floor"  the value "13" does not fit: the number is larger than 12, the field\'s maximum.',
        ),
        (
            'dock = { value = "West" }',
            'error  rule "dock"  the value "West" does not fit: the text is not one of the field\'s options.'
            ' Its options are "North", "South".',
        ),
        (
            'empty = { value = "West" }',
            'warning  rule "empty"  BigCommerce does not show the options of this dropdown: the value "West" cannot be'
            " checked. Compare it with the options in B2B Edition.",
        ),
    ],
)
def test_each_rule_is_checked_against_its_field(tmp_path: Path, fields: str, line: str) -> None:
    assert check(tmp_path, fields) == [line]


@pytest.mark.parametrize("reads", ["poNumber", "referenceNumber"])
def test_a_po_rule_that_reads_its_own_target_is_a_warning(tmp_path: Path, reads: str) -> None:
    rules = configured(tmp_path, po_number=f"record.{reads}").rules
    found = [line for line in lines(check_fields("abc123", rules, CONFIGS)) if "from `record`" in line]
    assert len(found) == (1 if reads == "poNumber" else 0)


@pytest.mark.parametrize("key", ["value", "default"])
def test_a_constant_in_a_unique_field_is_a_warning(tmp_path: Path, key: str) -> None:
    rule = '{ value = "W" }' if key == "value" else '{ from = "order.id", default = "W" }'
    assert check(tmp_path, f"serial = {rule}", [config("serial", isUnique=True)]) == [
        f'warning  rule "serial"  BigCommerce takes each value of this field only once, and the {key} "W" is always'
        " the same. Use a value that differs for each order, such as order.id, or let the field accept a value twice."
    ]
    assert check(tmp_path, 'serial = "order.id"', [config("serial", isUnique=True)])[0].startswith("ok")


@pytest.mark.parametrize("rules", ["", 'Must = "order.staff_notes"'])
def test_a_required_field_with_a_default_needs_no_rule(tmp_path: Path, rules: str) -> None:
    must = config("must", labelName="Must", isRequired=True, defaultValue="web")
    assert check(tmp_path, rules, [must])[-1] == (
        'ok  field "must"  BigCommerce requires this field: where no rule fills it, its own default "web" is sent.'
    )


def test_a_field_that_only_the_cache_knows_was_renamed_or_deleted(tmp_path: Path) -> None:
    earlier = [config("cc", labelName="Cost Center")]
    (line,) = check(tmp_path, '"Cost Center" = "order.id"', [config("Cost Centre Code")], earlier=earlier)
    assert line == (
        'error  rule "Cost Center"  the field does not exist any more: it was renamed or deleted in'
        ' BigCommerce. Did you mean "Cost Centre Code"? Use its new name here, or remove the rule.'
    )


def test_a_deleted_field_without_a_likely_new_name_shows_what_there_is(tmp_path: Path) -> None:
    (line,) = check(tmp_path, 'zzz = "order.id"', [NOTE], earlier=[config("zzz")])
    assert line.endswith('Use its new name here, or remove the rule. The store\'s fields are "note".')


def test_a_store_without_any_field_is_reported(tmp_path: Path) -> None:
    (line,) = check(tmp_path, 'note = "order.id"', [])
    assert line == (
        'error  rule "note"  the store has no extra field with this name or label.'
        " If it was renamed in BigCommerce, use its new name here."
    )


def test_a_long_list_of_names_is_cut(tmp_path: Path) -> None:
    many = [config(f"field {number}") for number in range(12)]
    (line,) = check(tmp_path, 'zzz = "order.id"', many)
    assert '"field 9" and 2 more. If' in line


def test_two_rules_for_one_field_are_an_error_of_the_second(tmp_path: Path) -> None:
    assert check(tmp_path, 'note = "order.id"\nNote = "order.id"') == [
        'ok  rule "note"  the field exists.',
        'error  rule "Note"  fills the same field as rule "note": "note". Remove one of the two rules.',
    ]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            "",
            'error  field "must"  BigCommerce requires this field and no rule fills it: every order would be refused.'
            ' Add a rule "must", or make the field optional in B2B Edition.',
        ),
        (
            'Must = "order.staff_notes"',
            'warning  rule "Must"  BigCommerce requires this field: orders for which this rule finds no value will'
            ' fail. Give the rule a default, or "required = true" if they should fail.',
        ),
    ],
)
def test_a_required_field_needs_a_value_for_every_order(tmp_path: Path, fields: str, line: str) -> None:
    assert check(tmp_path, fields, [MUST])[-1] == line


@pytest.mark.parametrize(
    "rule", ['{ value = "a" }', '{ from = "order.id", default = "a" }', '{ from = "order.id", required = true }']
)
def test_a_required_field_is_ok_with_a_constant_or_a_required_rule(tmp_path: Path, rule: str) -> None:
    assert check(tmp_path, f"must = {rule}", [MUST]) == ['ok  rule "must"  the field exists.']


def test_the_po_number_is_not_an_extra_field(tmp_path: Path) -> None:
    assert check(tmp_path, "") == []
