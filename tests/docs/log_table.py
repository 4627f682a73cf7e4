"""The log table of the runbook, row by row."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from service import logs
from tests.fakes.pages import OPERATIONS, names

# First on every line; bound wherever the line is about a store or an order. The table does not repeat them.
SHARED = frozenset(logs._FIRST)


@dataclass(frozen=True)
class Row:
    """A row of the table. ``keys`` are on every line of the event, ``sometimes`` (in brackets) are not."""

    event: str
    levels: frozenset[str]
    keys: frozenset[str]
    sometimes: frozenset[str]
    cure: str


def read_table() -> Iterator[Row]:
    """The rows of every table of events on the page."""
    for event, level, keys, _, cure in OPERATIONS.rows("event"):
        sometimes = frozenset(names(" ".join(re.findall(r"\(([^)]*)\)", keys))))
        (name,) = names(event)
        yield Row(name, frozenset(level.split(", ")), frozenset(names(keys)) - sometimes, sometimes, cure)


TABLE = {row.event: row for row in read_table()}
