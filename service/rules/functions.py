"""The functions of rules: JMESPath's own, and ``parse_json``."""

import json
from math import isfinite
from typing import Any

from jmespath import Options
from jmespath.functions import Functions, signature

MAX_JSON_LENGTH = 65_536
"""Characters of a text that is parsed. A metafield holds at most 65,535 bytes."""

MAX_JSON_DEPTH = 32
"""Levels of lists and objects. What people and checkouts write has a few; deeper text is not worth the time."""


class RuleFunctions(Functions):
    """JMESPath's functions and those that only rules have."""

    @signature({"types": ["string", "null"]})
    def _func_parse_json(self, text: str | None) -> Any:
        return parse_json(text)


OPTIONS = Options(custom_functions=RuleFunctions())


def parse_json(text: str | None) -> Any:
    """The value that a JSON text holds; None for any other text, and for one that is too long or nested too deeply."""
    if text is None or len(text) > MAX_JSON_LENGTH:
        return None
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None
    return value if _has_levels(value, MAX_JSON_DEPTH) else None


def _finite(text: str) -> float:
    """Raises ValueError for NaN, Infinity and numbers too large for a float: they are not JSON values."""
    number = float(text)
    if not isfinite(number):
        raise ValueError("not a finite number")
    return number


def _has_levels(value: Any, at_most: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return items is None or (at_most > 0 and all(_has_levels(item, at_most - 1) for item in items))
