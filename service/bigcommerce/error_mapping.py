"""Maps a failed call, with or without an answer, to the error type that says what to do next."""

from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from service.bigcommerce.models import to_int
from service.errors import CredentialsRefused, NotFound, Refused, TryAgain, Unsure, UpstreamError, WaitUntil

MESSAGE_LENGTH = 500

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


def transient_error(operation: str, message: str, *, is_write: bool, status: int | None = None) -> TryAgain:
    """The error for a failure that a retry may get past: TryAgain for a read, Unsure for a write."""
    return (Unsure if is_write else TryAgain)(operation, message, status=status)


def error_from_answer(
    operation: str, status: int, message: str, *, is_from_api: bool, is_write: bool, resets_in_s: float | None
) -> UpstreamError:
    """The error for an answer that is not 2xx. ``is_from_api`` is false for an answer of a gateway or proxy."""
    if status in (401, 403):
        return CredentialsRefused(operation, message, status=status)
    if status == 404 and is_from_api:
        return NotFound(operation, message, status=status)
    if status == 429:
        # Nothing was done. Without quota headers the platform is overloaded; the store's quota is not the cause.
        if resets_in_s is None:
            return TryAgain(operation, message, status=status)
        return WaitUntil(operation, message, status=status, seconds=resets_in_s)
    # The API sends no redirects and no HTML: something between it and us answered, such as a proxy.
    if not is_from_api or status < 400 or status in (404, 408, 425) or status >= 500:
        return transient_error(operation, message, is_write=is_write, status=status)
    return Refused(operation, message, status=status)


def error_from_exception(operation: str, error: httpx.RequestError | TimeoutError, *, is_write: bool) -> TryAgain:
    """The error for a call that got no complete answer."""
    message = clean(f"{type(error).__name__}: {error}".removesuffix(": "))
    was_sent = not isinstance(error, _NEVER_SENT)
    return transient_error(operation, message, is_write=is_write and was_sent)


def error_from_envelope(
    operation: str, body: Any, *, is_write: bool, resets_in_s: float | None, hide: Collection[str]
) -> UpstreamError | None:
    """The error that a 2xx answer of B2B Edition reports in its envelope (``"code": 404``); None without one."""
    code = to_int(body.get("code")) if isinstance(body, Mapping) else None
    if code is None or code < 400:
        return None
    status = int(str(code)[:3])  # 40013 is a kind of 400
    message = error_message(status, body, hide=hide)
    # A gateway's "not found" may come as a 2xx, too (``complete_answers.is_api_error``).
    is_from_api = status != 404 or "message" not in body
    return error_from_answer(
        operation, status, message, is_from_api=is_from_api, is_write=is_write, resets_in_s=resets_in_s
    )


def error_message(status: int, body: Any, *, hide: str | Collection[str]) -> str:
    """BigCommerce's message in an answer's body, else the status phrase.

    The texts in ``hide`` are replaced by ``***``.
    """
    secrets = [hide] if isinstance(hide, str) else hide
    texts = dict.fromkeys(clean(_redact(secrets, text)) for text in _texts(body))
    return clean("; ".join(text for text in texts if text)) or _status_phrase(status)


def clean(text: str) -> str:
    """One printable line of at most 500 characters, without e-mail addresses."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join("***" if "@" in word[1:-1] else word for word in printable.split())[:MESSAGE_LENGTH]


def _redact(secrets: Collection[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _texts(body: Any) -> Iterator[str]:
    """All messages in an answer of B2B Edition, V2 (``[{message}]``) or V3 (``{title, detail, errors}``)."""
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


def _status_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no message"
