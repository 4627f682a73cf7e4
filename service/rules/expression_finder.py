"""Finds a text in an order document, and the expressions that give it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from service.errors import ConfigError
from service.rules.expression import Expression, ExpressionError
from service.rules.plain_text import NotPlainError, to_text
from service.stores.rule_templates import identifier, literal

# Of a list of named things, the key that names one, and the key that holds its value.
_PAIRS = (("name", "value"), ("display_name", "display_value"), ("fieldName", "fieldValue"), ("key", "value"))

MAX_FINDINGS = 50
"""What a person looks through."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A value that holds the text: the expression that gives it, and the value as text."""

    expression: str
    text: str


def find_text(document: Mapping[str, Any], text: str) -> list[Finding]:
    """The values of the document that hold this text, in any case; those that are nothing else first.

    Those of the record come last: it may hold the text because a rule of ours put it there.

    Each expression was evaluated, and gave the value. At most ``MAX_FINDINGS``.
    """
    wanted = text.strip().casefold()
    if not wanted:
        return []
    found: dict[str, Finding] = {}
    for candidates, value in _values(document, [""]):
        shown = to_text(value)
        if shown is None or wanted not in shown.casefold():
            continue
        expression = next((each for each in candidates if _gives(each, document, shown)), None)
        if expression is not None:
            found.setdefault(expression, Finding(expression, shown))

    def rank(finding: Finding) -> tuple[bool, bool]:
        return finding.expression.startswith("record."), finding.text.casefold() != wanted

    return sorted(found.values(), key=rank)[:MAX_FINDINGS]


def _gives(expression: str, document: Mapping[str, Any], text: str) -> bool:
    with suppress(ConfigError, ExpressionError, NotPlainError):
        return to_text(Expression.compile(expression, "").search(document)) == text
    return False


def _values(value: Any, paths: list[str]) -> Iterator[tuple[list[str], Any]]:
    """All plain values under ``value``, each with the expressions that may give it, the best one first.

    ``paths`` are expressions for ``value`` itself.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _values(item, [_child(path, _identifier(key)) for path in paths])
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _values_of_item(item, index, paths)
    elif isinstance(value, str | int | float):
        yield paths, value


def _values_of_item(item: Any, index: int, paths: list[str]) -> Iterator[tuple[list[str], Any]]:
    by_index = [f"{path}[{index}]" for path in paths]
    pair = _pair(item)
    if pair is None:
        yield from _values(item, by_index)
        return
    name_key, value_key = pair
    # The index of a form field differs from order to order; its name does not.
    by_name = [f"{path}[?{name_key}=={_literal(item[name_key])}].{value_key} | [0]" for path in paths]
    yield by_name + [_child(path, value_key) for path in by_index], item[value_key]
    rest = {key: each for key, each in item.items() if key != value_key}
    yield from _values(rest, by_index)


def _pair(item: Any) -> tuple[str, str] | None:
    if not isinstance(item, dict):
        return None
    pairs = (pair for pair in _PAIRS if isinstance(item.get(pair[0]), str))
    return next((pair for pair in pairs if isinstance(item.get(pair[1]), str | int | float)), None)


def _child(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _identifier(key: str) -> str:
    written = identifier(key)
    # Half a surrogate pair cannot be sent to the page as it is.
    return json.dumps(key) if not _is_sendable(written) else written


def _literal(text: str) -> str:
    written = literal(text)
    return written if _is_sendable(written) else "`{}`".format(json.dumps(text).replace("`", "\\u0060"))


def _is_sendable(text: str) -> bool:
    return text.isprintable() and not any("\ud800" <= char <= "\udfff" for char in text)
