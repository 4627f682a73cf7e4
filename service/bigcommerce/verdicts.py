"""From an answer, or the lack of one, to an error whose type is the verdict."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from service.errors import CredentialsRefused, NotFound, Refused, TryAgain, Unsure, UpstreamError, WaitUntil

MESSAGE_LENGTH = 500

_NOTHING_WAS_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


def passing(operation: str, message: str, *, is_write: bool, status: int | None = None) -> TryAgain:
    """A failure that may be over the next time: TryAgain for a read, Unsure for a write."""
    return (Unsure if is_write else TryAgain)(operation, message, status=status)


def of_answer(operation: str, status: int, message: str, *, is_write: bool, resets_in_s: float | None) -> UpstreamError:
    """The verdict on an answer that is not 2xx."""
    if status in (401, 403):
        return CredentialsRefused(operation, message, status=status)
    if status == 404:
        return NotFound(operation, message, status=status)
    if status == 429:
        # Nothing was done. Without quota headers it is the platform's load, not the store's quota.
        if resets_in_s is None:
            return TryAgain(operation, message, status=status)
        return WaitUntil(operation, message, status=status, seconds=resets_in_s)
    if status in (408, 425) or status >= 500:
        return passing(operation, message, is_write=is_write, status=status)
    return Refused(operation, message, status=status)


def of_failure(operation: str, error: httpx.RequestError | TimeoutError, *, is_write: bool) -> TryAgain:
    """The verdict on a call that got no whole answer."""
    message = clean(f"{type(error).__name__}: {error}".removesuffix(": "))
    nothing_was_sent = isinstance(error, _NOTHING_WAS_SENT)
    return passing(operation, message, is_write=is_write and not nothing_was_sent)


def message_of(status: int, body: Any, *, hide: str) -> str:
    """BigCommerce's own words from an answer's body, else the status in words; never with ``hide`` in it."""
    texts = dict.fromkeys(clean(text.replace(hide, "***")) for text in _texts(body))
    return clean("; ".join(text for text in texts if text)) or _in_words(status)


def clean(text: str) -> str:
    """One line of at most 500 characters that can be printed."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:MESSAGE_LENGTH]


def _texts(body: Any) -> Iterator[str]:
    """All messages of an answer: the B2B Edition API's, V2's ``[{message}]``, V3's ``{title, detail, errors}``."""
    match body:
        case list():
            for row in body:
                yield from _texts(row)
        case Mapping():
            for part in (body.get("meta"), body.get("data")):
                if isinstance(part, Mapping):
                    yield from (text for key in ("message", "errMsg") if isinstance(text := part.get(key), str))
            yield from (text for key in ("message", "title", "detail") if isinstance(text := body.get(key), str))
            errors = body.get("errors")
            if isinstance(errors, Mapping):
                yield from (f"{name}: {text}" for name, text in errors.items() if isinstance(text, str))
            elif isinstance(errors, list):
                yield from _texts(errors)


def _in_words(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no message"
