"""What all channels have in common: a destination, and an error that says why a message did not get there."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from service.errors import EnrichError
from service.notify.messages import Message, plain
from service.stores.notify_table import ChannelKind

SEND_TIMEOUT_S = 15.0
"""Of one message. Slack, Teams and mail servers answer within a second or two."""

# Of an answer, only the beginning is read: it is shown to people, never interpreted.
MAX_ANSWER_BYTES = 2048
# Another side may ask for any pause.
MAX_RETRY_AFTER_S = 3600.0


class NotDelivered(EnrichError):
    """A message did not get to its destination, for this reason. ``retry_after_s`` is what the other side asked for."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Channel(ABC):
    """One destination of messages. ``name`` is ``slack``, or ``slack 2`` for the second one in the file."""

    def __init__(self, kind: ChannelKind, position: int) -> None:
        self.kind = kind
        self.name = kind if position == 0 else f"{kind} {position + 1}"

    @property
    @abstractmethod
    def host(self) -> str:
        """The host that gets the messages: all of the destination that is not secret."""

    @property
    @abstractmethod
    def secret(self) -> str:
        """The whole destination, to notice when it changes. Never to be shown."""

    @abstractmethod
    async def send(self, message: Message, http: httpx.AsyncClient) -> str:
        """Send the message once, within ``SEND_TIMEOUT_S``; returns the answer. Raises NotDelivered."""


class HttpChannel(Channel):
    """A channel that takes messages as JSON by POST."""

    def __init__(self, kind: ChannelKind, position: int, url: SecretStr) -> None:
        super().__init__(kind, position)
        self._url = url

    @property
    def host(self) -> str:
        """The URL's host."""
        return urlsplit(self._url.get_secret_value()).hostname or ""

    @property
    def secret(self) -> str:
        """The URL."""
        return self._url.get_secret_value()

    @abstractmethod
    def request(self, message: Message) -> tuple[bytes, Mapping[str, str]]:
        """The body, and the headers beside its content type."""

    async def send(self, message: Message, http: httpx.AsyncClient) -> str:
        """Post the message. Redirects are not followed: they could lead anywhere."""
        body, headers = self.request(message)
        try:
            async with http.stream(
                "POST",
                self.secret,
                content=body,
                headers={"content-type": "application/json", **headers},
                timeout=SEND_TIMEOUT_S,
                follow_redirects=False,
            ) as answer:
                text = await _beginning(answer)
        except httpx.TimeoutException:
            raise NotDelivered(f"no answer within {SEND_TIMEOUT_S:g} s") from None
        except httpx.HTTPError as error:
            # Errors of the transport name the host, never the path.
            raise NotDelivered(f"no connection: {self._redacted(str(error))}") from None
        said = f"{answer.status_code} {self._redacted(text)}".strip()
        if not answer.is_success:
            raise NotDelivered(said, retry_after_s=_retry_after(answer.headers))
        return said

    def _redacted(self, text: str) -> str:
        """An answer on one line, without the parts of the URL that are secret, should the other side repeat them."""
        url = urlsplit(self.secret)
        parts = sorted({part for part in re.split(r"[/?&=]", f"{url.path}?{url.query}") if len(part) >= 8}, key=len)
        for part in reversed(parts):
            text = text.replace(part, "…")
        return plain(text)


async def _beginning(answer: httpx.Response) -> str:
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) >= MAX_ANSWER_BYTES:
            break
    return body[:MAX_ANSWER_BYTES].decode(errors="replace")


def _retry_after(headers: httpx.Headers) -> float | None:
    """The pause that the other side asks for: seconds, or a date."""
    text = headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
