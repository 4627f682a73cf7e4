"""The log table of the runbook against the code: every event, its levels, its keys."""

import ast
import functools
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service import logs
from service.logs import Event
from service.orders.state.order_entry import Entry, Status
from tests.docs.log_table import SHARED, TABLE, read_table
from tests.fakes.pages import OPERATIONS, ROOT, names
from workers.orders.order_log import log_finished, log_retry_later
from workers.orders.result_types import RetryLater

LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}


@dataclass(frozen=True)
class Call:
    """A call that logs an event. ``shapes`` are the sets of keys that it may have, mostly one."""

    event: str
    levels: frozenset[str]
    shapes: list[frozenset[str]]


class Reader(ast.NodeVisitor):
    """Finds everything that a module logs. It knows the forms that this code uses, and fails on any other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._assigned: list[dict[str, list[ast.expr]]] = [{}]
        self.calls: list[Call] = []
        self.uses: list[str] = []
        self.bound: set[str] = set()
        self.nameless: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        assigned = defaultdict(list)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Name):
                assigned[inner.targets[0].id].append(inner.value)
        self._assigned.append(assigned)
        self.generic_visit(node)
        self._assigned.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if event := _event(node):
            self.uses.append(event)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = ast.unparse(node.func)
        if event := _event(node.args[0]) if node.args else None:
            levels = self._levels(node.func)
            extra = {"exception"} if called.endswith(".exception") else set()
            self.calls.append(Call(event, frozenset(levels), [keys | extra for keys in self._shapes(node)]))
        elif re.fullmatch(rf"(\w*log|told)\.({'|'.join(LEVELS)}|log|fatal|critical)", called):
            self.nameless.append(f"{self._path.name}:{node.lineno}")
        if re.search(r"(\.|^)(bind|bind_contextvars|bound_contextvars)$", called):
            self.bound |= {keyword.arg or "**" for keyword in node.keywords}
        if called.endswith("logs.configure"):
            self.bound |= {keyword.arg or "**" for keyword in node.keywords} - {"stream"}
        self.generic_visit(node)

    def _levels(self, function: ast.expr) -> set[str]:
        """``log.info``, ``log.info if … else log.debug``, or a name that was assigned one of them."""
        match function:
            case ast.Attribute(attr=level):
                return {LEVELS[level]}
            case ast.IfExp(body=one, orelse=other):
                return self._levels(one) | self._levels(other)
            case ast.Name(id=name):
                return self._levels(self._value(name))
        raise AssertionError(f"{self._path}: of what level is {ast.unparse(function)}?")

    def _shapes(self, call: ast.Call) -> list[frozenset[str]]:
        shapes: list[frozenset[str]] = [frozenset()]
        for keyword in call.keywords:
            # What goes in as exc_info comes out as the text of the exception.
            name = "exception" if keyword.arg == "exc_info" else keyword.arg
            more = [frozenset({name})] if name else self._keys(keyword.value)
            shapes = [keys | other for keys in shapes for other in more]
        return shapes

    def _keys(self, mapping: ast.expr) -> list[frozenset[str]]:
        """What ``**mapping`` adds: a dict display, one of two, or a name that was assigned one."""
        match mapping:
            case ast.Dict(keys=keys) if all(isinstance(key, ast.Constant) for key in keys):
                return [frozenset(str(key.value) for key in keys if isinstance(key, ast.Constant))]
            case ast.IfExp(body=one, orelse=other):
                return self._keys(one) + self._keys(other)
            case ast.Name(id=name):
                return self._keys(self._value(name))
        raise AssertionError(f"{self._path}: which keys has {ast.unparse(mapping)}?")

    def _value(self, name: str) -> ast.expr:
        (value,) = self._assigned[-1][name]
        return value


def _event(node: ast.expr) -> str | None:
    found = re.fullmatch(r"(?:logs\.)?Event\.([A-Z_]+)", ast.unparse(node))
    return found[1].lower() if found else None


@functools.cache
def read_code() -> list[Reader]:
    """What each module logs. It takes a second or two, which only the tests that ask spend."""
    readers = []
    for folder in ("service", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name != "logs.py":  # which names the events, and logs nothing
                readers.append(Reader(path))
                readers[-1].visit(ast.parse(path.read_text()))
    return readers


def logged() -> dict[str, list[Call]]:
    calls = defaultdict(list)
    for reader in read_code():
        for call in reader.calls:
            calls[call.event].append(call)
    return calls


def test_every_event_has_one_row_and_every_row_is_of_an_event() -> None:
    assert sorted(row.event for row in read_table()) == sorted(map(str, Event))


def test_every_event_is_logged() -> None:
    assert sorted(logged()) == sorted(map(str, Event))


def test_every_use_of_an_event_is_a_call_that_logs_it() -> None:
    for reader in read_code():
        assert sorted(call.event for call in reader.calls) == sorted(reader.uses)


def test_nothing_is_logged_without_an_event() -> None:
    assert [place for reader in read_code() for place in reader.nameless] == []


def test_levels_are_those_in_the_code() -> None:
    listed = {event: sorted(row.levels) for event, row in TABLE.items()}
    assert listed == {event: sorted(set().union(*(call.levels for call in calls))) for event, calls in logged().items()}


def test_keys_are_those_in_the_code() -> None:
    listed = {event: (sorted(row.keys), sorted(row.sometimes)) for event, row in TABLE.items()}
    assert listed == {event: keys_of(calls) for event, calls in logged().items()}


def keys_of(calls: list[Call]) -> tuple[list[str], list[str]]:
    shapes = [keys - SHARED for call in calls for keys in call.shapes]
    always = frozenset.intersection(*shapes)
    return sorted(always), sorted(frozenset.union(*shapes) - always)


def test_names_are_written_in_one_style() -> None:
    written = {name for row in TABLE.values() for name in (row.event, *row.keys, *row.sometimes)}
    assert [name for name in written if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name)] == []


def test_keys_that_are_bound_are_listed_as_on_every_line() -> None:
    (sentence,) = re.findall(r"^Every line begins with .*?\n\n", OPERATIONS.text, re.MULTILINE | re.DOTALL)
    assert set(names(sentence)) == SHARED
    assert set().union(*(reader.bound for reader in read_code())) <= SHARED


@pytest.mark.parametrize("status", [Status.CREATED, Status.SKIPPED, Status.FAILED])
def test_line_of_a_finished_order_has_the_keys_of_its_row(status: Status) -> None:
    with capture_logs() as lines:
        log_finished(Entry("abc123", 250, status=status))
    (line,) = lines
    assert_as_listed(line)


def test_line_of_an_order_that_is_retried_has_the_keys_of_its_row() -> None:
    with capture_logs() as lines:
        log_retry_later(Entry("abc123", 250), RetryLater("Get an Order: 503: down"), 2.0)
    assert_as_listed(lines[0])


def assert_as_listed(line: Mapping[str, object]) -> None:
    """What reading the code cannot show: that a real line is like its row."""
    row = TABLE[str(line["event"])]
    assert line["log_level"] in row.levels
    assert line.keys() - SHARED - {"log_level"} == row.keys


def test_canonical_line_on_the_page_is_like_a_real_one() -> None:
    shown = json.loads(OPERATIONS.block("json"))
    with capture_logs() as lines:
        log_finished(Entry("abc123", 1002, status=Status.CREATED))
    assert list(shown)[:6] == list(logs._FIRST)
    assert set(shown) - SHARED == set(lines[0]) - {"event", "log_level"}
    assert shown["event"] == lines[0]["event"]
