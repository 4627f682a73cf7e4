"""Explains failed calls to the store's admin, with a cure."""

import os
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from service.bigcommerce.outgoing_proxy import OutgoingProxy, proxy_for
from service.checks.findings import Finding, Level
from service.errors import CredentialsRefused, NotFound, TryAgain, UpstreamError, WaitUntil

SCOPES_AT = "in the store's control panel, Settings, Store-level API accounts"


def upstream_error_finding(error: UpstreamError, store: str, subject: str, url: str) -> Finding:
    """The finding for a failed call to ``url``: an error, or a warning when only the quota is used up."""
    level = Level.WARNING if isinstance(error, WaitUntil) else Level.ERROR
    return Finding(level, store, subject, *_message_and_cure(error, url))


def missing_scope_finding(store: str, subject: str, scope: str, error: UpstreamError) -> Finding:
    """The finding for a token without this scope (named as in the control panel)."""
    message = f"the access token lacks the scope {scope} ({error.status})."
    return Finding(Level.ERROR, store, subject, message, f"Give its API account that scope {SCOPES_AT}.")


def _message_and_cure(error: UpstreamError, url: str) -> tuple[str, str]:
    host = urlsplit(url).netloc
    match error:
        case WaitUntil():
            message = f"could not be checked: the store's quota is used up for {error.seconds:.0f} s more."
            return message, "Run the check again after that."
        case TryAgain(status=None):
            return _no_answer(error, url)
        case TryAgain(status=int(status)) if status < 400 or status == 404:
            message = f"the server at {host} is not BigCommerce's API ({error.status}: {error.message})."
            proxy = _proxy_of(url)
            between = f"the proxy {proxy.shown} of {proxy.variable}" if proxy else "a proxy in between"
            return message, f"Check for {between}, and check [bigcommerce] in the stores file."
        case TryAgain():
            message = f"BigCommerce has an internal problem ({error.status}: {error.message})."
            return message, "Run the check again in a few minutes; status.bigcommerce.com lists outages."
        case NotFound():
            return f"BigCommerce does not know this store ({describe(error)}).", "Check the store hash."
        case CredentialsRefused():
            return f"BigCommerce refuses the access token ({describe(error)}).", f"Check its API account {SCOPES_AT}."
        case _:
            return f"BigCommerce refuses {error.operation} ({describe(error)}).", "Check the store hash."


def describe(error: UpstreamError) -> str:
    """The status and BigCommerce's own message."""
    return f"{error.status or 'no answer'}: {error.message}"


def _proxy_of(url: str) -> OutgoingProxy | None:
    parts = urlsplit(url)
    return proxy_for(parts.scheme, parts.hostname or "")


def _no_answer(error: UpstreamError, url: str) -> tuple[str, str]:
    host, proxy = urlsplit(url).netloc, _proxy_of(url)
    if proxy:
        return _no_answer_through(error, host, proxy)
    causes = list(_causes(error))

    def is_caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if is_caused_by(socket.gaierror):
        cure = "Check this machine's DNS, and the URL under [bigcommerce] in the stores file."
        return f"this machine cannot resolve the host {host}.", cure
    if is_caused_by(ssl.SSLError):
        return f"no secure connection to {host} ({error.message}).", _certificates()
    cure = (
        f"Check that a firewall or proxy does not block connections to {host}."
        " If this network needs a proxy, set HTTPS_PROXY."
    )
    if is_caused_by(TimeoutError, httpx.TimeoutException):
        return f"{host} does not answer in time.", cure
    return f"no connection to {host} ({error.message}).", cure


def _no_answer_through(error: UpstreamError, host: str, proxy: OutgoingProxy) -> tuple[str, str]:
    """The same for calls that go through a proxy: then it is the proxy that was not reached, or that refuses."""
    causes = list(_causes(error))
    named = f"the proxy {proxy.shown} of {proxy.variable}"
    direct = f"Or let calls to {host} go without it: NO_PROXY={host}."
    if "407" in error.message:
        cure = f"Write user and password into {proxy.variable}: http://user:password@{proxy.shown}."
        return f"{named} asks for a password.", cure
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"this machine cannot resolve {named}.", f"Correct {proxy.variable}. {direct}"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return f"no secure connection to {host} through {named} ({error.message}).", _certificates()
    if any(isinstance(cause, TimeoutError | httpx.TimeoutException) for cause in causes):
        return f"no answer of {host} in time through {named}.", f"Check that it lets {host} pass. {direct}"
    message = f"no connection to {host} through {named} ({error.message})."
    return message, f"Check that it runs and lets {host} pass, or correct {proxy.variable}. {direct}"


def _certificates() -> str:
    """What to do about certificates that are not trusted."""
    if named := os.environ.get("SSL_CERT_FILE"):
        return f"SSL_CERT_FILE is {named}: it must hold the authorities that are trusted, also that of a proxy."
    return "If a proxy decrypts TLS here, set SSL_CERT_FILE to its certificate authority."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
