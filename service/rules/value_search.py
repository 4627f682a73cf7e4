"""Compiles ``from`` and ``match`` of a rule, and searches an order document with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from service.errors import ConfigError, Problem
from service.rules.expression import Expression, ExpressionError
from service.rules.pattern import Pattern
from service.rules.plain_text import NotPlainError, to_text
from service.stores import Rule


@dataclass(frozen=True, slots=True)
class Found:
    """A found value: the expression that gave it and its place in ``from``, the value as found, and its text."""

    source: str
    place: int
    raw: Any
    text: str


@dataclass(frozen=True, slots=True)
class Search:
    """The expressions of a rule, in order, and the pattern that the text of each is searched with."""

    expressions: tuple[Expression, ...]
    pattern: Pattern | None

    @classmethod
    def compile(cls, rule: Rule, place: str) -> Self:
        """Compile the rule written at ``place``. Raises ConfigError with all its problems."""
        problems: list[Problem] = []
        expressions: list[Expression] = []
        for number, source in enumerate(rule.sources, start=1):
            item = f" (item {number})" if len(rule.sources) > 1 else ""
            try:
                expressions.append(Expression.compile(source, f"{place} from{item}"))
            except ConfigError as error:
                problems += error.problems
        pattern = None
        try:
            pattern = Pattern.compile(rule.match, f"{place} match") if rule.match else None
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(*problems)
        return cls(tuple(expressions), pattern)

    def run(
        self, document: Mapping[str, Any], *, only: Callable[[Expression], bool] = lambda _: True
    ) -> tuple[Found | None, str | None]:
        """The first value that an expression gives; when none does, why expressions failed.

        All of them are tried, or ``only`` some.
        """
        failures: list[str] = []
        for place, expression in enumerate(self.expressions):
            if not only(expression):
                continue
            try:
                raw = expression.search(document)
                text = self._match(to_text(raw))
            except (ExpressionError, NotPlainError) as error:
                failures.append(f"{expression.source}: {error}")
                continue
            if text:
                return Found(expression.source, place, raw, text), None
        return None, "; ".join(failures) or None

    def _match(self, text: str | None) -> str | None:
        if text is None or self.pattern is None:
            return text
        return (self.pattern.find(text) or "").strip()
