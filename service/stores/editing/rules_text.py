"""The rules of one store as text: taken out of a stores file, checked to be nothing else, and put back.

The text has the tables under their full names, as ``[stores.abc123.po_number]``, so that it can also be pasted into
the file by hand.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from service.errors import ConfigError, EnrichError, Problem
from service.stores.editing.statements import Kind, Statement, TablePath, split
from service.stores.loading import parse_toml
from service.stores.messages import dotted

RULE_TABLES = ("po_number", "extra_fields")

# The name of the text in messages about its TOML.
_NAME = Path("the rules")


class LayoutError(EnrichError):
    """The rules cannot be put into the file as it is laid out. The message says what to do."""


@dataclass(slots=True)
class _Run:
    """Statements of rules that stand together, from ``start`` up to ``end``, in the table ``table``."""

    start: int
    end: int
    table: TablePath
    """Their own table where it begins with a header of rules, else the one around them."""

    has_header: bool


def rules_of(text: str, store: str) -> dict[str, Any]:
    """The two tables of rules in TOML text that holds nothing else.

    Raises ConfigError: where it is no TOML, or names each thing that is no rule of this store.
    """
    written = parse_toml(_NAME, text=text)
    problems = [_refused(place) for place in _other_places(written, store)]
    if problems:
        raise ConfigError(*problems)
    found: dict[str, Any] = written.get("stores", {}).get(store, {})
    return found


def _refused(place: str) -> Problem:
    cure = "Only po_number and extra_fields of this store are changed here. Change anything else in the file itself."
    return Problem(place, "is not part of this store's rules.", cure)


def _other_places(written: Mapping[str, Any], store: str) -> Iterator[str]:
    for name, value in written.items():
        if name != "stores":
            yield f"[{dotted(name)}]"
        elif not isinstance(value, dict):
            yield "stores"
        else:
            yield from (f"[{dotted('stores', other)}]" for other in value if other != store)
            yield from _other_keys(value.get(store, {}), store)


def _other_keys(table: Any, store: str) -> Iterator[str]:
    if not isinstance(table, dict):
        yield f"[{dotted('stores', store)}]"
        return
    yield from (f"[{dotted('stores', store)}] {dotted(key)}" for key in table if key not in RULE_TABLES)


@lru_cache(maxsize=8)  # the console reads the same file for each page of the editor
def rules_text(file_text: str, store: str) -> str:
    """The text of the store's rules, with the comments among them, from a valid stores file. Lines end with ``\\n``.

    Raises LayoutError where the whole store is written as one value.
    """
    statements = _statements(file_text, store)
    parts: list[str] = []
    table: TablePath = ()
    for run in _runs(statements, store):
        if not run.has_header and run.table != table:
            parts.append(f"[{dotted(*run.table)}]\n")
        table = () if run.has_header else run.table
        parts.append(_ended("".join(each.text for each in statements[run.start : run.end])))
    return "".join(parts).replace("\r\n", "\n")


def with_rules(file_text: str, store: str, rules: str) -> str:
    """The file with these rules in the place of the store's, and every other byte as it is.

    Raises ConfigError for rules that are no TOML or hold anything else, LayoutError.
    """
    new_rules = rules_of(rules, store)
    statements = _statements(file_text, store)
    newline = "\r\n" if _first_break_is_crlf(file_text) else "\n"
    edited = _Edited.of(rules.replace("\r\n", "\n"))
    runs = _runs(statements, store)
    inserts: dict[int, str] = {}
    if edited.tables:
        index = next((run.start for run in runs if run.has_header), None)
        spacing = "" if index is not None else "\n"
        index = _end_of_store(statements, store) if index is None else index
        inserts[index] = inserts.get(index, "") + spacing + edited.tables
    for table, keys in edited.keys.items():
        same = (run.start for run in runs if not run.has_header and run.table == table)
        index = next(same, None)
        index = _end_of_table(statements, table) if index is None else index
        # Keys come before a header that is put at the same place.
        inserts[index] = keys + inserts.get(index, "")
    removed = {index for run in runs for index in range(run.start, run.end)}
    new = _assemble(statements, removed, {at: text.replace("\n", newline) for at, text in inserts.items()}, newline)
    _verify(file_text, new, store, new_rules)
    return new


def _first_break_is_crlf(text: str) -> bool:
    first = text.find("\n")
    return first > 0 and text[first - 1] == "\r"


def _statements(file_text: str, store: str) -> list[Statement]:
    statements = list(split(file_text))
    wanted = ("stores", store)
    if any(each.kind is Kind.KEY and each.path == wanted[: len(each.path)] for each in statements):
        raise LayoutError(
            f"The store {store} is written as one value, {{ … }}, of which the console cannot change a part. "
            f"Write it as a table: [{dotted(*wanted)}]."
        )
    return statements


def _is_rule(statement: Statement, store: str) -> bool:
    path = statement.path
    return path[:2] == ("stores", store) and len(path) > 2 and path[2] in RULE_TABLES


def _runs(statements: Sequence[Statement], store: str) -> list[_Run]:
    """Comments and blank lines between two rules are part of the run, those around it are not."""
    runs: list[_Run] = []
    joins = False
    for index, statement in enumerate(statements):
        if statement.kind is Kind.TRIVIA:
            continue
        if not _is_rule(statement, store):
            joins = False
            continue
        is_header = statement.kind is Kind.HEADER
        # A header after keys of the store's own table is a run by itself: it goes elsewhere.
        if joins and (runs[-1].has_header or not is_header):
            runs[-1].end = index + 1
        else:
            runs.append(_Run(index, index + 1, statement.table, is_header))
        joins = True
    return runs


@dataclass(slots=True)
class _Edited:
    """The edited rules: the text of tables with a header of their own, and keys by the table that they stand in."""

    tables: str = ""
    keys: dict[TablePath, str] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: str) -> "_Edited":
        edited = cls()
        pending = ""
        is_in_rules, table = False, TablePath()
        for statement in split(_ended(rules)):
            if statement.kind is Kind.TRIVIA and not (edited.tables or edited.keys):
                pending += statement.text  # belongs to what comes first
                continue
            if statement.kind is Kind.HEADER:
                is_in_rules, table = len(statement.table) > 2, statement.table
                if not is_in_rules:
                    continue
            text, pending = pending + statement.text, ""
            if is_in_rules:
                edited.tables += text
            else:
                edited.keys[table] = edited.keys.get(table, "") + text
        return edited


def _end_of_store(statements: Sequence[Statement], store: str) -> int:
    """The place after the last statement of the store's tables."""
    ends = [
        index + 1
        for index, each in enumerate(statements)
        if each.kind is not Kind.TRIVIA and each.table[:2] == ("stores", store)
    ]
    if not ends:
        raise LayoutError(f"The file has no table [{dotted('stores', store)}] that the rules could follow. Add one.")
    return ends[-1]


def _end_of_table(statements: Sequence[Statement], table: TablePath) -> int:
    """The place after the last key of a table."""
    ends = [index + 1 for index, each in enumerate(statements) if each.kind is not Kind.TRIVIA and each.table == table]
    if not ends:
        raise LayoutError(
            f"The file has no table [{dotted(*table)}] for these keys. Write the rules as tables of their own, such as "
            f"[{dotted('stores', 'abc123', 'po_number')}] with the hash of the store."
        )
    return ends[-1]


def _assemble(statements: Sequence[Statement], removed: set[int], inserts: Mapping[int, str], newline: str) -> str:
    parts: list[str] = []
    for index in range(len(statements) + 1):
        if text := inserts.get(index, ""):
            before = next((part for part in reversed(parts) if part), "\n")
            is_last = all(later in removed for later in range(index, len(statements)))
            had_no_end = statements and not statements[-1].text.endswith("\n")
            parts += [
                "" if before.endswith("\n") else newline,
                text.removesuffix(newline) if is_last and had_no_end else text,
            ]
        if index < len(statements) and index not in removed:
            parts.append(statements[index].text)
    return "".join(parts)


def _verify(before: str, after: str, store: str, rules: Mapping[str, Any]) -> None:
    """Raises LayoutError unless the file means the same as before, except for the rules."""
    expected = tomllib.loads(before)
    table = expected["stores"][store]
    for name in RULE_TABLES:
        table.pop(name, None)
    table.update(rules)
    try:
        found = tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        found = None
    if repr(_sorted(found)) != repr(_sorted(expected)):
        raise LayoutError("The rules cannot be put into the file as it is laid out. Change them in the file itself.")


def _sorted(value: Any) -> Any:
    """The value with sorted tables; texts of it can be compared where NaN makes values differ from themselves."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"
