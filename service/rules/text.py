"""Plain text out of what an expression found.

All text is trimmed. Line breaks of any kind become ``\\n``; other control characters, which nobody typed on purpose,
go; half a surrogate pair, which cannot be sent, becomes U+FFFD. Everything else inside the text stays as it is.
"""

import re
from decimal import Decimal
from typing import Any

from service.stores import plain_number

_LINE_BREAK = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class NotPlainError(ValueError):
    """Text was expected and something else was found: an object, or a list of more than plain values."""


def to_text(value: Any) -> str | None:
    """The text of a JSON value, None for no value.

    A number becomes plain decimal text, true and false stay so, a list of plain values is joined with ``, ``.
    Null, empty text, an empty list and numbers that are not finite are no value. Raises NotPlainError.
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
            raise NotPlainError(f"gives {found.format('something that is no JSON')} where text was expected")


def clean(text: str) -> str:
    """The text without what cannot stand in a field, trimmed."""
    text = _LINE_BREAK.sub("\n", text)
    text = _CONTROL.sub("", text)
    return _LONE_SURROGATE.sub("\ufffd", text).strip()


def one_line(text: str) -> str:
    """Clean text with its line breaks and tabs as single spaces. Linear in time: shoppers write what comes here."""
    return " ".join(part.strip() for part in re.split(r"[\n\t]", text) if part.strip())
