"""Checks that the address that webhooks go to is answered by a receiver of ours, as seen from outside."""

import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx

from service.bigcommerce.clients.hooks import redact_url
from service.checks.findings import Finding, Level
from service.stores.field_types import is_loopback

Ask = Callable[[str, str], Awaitable[Finding]]
"""Takes a store and its webhooks' destination."""

# BigCommerce waits ten seconds for an answer to a webhook; a healthy address needs far less.
TIMEOUT_S = 5.0

# What the receiver answers to a GET of its path: it takes POST only. A GET is no webhook, so it is neither counted nor
# logged, and a proxy that passes nothing but /webhooks/ passes it, too.
_OURS = 405


async def check_public_address(store: str, destination: str) -> Finding:
    """Ask the destination of a store's webhooks as anybody on the internet can."""
    where = redact_url(destination)

    def finding(level: Level, message: str, cure: str = "") -> Finding:
        return Finding(level, store, "public address", f"{where} {message}", cure)

    # A proxy for outgoing calls may be set for this machine; it cannot reach this machine itself.
    is_here = is_loopback(urlsplit(destination).hostname or "")
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=not is_here) as http:
            answer = await http.get(destination)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        if (refused := _certificate_error(error)) is not None:
            cure = "BigCommerce refuses it, too. Install one of a public authority, with its intermediate certificates."
            return finding(Level.ERROR, f"has a certificate that is refused: {refused}.", cure)
        return finding(
            Level.WARNING,
            f"cannot be reached from this machine ({str(error) or type(error).__name__}).",
            f"From another network, `curl -si {where} -d '{{}}'` must answer 400. If it does not, check DNS, firewall"
            " and proxy. If it does, all is well: some machines cannot reach their own public address.",
        )
    if answer.status_code == _OURS:
        return finding(Level.OK, "is answered by a receiver.")
    return finding(*_wrong_answer(answer.status_code))


def _wrong_answer(status: int) -> tuple[Level, str, str]:
    answers = f"answers {status}"
    if status == 404:
        cure = "Let the proxy pass /webhooks/… to the receiver's port, and leave the path as it is."
        return Level.ERROR, f"{answers}: the proxy does not pass this path to the receiver.", cure
    if status in (502, 503, 504):
        cure = "Start `enrich up` or `enrich web`, and check the port that the proxy passes to."
        return Level.ERROR, f"{answers}: there is a proxy, but no receiver behind it.", cure
    if 300 <= status < 400:
        cure = "Let the proxy answer this path itself, or register the webhooks for the other address."
        return Level.ERROR, f"{answers}, a redirect, which BigCommerce does not follow.", cure
    if status in (401, 403):
        cure = "Let /webhooks/… pass without: the receiver checks the signature of each webhook."
        return Level.ERROR, f"{answers}: the proxy wants a sign-in.", cure
    return Level.WARNING, f"{answers}, which no receiver does.", "Check what runs at this address."


def _certificate_error(error: BaseException | None) -> str | None:
    """Why the certificate was refused, where that is the cause of this error."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None
