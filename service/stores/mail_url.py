"""Mail accounts as URLs: ``smtps://user:password@smtp.example.com?to=ops@example.com&from=enrich@example.com``."""

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, SecretStr

from service.stores.field_types import is_loopback
from service.stores.messages import did_you_mean, refused
from service.stores.secrets import Secret

MAX_RECIPIENTS = 20
"""More belong into a distribution list. Servers take at least 100 (RFC 5321)."""

# Submission ports of RFC 8314: TLS from the start, or STARTTLS. A relay on this machine listens on the classic one.
_PORTS = {"smtps": 465, "smtp": 587}
_LOCAL_PORT = 25

_KEYS = ("to", "from")
_EXAMPLE = "smtps://user:password@smtp.example.com?to=ops@example.com&from=enrich@example.com"
_CURE = f"For example: {_EXAMPLE}."


@dataclass(frozen=True, slots=True)
class MailAccount:
    """A mail server, and who gets the messages.

    ``uses_tls``: TLS from the start; else STARTTLS, which only a server on this machine may lack (``is_local``).
    """

    host: str
    port: int
    uses_tls: bool
    is_local: bool
    user: str | None
    password: SecretStr | None
    sender: str
    recipients: tuple[str, ...]


def parse_mail_url(text: str) -> MailAccount:
    """Read a mail URL. Raises PydanticCustomError with what is wrong; the message never shows the URL."""
    url, host, port = _split(text)
    user, password = (None if part is None else unquote(part) for part in (url.username, url.password))
    if (user is None) != (password is None):
        raise refused("expected both a user and a password, or neither", _CURE)
    query = _query(url.query)
    recipients = tuple(address.strip() for address in query.get("to", "").split(",") if address.strip())
    if not recipients:
        raise refused("the URL has no recipient", f"Add to=, with commas between several. {_CURE}")
    if len(recipients) > MAX_RECIPIENTS:
        raise refused(f"expected {MAX_RECIPIENTS} recipients or fewer", "Use a distribution list.")
    sender = query.get("from") or (user if user and _is_address(user) else None)
    if sender is None:
        raise refused("the URL does not say who sends the mail", f"Add from=. {_CURE}")
    for key, addresses in (("to", recipients), ("from", (sender,))):
        if not all(map(_is_address, addresses)):
            raise refused(f"{key}= is not a mail address", f"Write only the address, such as ops@example.com. {_CURE}")
    is_local = is_loopback(host)
    if port is None:
        port = _LOCAL_PORT if is_local and url.scheme == "smtp" else _PORTS[url.scheme]
    secret = None if password is None else SecretStr(password)
    return MailAccount(host, port, url.scheme == "smtps", is_local, user, secret, sender, recipients)


def _split(text: str) -> tuple[SplitResult, str, int | None]:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port  # reading the port checks it
    except ValueError:
        raise refused("expected a mail URL", _CURE) from None
    if url.scheme not in _PORTS or not host or port == 0 or not re.fullmatch(r"[!-~]+", text):
        raise refused("expected a URL that begins with smtps:// or smtp://", _CURE)
    if url.path not in ("", "/") or url.fragment:
        # A password may contain these signs.
        cure = "In user and password, write / as %2F, ? as %3F, # as %23 and @ as %40."
        raise refused("expected no path and no # in the URL", cure)
    return url, host, port


def _query(text: str) -> dict[str, str]:
    query: dict[str, str] = {}
    # A + in an address is a plus sign, not a space.
    for key, value in parse_qsl(text.replace("+", "%2B"), keep_blank_values=True):
        if key not in _KEYS:
            raise refused(
                "the URL has an unknown key", did_you_mean(key, _KEYS) or f"Known keys are to and from. {_CURE}"
            )
        query[key] = f"{query[key]},{value}" if key in query else value
    return query


def _is_address(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", text) is not None


def _mail_url(secret: SecretStr) -> SecretStr:
    parse_mail_url(secret.get_secret_value())
    return secret


MailUrl = Annotated[Secret, AfterValidator(_mail_url)]
