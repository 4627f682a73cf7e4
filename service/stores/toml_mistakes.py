"""Explains a file that is not TOML: shows the line with the place marked, and how it is written right.

People write TOML as they know other formats. No secret is shown: of a line that may hold one, only its signs are.
"""

import re
from dataclasses import dataclass
from typing import Literal

MARK = "▶"
"""Stands before the place of the mistake in a line that is shown."""

_SHOWN_CHARACTERS = 100

_USUAL = "Put text in quotes and a table's name in [brackets]. Write each table and each key only once."
_DOUBLE, _SINGLE = "\u201c\u201d\u201e\u201f«»", "\u2018\u2019\u201a"
"""Quotes as word processors and chat programs set them."""

_CURLY = str.maketrans(dict.fromkeys(_DOUBLE, '"') | dict.fromkeys(_SINGLE, "'"))
_BOOLEANS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}

_SECRET_KEY = re.compile(r"token|secret|password|webhook_headers|notify|slack|teams|_key", re.IGNORECASE)
_REFERENCE = rf"(?:env:|file:)[^\s\"'{_DOUBLE}{_SINGLE},\]}}]+|\$\{{?[A-Z_][A-Z0-9_]*\}}?(?!\w)"
_HIDDEN = re.compile(rf"({_REFERENCE})|[^\s\"'{_DOUBLE}{_SINGLE}\[\]{{}},#={MARK}]+")
_KEY = r"(?:\"[^\"]*\"|'[^']*'|[\w. -]+)+"
_ASSIGNMENT = re.compile(r"\s*(?P<key>[^=]+?)\s*=\s*(?P<value>.*?)\s*$")


SecretPart = Literal["value", "whole", None]
"""Which part of a line may be a secret."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The line of the mistake, marked and without secrets, and the cure."""

    line: str
    cure: str


def explain(text: str, line_number: int | None, column: int | None, message: str) -> Explanation:
    """Explain the parser's ``message`` about this place of the text (both from 1; None: the end of the document)."""
    lines = text.split("\n")
    if line_number is None:
        line_number = max((number for number, each in enumerate(lines, 1) if each.strip()), default=1)
        column = len(lines[line_number - 1]) + 1
    line = lines[line_number - 1].rstrip("\r")
    at = max(0, (column or 1) - 1)
    hidden = _secret_part(lines, line_number)
    cure, fixed = _cure(lines, line_number, message)
    if fixed is not None:
        cure = f"{cure} `{_hide(fixed, hidden)}`."
    return Explanation(_cut(_hide(f"{line[:at]}{MARK}{line[at:]}", hidden)), cure)


def show_line(text: str, offset: int) -> tuple[str, int]:
    """The line around this character, marked and without secrets, and its number from 1."""
    number = text.count("\n", 0, offset) + 1
    start = text.rfind("\n", 0, offset) + 1
    lines = text.split("\n")
    line = lines[number - 1].rstrip("\r")
    marked = f"{line[: offset - start]}{MARK}{line[offset - start :]}"
    return _cut(_hide(marked, _secret_part(lines, number))), number


def _cut(shown: str) -> str:
    """The part around the mark, on one line, without leading spaces."""
    shown = "".join(each if each.isprintable() else " " for each in shown).strip()
    start = max(0, min(shown.find(MARK) - _SHOWN_CHARACTERS // 2, len(shown) - _SHOWN_CHARACTERS))
    part = shown[start : start + _SHOWN_CHARACTERS]
    return f"{'…' * (start > 0)}{part}{'…' * (start + len(part) < len(shown))}"


def _secret_part(lines: list[str], number: int) -> SecretPart:
    """Which part of the line may be a secret, by its key, its table, and whether it continues a list or a text."""
    line = lines[number - 1]
    before = next((each.strip() for each in reversed(lines[: number - 1]) if each.strip()), "")
    if before.endswith(("[", ",", '"""', "'''")) or not re.match(rf"\s*(\[|#|$|{_KEY}\s*[=:])", line):
        return "whole"
    headers = (each.strip() for each in reversed(lines[:number]) if re.match(r"\s*\[[\w\"'. -]+\]\s*(#.*)?$", each))
    return "value" if _SECRET_KEY.search(line) or _SECRET_KEY.search(next(headers, "")) else None


def _hide(line: str, part: SecretPart) -> str:
    """The line with ``…`` for every word of that part which does not only refer to a secret."""
    if part is None:
        return line
    key = re.match(rf"[^=:]*[=:]{MARK}?", line) if part == "value" else None
    start = key.end() if key else 0
    return line[:start] + _HIDDEN.sub(lambda word: word[1] or "…", line[start:])


def _cure(lines: list[str], number: int, message: str) -> tuple[str, str | None]:
    """What is wrong with the line, ending in "Write:" where the right line follows."""
    line = lines[number - 1].split("\r")[0].strip()
    if any(ord(each) in _CURLY for each in line):
        return "Curly quotes are no quotes in TOML. Write:", line.translate(_CURLY)
    if "twice" in message or "overwrite" in message or "mutate" in message or "namespace" in message:
        return _repeated(lines, number)
    if header := re.fullmatch(r"\[([^\[\]]*\s[^\[\]\"']*)\](\s*#.*)?", line):
        *tables, name = header[1].split(".")
        return "A name with a space needs quotes. Write:", f"[{'.'.join([*tables, _quoted(name)])}]"
    if assigned := _ASSIGNMENT.fullmatch(line):
        return _of_assignment(assigned["key"], assigned["value"], message)
    if pair := re.fullmatch(r"([\w\"' -]+?)\s*:\s*(.+)", line):
        key, value = pair.groups()
        return "TOML has = between key and value. Write:", f"{key.strip()} = {_as_value(value.rstrip(','))}"
    return _USUAL, None


def _repeated(lines: list[str], number: int) -> tuple[str, str | None]:
    line = lines[number - 1].strip()
    key = line if line.startswith("[") else f"{line.partition('=')[0].strip()} ="
    start = re.compile(re.escape(key).replace(r"\ =", r"\s*="))
    earlier = next((at for at, each in enumerate(lines[: number - 1], 1) if start.match(each.strip())), None)
    where = f" It is in line {earlier} already." if earlier else ""
    return f"Write each table and each key only once, and all keys of a table below its [name].{where}", None


def _of_assignment(key: str, value: str, message: str) -> tuple[str, str | None]:
    if re.search(r"\s", key) and not key.startswith(('"', "'", "[")):
        return "A key with a space needs quotes. Write:", f"{_quoted(key)} = {_as_value(value)}"
    if "Unescaped" in message or "escape" in message.lower():
        return "In double quotes, a backslash begins an escape; in single quotes it stays. Write:", (
            f"{key} = {_single(value)}"
        )
    if value.startswith("{") and "}" not in value:
        return "Everything between { and } must stand on one line.", None
    inner = value[1:-1]
    if len(value) > 2 and value[0] == value[-1] == '"' and '"' in inner.replace('\\"', ""):
        return "Text with double quotes in it is put in single quotes. Write:", f"{key} = {_single(value)}"
    if len(value) > 2 and value[0] == value[-1] == "'" and "'" in inner:
        return "Text with single quotes in it is put in three of them. Write:", f"{key} = '''{inner}'''"
    if value[:1] in ('"', "'") and value.count(value[0]) == 1:
        return "The quote is not closed. Write:", f"{key} = {value}{value[0]}"
    if value and value[0] not in "\"'[{0123456789+-":
        return "Text is put in quotes. Write:", f"{key} = {_as_value(value)}"
    return _USUAL, None


def _as_value(written: str) -> str:
    """The value as TOML has it: text in quotes, ``true`` and ``false`` in small letters."""
    value = written.strip()
    if value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    if variable := re.fullmatch(r"\$\{?([A-Z_][A-Z0-9_]*)\}?", value):
        return f'"env:{variable[1]}"'
    if re.fullmatch(r"[\"'\[{].*|[+-]?[\d.]+", value):
        return value
    return _single(value) if '"' in value or "\\" in value else f'"{value}"'


def _single(value: str) -> str:
    inner = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
    return f"'''{inner}'''" if "'" in inner else f"'{inner}'"


def _quoted(name: str) -> str:
    return f'"{name.strip()}"'
