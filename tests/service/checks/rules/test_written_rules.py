"""Rules that are valid, and cannot mean what they say."""

from pathlib import Path

import pytest

from service.checks.rules.written_rules import check_written_rules
from tests.fakes.stacks.checks import configured, lines

NEVER = "match can never find anything: in double quotes, TOML makes one control character of"
SLASHES = "match begins and ends with a slash: the slashes are searched for, too."
FORM = "order.billing_address.form_fields"


def found(folder: Path, rule: str) -> list[str]:
    return lines(check_written_rules(configured(folder, f'"F" = {{ from = "order.customer_message", {rule} }}')))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (r'match = "\bPO"', [rf'error  rule "F"  {NEVER} \b. Put the pattern in single quotes.']),
        (r"match = '\bPO'", []),
        ("match = '/PO/i'", [f"warning  rule \"F\"  {SLASHES} Write it without them: '(?i)PO'."]),
        ("match = '/PO/'", [f"warning  rule \"F\"  {SLASHES} Write it without them: 'PO'."]),
        ("match = '/orders/([0-9]+)'", []),
    ],
)
def test_patterns_of_other_languages(tmp_path: Path, rule: str, expected: list[str]) -> None:
    assert found(tmp_path, rule) == expected


@pytest.mark.parametrize("right", ["'PO Number'", '`"PO Number"`', "value"])
def test_a_text_in_single_quotes_or_a_plain_field_is_fine(tmp_path: Path, right: str) -> None:
    rule = f"'''{FORM}[?name=={right}].value | [0]'''"
    assert check_written_rules(configured(tmp_path, f'"F" = {rule}')) == []


def test_a_text_in_double_quotes_is_a_field_for_jmespath(tmp_path: Path) -> None:
    rules = f"""\"F\" = '{FORM}[?name=="PO Number"].value | [0]'"""
    assert lines(check_written_rules(configured(tmp_path, rules))) == [
        'warning  rule "F"  compares with the field "PO Number": in JMESPath, double quotes are for names of fields.'
        " If it is a text, write it in single quotes: 'PO Number'."
    ]
