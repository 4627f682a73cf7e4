"""The runbook as tests read it: its text, and the rows of its log table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service import logs

PAGE = Path(__file__).parents[2] / "deploy" / "docs" / "operations.md"
RUNBOOK = PAGE.read_text()

# On any line, first: bound to all that is logged of a store or an order. The table does not repeat them.
SHARED = frozenset(logs._FIRST)


@dataclass(frozen=True)
class Row:
    """A row of the table. ``keys`` are on every line, those of ``sometimes`` are not: they stand in brackets."""

    event: str
    levels: frozenset[str]
    keys: frozenset[str]
    sometimes: frozenset[str]
    cure: str


def read_table() -> Iterator[Row]:
    """The rows of every table of events on the page."""
    bodies = re.findall(r"^\| event \| level \| keys \|[^\n]*\n\|[ -|]+\n((?:\|[^\n]*\n)+)", RUNBOOK, re.MULTILINE)
    for line in "".join(bodies).splitlines():
        event, level, keys, _, cure = (cell.strip() for cell in line.strip("|").split(" |"))
        sometimes = names(" ".join(re.findall(r"\(([^)]*)\)", keys)))
        (name,) = names(event)
        yield Row(name, frozenset(level.split(", ")), names(keys) - sometimes, sometimes, cure)


def names(text: str) -> frozenset[str]:
    """What stands between backticks."""
    return frozenset(re.findall(r"`([^`]+)`", text))


def section(title: str, level: int) -> str:
    """What stands under a heading."""
    (text,) = re.findall(rf"^{'#' * level} {title}\n((?:(?!#{{1,{level}}} ).*\n)*)", RUNBOOK, re.MULTILINE)
    return str(text)


TABLE = {row.event: row for row in read_table()}
