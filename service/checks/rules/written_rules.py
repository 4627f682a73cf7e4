"""Finds mistakes in rules as they are written, without any order: they are valid, but can never mean this."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from service.checks.findings import Finding, Level
from service.checks.rules.subject import rule_subject
from service.configuration import ConfiguredStore
from service.rules.expression import Expression
from service.rules.rule_evaluation import CompiledRule

if TYPE_CHECKING:
    from jmespath.visitor import _TreeNode as Node  # in the type stubs only

_CONTROL = {"\b": r"\b", "\f": r"\f"}
"""What TOML makes of an escape in double quotes: a control character, which no regular expression is meant to have."""


def check_written_rules(configured: ConfiguredStore) -> list[Finding]:
    """One finding for each mistake."""
    store = configured.store.hash
    return [
        Finding(level, store, rule_subject(rule), message, cure)
        for rule in configured.rules.rules
        for level, message, cure in _mistakes(rule)
    ]


Mistake = tuple[Level, str, str]


def _mistakes(rule: CompiledRule) -> Iterator[Mistake]:
    pattern = rule.rule.match
    if pattern is not None:
        yield from _of_pattern(pattern)
    for expression in rule.search.expressions:
        for name in _compared_fields(expression):
            message = f'compares with the field "{name}": in JMESPath, double quotes are for names of fields.'
            yield Level.WARNING, message, f"If it is a text, write it in single quotes: '{name}'."


def _of_pattern(pattern: str) -> Iterator[Mistake]:
    for character, escape in _CONTROL.items():
        if character in pattern:
            message = f"match can never find anything: in double quotes, TOML makes one control character of {escape}."
            yield Level.ERROR, message, "Put the pattern in single quotes."
    if flags := re.fullmatch(r"/(.+)/([a-z]*)", pattern):
        inner, letters = flags.groups()
        right = f"(?{letters}){inner}" if letters and set(letters) <= set("ims") else inner
        message = "match begins and ends with a slash: the slashes are searched for, too."
        yield Level.WARNING, message, f"Write it without them: '{right}'."


def _compared_fields(expression: Expression) -> Iterator[str]:
    """Fields to the right of ``==`` whose names are written in double quotes in the expression."""
    for node in _nodes(expression.tree):
        if node["type"] == "comparator" and (right := node["children"][1])["type"] == "field":
            name = right["value"]
            if f'"{name}"' in expression.source:
                yield name


def _nodes(node: "Node") -> Iterator["Node"]:
    yield node
    for child in node["children"]:
        if isinstance(child, Mapping):
            yield from _nodes(child)
