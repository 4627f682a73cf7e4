"""Splits TOML text into its statements: table headers, keys with their values, blank lines and comments.

tomllib decides where a value ends: a statement is complete as soon as its lines are TOML by themselves.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

TablePath = tuple[str, ...]
"""The names of a table, such as ``("stores", "abc123", "po_number")``."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Kind(Enum):
    """What a statement is."""

    HEADER = auto()
    KEY = auto()
    TRIVIA = auto()
    """A blank line or a comment."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with its line break. All texts of a file, one after the other, are the file.

    ``table`` is the table that it stands in, for a header the table that it begins. ``path`` is that of the header, or
    of the key: as far as it names one value only, so that of ``a = { b = 1 }`` is ``("a", "b")``.
    """

    text: str
    kind: Kind
    table: TablePath
    path: TablePath


def split(text: str) -> Iterator[Statement]:
    """The statements of valid TOML. Raises tomllib.TOMLDecodeError where the text ends inside of one."""
    table: TablePath = ()
    begun = ""
    for line in _LINE.findall(text):
        if not begun and line.strip(" \t\r\n")[:1] in ("", "#"):
            yield Statement(line, Kind.TRIVIA, table, ())
            continue
        begun += line
        try:
            written = tomllib.loads(begun)
        except tomllib.TOMLDecodeError:
            continue
        if begun.lstrip(" \t").startswith("["):
            table = _path(written)
            yield Statement(begun, Kind.HEADER, table, table)
        else:
            yield Statement(begun, Kind.KEY, table, table + _path(written))
        begun = ""
    if begun:
        tomllib.loads(begun)


def _path(written: Any) -> TablePath:
    names: list[str] = []
    while isinstance(written, dict) and len(written) == 1:
        ((name, written),) = written.items()
        names.append(name)
    return tuple(names)
