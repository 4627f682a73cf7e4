"""Converts the result of an expression to plain text.

All text is trimmed. Line breaks of any kind become ``\\n``. Other control characters, which nobody types on purpose,
are removed. A lone surrogate, which cannot be sent, becomes U+FFFD. Everything else stays as it is.
"""

import re
from decimal import Decimal
from typing import Any

from service.stores import plain_number

_LINE_BREAK = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class NotPlainError(ValueError):
    """The value cannot become text: it is an object, or a list of anything but plain values."""


def to_text(value: Any) -> str | None:
    """Convert a JSON value to text; None for no value. Raises NotPlainError.

    A number becomes plain decimal text. true and false become ``true`` and ``false``. A list of plain values is joined
    with ``, ``. Null, empty text, an empty list and a number that is not finite are no value.
    """
    if not isinstance(value, list):
        return _plain(value, "{}")
    texts = [_plain(item, "a list that holds {}") for item in value]
    return ", ".join(text for text in texts if text is not None) or None


def _plain(value: Any, found: str) -> str | None:
    match value:
        case None:
            return None
        case str():
            return clean(value) or None
        case bool():
            return str(value).lower()
        case int() | float() | Decimal():
            return plain_number(value)
        case dict():
            raise NotPlainError(f"gives {found.format('an object')} where text was expected")
        case list():
            raise NotPlainError(f"gives {found.format('a list')} where text was expected")
        case _:
            raise NotPlainError(f"gives {found.format('something that is not JSON')} where text was expected")


def clean(text: str) -> str:
    """Trim the text, and remove the characters that a field cannot hold."""
    text = _LINE_BREAK.sub("\n", text)
    text = _CONTROL.sub("", text)
    return _LONE_SURROGATE.sub("\ufffd", text).strip()


def one_line(text: str) -> str:
    """Replace line breaks and tabs in clean text by single spaces. In linear time, because shoppers write the text."""
    return " ".join(part.strip() for part in re.split(r"[\n\t]", text) if part.strip())
