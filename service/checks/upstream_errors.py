"""A call that did not succeed, in words for whoever looks after the store."""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from service.checks.findings import Finding, Level
from service.errors import CredentialsRefused, NotFound, TryAgain, UpstreamError, WaitUntil

SCOPES_AT = "in the store's control panel, Settings, API accounts"


def trouble(error: UpstreamError, store: str, subject: str, url: str) -> Finding:
    """What an error of a call to ``url`` means. A spent quota is a warning: nothing could be told."""
    level = Level.WARNING if isinstance(error, WaitUntil) else Level.ERROR
    return Finding(level, store, subject, *_words(error, url))


def lacks_scope(store: str, subject: str, scope: str, error: UpstreamError) -> Finding:
    """The token was refused a call that asks for this scope (named as in the control panel)."""
    message = f"the access token lacks the scope {scope} ({error.status})."
    return Finding(Level.ERROR, store, subject, message, f"Give its API account that scope {SCOPES_AT}.")


def _words(error: UpstreamError, url: str) -> tuple[str, str]:
    host = urlsplit(url).netloc
    match error:
        case WaitUntil():
            message = f"could not be looked at: the store's quota is spent for {error.seconds:.0f} s more."
            return message, "Run the check again then."
        case TryAgain(status=None):
            return _no_answer(error, host)
        case TryAgain(status=int(status)) if status < 400 or status == 404:
            message = f"what answers at {host} is not BigCommerce's API ({error.status}: {error.message})."
            return message, "Is a proxy in between? Look at [bigcommerce] in the stores file too."
        case TryAgain():
            message = f"BigCommerce has trouble of its own ({error.status}: {error.message})."
            return message, "Run the check again in some minutes; status.bigcommerce.com tells of disturbances."
        case NotFound():
            return f"BigCommerce knows nothing of this store ({said(error)}).", "Is the store hash right?"
        case CredentialsRefused():
            return f"BigCommerce refuses the access token ({said(error)}).", f"Look at its API account {SCOPES_AT}."
        case _:
            return f"BigCommerce refuses {error.operation} ({said(error)}).", "Is the store hash right?"


def said(error: UpstreamError) -> str:
    """The status and BigCommerce's own words."""
    return f"{error.status or 'no answer'}: {error.message}"


def _no_answer(error: UpstreamError, host: str) -> tuple[str, str]:
    causes = list(_causes(error))

    def is_caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if is_caused_by(socket.gaierror):
        cure = "Does this machine's DNS work? Is the URL under [bigcommerce] in the stores file right?"
        return f"there is no host {host}, as far as this machine can tell.", cure
    if is_caused_by(ssl.SSLError):
        cure = "If a proxy opens TLS here, name its certificate authority in SSL_CERT_FILE."
        return f"no safe connection to {host} ({error.message}).", cure
    way_out = f"Is the way out to {host} open (firewall, proxy)?"
    if is_caused_by(TimeoutError, httpx.TimeoutException):
        return f"{host} does not answer in time.", way_out
    return f"no connection to {host} ({error.message}).", way_out


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
