"""``parse_json()`` in rules: what counts as JSON, and what it costs at most."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.rules.expression import Expression, ExpressionError
from service.rules.functions import MAX_JSON_DEPTH, MAX_JSON_LENGTH, parse_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)


def evaluated(expression: str, **order: Any) -> Any:
    return Expression.compile(expression, "place").search({"order": order})


@pytest.mark.parametrize(
    ("expression", "text", "value"),
    [
        ("parse_json(order.a).po", '{"po": "A-1", "n": 3}', "A-1"),
        ("parse_json(order.a)[].x", '[{"x": 1}, {"x": 2}, {}]', [1, 2]),
        ("parse_json(order.a)", " 4711 ", 4711),
        ("parse_json(order.a)", '"A-1"', "A-1"),
        ("parse_json(parse_json(order.a).inner).po", '{"inner": "{\\"po\\": \\"A-2\\"}"}', "A-2"),
        ("order.list[].parse_json(@).po", None, ["A-3"]),
        ("parse_json(order.a).po || order.a", "A-4", "A-4"),
        ("parse_json(order.missing)", "", None),
    ],
)
def test_a_json_text_is_its_value(expression: str, text: str | None, value: Any) -> None:
    assert evaluated(expression, a=text, list=['{"po": "A-3"}', "A-3"]) == value


@pytest.mark.parametrize(
    "text",
    ["", "A-1", "{", "{'a': 1}", "[1,]", "NaN", "-Infinity", "[1e999]", "\ud800", '"\n"', "[" * 100_000, "9" * 5000],
    ids=lambda text: text[:10].encode("unicode_escape").decode(),
)
def test_any_other_text_is_no_value(text: str) -> None:
    assert evaluated("parse_json(order.a)", a=text) is None


def test_length_and_depth_are_limited() -> None:
    fits = json.dumps("x" * (MAX_JSON_LENGTH - 2))
    assert parse_json(fits) == "x" * (MAX_JSON_LENGTH - 2)
    assert parse_json(fits + " ") is None
    deep = "[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH
    assert parse_json(deep) is not None
    assert parse_json(f"[{deep}]") is None
    assert parse_json('{"a":' * (MAX_JSON_DEPTH + 1) + "1" + "}" * (MAX_JSON_DEPTH + 1)) is None


def test_a_value_that_is_no_text_is_an_error_without_the_value() -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluated("parse_json(order.a)", a=47114711)
    assert str(caught.value) == "parse_json() takes string or null, but was given number"


@given(JSON)
@settings(deadline=None)
def test_any_json_value_is_found_again(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@given(st.text() | st.text('[]{}",:0123456789.eE+-truefalsn \n\\u'))
@settings(deadline=None)
def test_no_text_raises(text: str) -> None:
    parse_json(text)
