"""Finds the name at which an expression stops in real order documents, and the names that are there instead.

A name that no order has is no error in JMESPath: the expression gives null. So a typo looks like a missing value.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jmespath.visitor import TreeInterpreter

from service.rules.expression import Expression
from service.rules.functions import OPTIONS
from service.stores import nearest

if TYPE_CHECKING:
    from jmespath.visitor import _TreeNode as Node  # in the type stubs only

_NAMING_KEYS = frozenset({"name", "fieldName", "labelName", "label", "key", "namespace", "display_name", "code"})
"""Keys whose values are names that a store gives. The values of others may be a shopper's text, and are not shown."""

_ANY_OF = frozenset({"not_null"})
"""Functions that can do without some of their arguments."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where an expression stops: ``owner``, a part of the documents, has no ``name`` but these ``known`` ones.

    ``kind`` says what was looked for: a field of an object; a field of a list, whose elements may have it; a text that
    is compared with names; or a field in a comparison, where a text was meant.
    """

    owner: str
    name: str
    known: tuple[str, ...]
    kind: str = "field"

    @property
    def near(self) -> str | None:
        """The known name that was probably meant."""
        return nearest_name(self.name, self.known)


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """The known name that differs only in case and signs, else the closest one; None when none is close."""
    by_letters = {_letters(each): each for each in known}
    return by_letters.get(_letters(name)) or nearest(name, known)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def find_stop(expression: Expression, documents: Iterable[Mapping[str, Any]]) -> Stop | None:
    """Where the expression stops in all these documents; None when its names are there in at least one of them."""
    walk = _Walk()
    try:
        walk.visit(expression.tree, list(documents), "")
    except _Stopped as stopped:
        return stopped.stop
    except RecursionError:
        return None
    return None


class _Stopped(Exception):
    def __init__(self, stop: Stop) -> None:
        super().__init__(stop)
        self.stop = stop


Visited = tuple[list[Any], str]
"""The values that a node gives in all documents, without null, and the path to them for people."""


class _Walk:
    """Evaluates an expression on many documents at once, and stops at the first name that none of them has."""

    def __init__(self) -> None:
        self._interpreter = TreeInterpreter(OPTIONS)
        self._visits: dict[str, Callable[[Node, list[Any], str], Visited]] = {
            "field": self._field,
            "subexpression": self._chain,
            "index_expression": self._chain,
            "pipe": self._chain,
            "identity": lambda _, values, path: (values, path),
            "current": lambda _, values, path: (values, path),
            "projection": self._projection,
            "value_projection": self._value_projection,
            "filter_projection": self._filter,
            "flatten": self._flatten,
            "or_expression": self._any_of,
            "function_expression": self._function,
        }

    def visit(self, node: "Node", values: list[Any], path: str) -> Visited:
        """The values of this node. Raises _Stopped."""
        return self._visits.get(node["type"], self._evaluated)(node, values, path)

    def _field(self, node: "Node", values: list[Any], path: str) -> Visited:
        name = node["value"]
        objects = [value for value in values if isinstance(value, dict)]
        found = [value[name] for value in objects if name in value]
        if not found and objects:
            raise _Stopped(Stop(path, name, _keys(objects)))
        elements = [element for value in values if isinstance(value, list) for element in value]
        if not found and elements:
            raise _Stopped(Stop(path, name, _keys(elements), "field of a list"))
        shown = name if re.fullmatch(r"[A-Za-z_]\w*", name) else f'"{name}"'
        return [value for value in found if value is not None], f"{path}.{shown}" if path else shown

    def _chain(self, node: "Node", values: list[Any], path: str) -> Visited:
        for child in node["children"]:
            values, path = self.visit(child, values, path)
        return values, path

    def _projection(self, node: "Node", values: list[Any], path: str) -> Visited:
        left, right = node["children"]
        values, path = self.visit(left, values, path)
        return self.visit(right, _elements(values), f"{path}[]")

    def _value_projection(self, node: "Node", values: list[Any], path: str) -> Visited:
        left, right = node["children"]
        values, path = self.visit(left, values, path)
        of_objects = [each for value in values if isinstance(value, dict) for each in value.values()]
        return self.visit(right, [each for each in of_objects if each is not None], f"{path}.*")

    def _flatten(self, node: "Node", values: list[Any], path: str) -> Visited:
        values, path = self.visit(node["children"][0], values, path)
        lists = [value for value in values if isinstance(value, list)]
        return [
            [each for item in value for each in (item if isinstance(item, list) else [item])] for value in lists
        ], path

    def _filter(self, node: "Node", values: list[Any], path: str) -> Visited:
        left, right, condition = node["children"]
        values, path = self.visit(left, values, path)
        elements, path = _elements(values), f"{path}[]"
        matching = [each for each in elements if self._value(condition, each) not in (None, False, "", [], {})]
        if elements and not matching:
            self._explain(condition, elements, path)
        return self.visit(right, matching, path) if matching else ([], path)

    def _explain(self, condition: "Node", elements: list[Any], path: str) -> None:
        """Raise _Stopped where a comparison names something that no element has."""
        if condition["type"] == "and_expression":
            for child in condition["children"]:
                self._explain(child, elements, path)
        if condition["type"] != "comparator" or condition["value"] != "eq":
            return
        side, other = condition["children"]
        if side["type"] == "literal":
            side, other = other, side
        compared, where = self.visit(side, elements, path)
        if other["type"] == "field" and not any(other["value"] in each for each in elements if isinstance(each, dict)):
            raise _Stopped(Stop(where, other["value"], _texts(side, compared), "text in double quotes"))
        if other["type"] == "literal" and other["value"] not in compared:
            raise _Stopped(Stop(where, str(other["value"]), _texts(side, compared), "text"))

    def _any_of(self, node: "Node", values: list[Any], path: str) -> Visited:
        found, stops, where = [], [], path
        for child in node["children"]:
            try:
                given, where = self.visit(child, values, path)
                found += given
            except _Stopped as stopped:
                stops.append(stopped)
        if stops and not found:
            raise stops[0]
        return found, where

    def _function(self, node: "Node", values: list[Any], path: str) -> Visited:
        if node["value"] in _ANY_OF:
            return self._any_of(node, values, path)
        for child in node["children"]:
            if child["type"] != "expref":
                self.visit(child, values, path)
        return self._evaluated(node, values, f"{node['value']}(…)")

    def _evaluated(self, node: "Node", values: list[Any], path: str) -> Visited:
        given = [self._value(node, value) for value in values]
        return [value for value in given if value is not None], path

    def _value(self, node: "Node", value: Any) -> Any:
        try:
            return self._interpreter.visit(node, value)
        except Exception:  # as Expression.search: JMESPath's own errors and Python's
            return None


def _elements(values: Sequence[Any]) -> list[Any]:
    return [each for value in values if isinstance(value, list) for each in value if each is not None]


def _keys(objects: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted({key for each in objects if isinstance(each, dict) for key in each}))


def _texts(side: "Node", compared: Iterable[Any]) -> tuple[str, ...]:
    """The names that a text was compared with; none where they may be a shopper's text."""
    is_naming = side["type"] == "field" and side["value"] in _NAMING_KEYS
    return tuple(sorted({each for each in compared if isinstance(each, str)})) if is_naming else ()
