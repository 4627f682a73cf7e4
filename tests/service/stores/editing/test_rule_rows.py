"""Rules as rows of a form, and back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ConfigError
from service.stores.editing.rule_rows import RuleRow, as_text, rows_of, with_rows

TEXT = """\
# the PO
[stores.abc123.po_number]
from = ["order.staff_notes", "order.customer_message"]  # notes first
match = 'PO-(\\d+)'

[stores.abc123.extra_fields]
# the cost center
"Cost Center" = { from = "order.id", default = "NONE" }  # never empty
Source = { value = "web" }
Ref = "order.id"
"""

# What a field of a form can hold.
line = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(str.strip)
row = st.builds(
    RuleRow,
    line,
    st.just(False),
    st.lists(line, min_size=1, max_size=3).map(tuple),
    st.just(""),
    st.just("") | line,
    st.just("") | line,
    st.booleans(),
    st.sampled_from([None, True, False]),
) | st.builds(RuleRow, line, value=line)


@given(
    st.lists(row, max_size=4, unique_by=lambda each: each.name),
    st.lists(row, max_size=4, unique_by=lambda each: each.name),
)
def test_any_rows_can_be_written_over_any_others(old: list[RuleRow], new: list[RuleRow]) -> None:
    text = as_text(old, "abc123")
    assert rows_of(text, "abc123") == old
    written = with_rows(text, "abc123", new)
    assert {each.name: each for each in rows_of(written, "abc123")} == {each.name: each for each in new}


def test_rows_that_stay_the_same_change_nothing() -> None:
    assert with_rows(TEXT, "abc123", rows_of(TEXT, "abc123")) == TEXT


def test_only_the_changed_key_is_written() -> None:
    rows = rows_of(TEXT, "abc123")
    rows[1] = replace(rows[1], default="0")
    assert with_rows(TEXT, "abc123", rows) == TEXT.replace('"NONE"', '"0"')
    rows = rows_of(TEXT, "abc123")
    rows[0] = replace(rows[0], match="")
    assert with_rows(TEXT, "abc123", rows) == TEXT.replace("match = 'PO-(\\d+)'\n", "")


def test_a_row_is_added_and_one_is_removed() -> None:
    rows = rows_of(TEXT, "abc123")
    edited = with_rows(TEXT, "abc123", [*rows[:3], RuleRow("Dock", sources=("order.id",), required=True)])
    assert 'Ref = "order.id"' not in edited
    assert 'Dock = { from = "order.id", required = true }' in edited
    assert "# never empty" in edited


def test_names_that_are_missing_or_there_twice_are_told() -> None:
    rows = [RuleRow("", value="x"), RuleRow("A", value="1"), RuleRow("A", value="2")]
    with pytest.raises(ConfigError) as refused:
        with_rows(TEXT, "abc123", rows)
    assert [problem.message for problem in refused.value.problems] == ["the field has no name.", "A is there twice."]


def test_a_rule_that_is_none_is_edited_as_toml() -> None:
    with pytest.raises(ConfigError, match="Correct it as TOML first"):
        rows_of("[stores.abc123]\npo_number = 5\n", "abc123")
