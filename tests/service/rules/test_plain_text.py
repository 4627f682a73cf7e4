"""Conversion of values to text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules.plain_text import NotPlainError, clean, one_line, to_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  A-17\t\n", "A-17"),
        ("A  17", "A  17"),
        ("line 1\r\nline 2\rline 3\u2028line 4", "line 1\nline 2\nline 3\nline 4"),
        ("a\tb", "a\tb"),
        ("\x00A\x1b[0m\x9f17\x7f", "A[0m17"),
        ("\ud83dA", "\ufffdA"),
        ("\N{GRINNING FACE}é", "\N{GRINNING FACE}é"),
        (7, "7"),
        (1e21, "1000000000000000000000"),
        (-0.0, "0"),
        (2.50, "2.5"),
        (True, "true"),
        (False, "false"),
        (["a", " b ", 3, None, "", True, 1.5], "a, b, 3, true, 1.5"),
        ([False], "false"),
        (0, "0"),
    ],
)
def test_a_plain_value_becomes_text(value: Any, text: str) -> None:
    assert to_text(value) == text


@pytest.mark.parametrize("value", [None, "", " \r\n", "\x00", [], [None, "", " "], float("nan"), float("-inf")])
def test_nothing_is_no_value(value: Any) -> None:
    assert to_text(value) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "gives an object where text was expected"),
        ({"a": "hunter2"}, "gives an object where text was expected"),
        (["x", {"a": "hunter2"}], "gives a list that holds an object where text was expected"),
        ([["hunter2"]], "gives a list that holds a list where text was expected"),
        (object(), "gives something that is not JSON where text was expected"),
    ],
)
def test_a_value_that_is_not_plain_raises_an_error_without_the_value(value: Any, message: str) -> None:
    with pytest.raises(NotPlainError) as caught:
        to_text(value)
    assert str(caught.value) == message


def test_one_line_keeps_spaces_and_joins_lines() -> None:
    assert one_line("PO  1 \n\n\t 2\tx") == "PO  1 2 x"


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned == cleaned.strip()
    cleaned.encode()
    assert one_line(one_line(cleaned)) == one_line(cleaned)
    assert "\n" not in one_line(cleaned)
