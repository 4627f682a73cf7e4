"""The two names of an extra field."""

from typing import Any

import pytest

from service.bigcommerce.models import ExtraFieldConfig, Record
from service.orders.values.field_names import FieldNames


def names(**labels: str) -> FieldNames:
    """The names of fields with these labels, by fieldName."""
    return FieldNames.of(
        ExtraFieldConfig.model_validate({"fieldName": name, "labelName": label}) for name, label in labels.items()
    )


def record(*rows: tuple[str, Any]) -> Record:
    return Record.model_validate({"extraFields": [{"fieldName": name, "fieldValue": value} for name, value in rows]})


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        ({"cc": "Cost Center"}, {"cc": "Cost Center"}),
        ({"cc": "cc"}, {}),
        ({"cc": ""}, {}),
        ({"a": "Same", "b": "Same"}, {}),
        ({"a": "b", "b": "B"}, {"b": "B"}),
        ({"a": "b", "b": "a"}, {}),
    ],
)
def test_a_label_is_a_name_only_if_it_can_mean_no_other_field(labels: dict[str, str], known: dict[str, str]) -> None:
    assert names(**labels).labels == known


def test_a_field_is_found_by_both_names() -> None:
    known = names(cc="Cost Center")
    assert (known.field_name("cc"), known.field_name("Cost Center"), known.field_name("x")) == ("cc", "cc", "x")
    assert known.both("Cost Center") == ("cc", "Cost Center")
    assert known.both("x") == ("x",)


def test_a_config_that_is_listed_twice_keeps_its_label() -> None:
    config = ExtraFieldConfig.model_validate({"fieldName": "cc", "labelName": "Cost Center"})
    assert FieldNames.of([config, config]).labels == {"cc": "Cost Center"}


def test_values_are_found_under_both_names_and_repeated_ones_too() -> None:
    known = names(cc="Cost Center")
    shown = record(("Cost Center", "2"), ("cc", ""), ("cc", "1"), ("cc", "3"), ("cc", "1"), ("x", "9"))
    assert known.values_on(shown, "cc") == ["1", "2", "3"]
    assert known.values_on(shown, "Cost Center") == ["1", "2", "3"]
    assert known.values_on(record(("cc", "  ")), "cc") == []


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ([], "cc"),
        ([("cc", "1")], "cc"),
        ([("Cost Center", "")], "Cost Center"),
        ([("cc", ""), ("Cost Center", "1")], "Cost Center"),
        ([("cc", "1"), ("Cost Center", "1")], "cc"),
        ([("Department", "1")], "Cost Center"),
        ([("Department", "1"), ("floor", "1")], "cc"),
        ([("theirs", "1")], "cc"),
    ],
)
def test_a_field_is_written_under_the_name_that_the_record_shows(rows: list[tuple[str, Any]], name: str) -> None:
    known = names(cc="Cost Center", dept="Department", floor="Floor")
    assert known.name_to_write(record(*rows), "cc") == name


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ([], "Cost Center"),
        ([("theirs", "1")], "Cost Center"),
        ([("cc", "")], "cc"),
        ([("dept", "1")], "cc"),
        ([("Department", "1"), ("floor", "1")], "cc"),
    ],
)
def test_where_the_record_does_not_tell_the_stores_facts_do(rows: list[tuple[str, Any]], name: str) -> None:
    known = names(cc="Cost Center", dept="Department", floor="Floor")
    by_label = FieldNames(known.labels, writes_labels=True)
    assert by_label.name_to_write(record(*rows), "cc") == name
    assert by_label.only(["cc"]).writes_labels


def test_a_record_is_created_by_fieldname_or_by_label() -> None:
    known = names(cc="Cost Center")
    assert known.renamed(["cc", "x"]) == {}
    assert FieldNames(known.labels, writes_labels=True).renamed(["cc", "x"]) == {"cc": "Cost Center"}
