"""Values by hand in place of what the rules gave."""

from pathlib import Path

import pytest

from service.bigcommerce.models import ExtraFieldConfig
from service.configuration import load_configuration
from service.orders.values.values_to_send import resolve_values
from service.rules import RuleSet

CONFIGS = [
    ExtraFieldConfig.model_validate({"fieldName": "F", "labelName": "Cost Center"}),
    ExtraFieldConfig.model_validate({"fieldName": "G", "labelName": "Other"}),
]


def rules(folder: Path, *lines: str) -> RuleSet:
    path = folder / "stores.toml"
    fields = "\n".join(["[stores.abc123.extra_fields]", *lines])
    path.write_text(f'[stores.abc123]\naccess_token = "t"\nclient_secret = "s"\npo_number = "order.po"\n{fields}')
    return load_configuration(path).stores["abc123"].rules


@pytest.mark.parametrize("rule", ["F", "Cost Center"])
@pytest.mark.parametrize("name", ["F", "Cost Center"])
def test_a_field_is_one_field_under_both_of_its_names(tmp_path: Path, rule: str, name: str) -> None:
    compiled = rules(tmp_path, f'"{rule}" = {{ from = "order.none", required = true }}', 'G = { value = "g" }')
    resolved = resolve_values(compiled, {"order": {"po": "PO1"}}, CONFIGS, {name: "by hand"})

    assert (resolved.missing, resolved.failure, resolved.dropped) == (None, None, {})
    assert resolved.values.extra_fields == {"F": "by hand", "G": "g"}
    assert resolved.values.po_number == "PO1"


def test_the_value_goes_before_both_rules_of_one_field(tmp_path: Path) -> None:
    compiled = rules(tmp_path, 'F = { value = "one" }', '"Cost Center" = { value = "two" }')
    resolved = resolve_values(compiled, {"order": {}}, CONFIGS, {"F": "by hand"})

    assert resolved.values.extra_fields == {"F": "by hand"}


def test_a_field_that_no_rule_writes_is_added(tmp_path: Path) -> None:
    compiled = rules(tmp_path, 'F = { value = "one" }')
    resolved = resolve_values(compiled, {"order": {}}, CONFIGS, {"Other": "by hand", "po_number": "A"})

    assert (resolved.values.po_number, resolved.values.extra_fields) == ("A", {"F": "one", "G": "by hand"})


def test_another_required_rule_still_has_to_have_its_value(tmp_path: Path) -> None:
    compiled = rules(tmp_path, 'F = { from = "order.none", required = true }')
    assert resolve_values(compiled, {"order": {}}, CONFIGS, {"G": "by hand"}).missing == "F"


def test_a_value_that_the_field_does_not_take_is_left_out_or_fails_a_required_rule(tmp_path: Path) -> None:
    number = [ExtraFieldConfig.model_validate({"fieldName": "F", "fieldType": 2, "labelName": "Cost Center"})]
    optional = rules(tmp_path, 'F = { value = "1" }')
    assert resolve_values(optional, {"order": {}}, number, {"Cost Center": "x"}).dropped.keys() == {"F"}
    required = rules(tmp_path, 'F = { value = "1", required = true }')
    failure = resolve_values(required, {"order": {}}, number, {"Cost Center": "x"}).failure
    assert failure is not None
    assert failure.startswith("F: the text is not a number")
