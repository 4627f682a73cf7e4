"""From an answer, or the lack of one, to an error whose type is the verdict."""

from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from service.bigcommerce.models import to_int
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


def of_answer(
    operation: str, status: int, message: str, *, is_from_api: bool, is_write: bool, resets_in_s: float | None
) -> UpstreamError:
    """The error for an answer that is not 2xx. ``is_from_api`` is false for the page of a gateway or proxy."""
    if status in (401, 403):
        return CredentialsRefused(operation, message, status=status)
    if status == 404 and is_from_api:
        return NotFound(operation, message, status=status)
    if status == 429:
        # Nothing was done. Without quota headers it is the platform's load, not the store's quota.
        if resets_in_s is None:
            return TryAgain(operation, message, status=status)
        return WaitUntil(operation, message, status=status, seconds=resets_in_s)
    # What is not the API's own answer comes from something in front of it, and says nothing about the order.
    if not is_from_api or status < 400 or status in (404, 408, 425) or status >= 500:
        return passing(operation, message, is_write=is_write, status=status)
    return Refused(operation, message, status=status)


def of_failure(operation: str, error: httpx.RequestError | TimeoutError, *, is_write: bool) -> TryAgain:
    """The verdict on a call that got no whole answer."""
    message = clean(f"{type(error).__name__}: {error}".removesuffix(": "))
    nothing_was_sent = isinstance(error, _NOTHING_WAS_SENT)
    return passing(operation, message, is_write=is_write and not nothing_was_sent)


def of_envelope(
    operation: str, body: Any, *, is_write: bool, resets_in_s: float | None, hide: Collection[str]
) -> UpstreamError | None:
    """The verdict on a 2xx answer of B2B Edition: None, unless its envelope says ``"code": 404`` or the like."""
    code = to_int(body.get("code")) if isinstance(body, Mapping) else None
    if code is None or code < 400:
        return None
    status = int(str(code)[:3])  # 40013 is a kind of 400
    message = message_of(status, body, hide=hide)
    return of_answer(operation, status, message, is_from_api=True, is_write=is_write, resets_in_s=resets_in_s)


def message_of(status: int, body: Any, *, hide: str | Collection[str]) -> str:
    """BigCommerce's own words from an answer's body, else the status in words.

    No text in ``hide`` is in it.
    """
    secrets = [hide] if isinstance(hide, str) else hide
    texts = dict.fromkeys(clean(_without(secrets, text)) for text in _texts(body))
    return clean("; ".join(text for text in texts if text)) or _in_words(status)


def clean(text: str) -> str:
    """One line of at most 500 characters that can be printed, without e-mail addresses."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join("***" if "@" in word[1:-1] else word for word in printable.split())[:MESSAGE_LENGTH]


def _without(secrets: Collection[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


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
