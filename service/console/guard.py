"""Checks each request (its host, its origin, the size of its body) and sets the headers of each answer.

A plain ASGI middleware, so that no answer goes out without the headers: also not that of an error.
"""

from collections.abc import Callable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.console.address import ConsoleAddress
from service.console.image_hosts import ImageHosts
from service.errors import EnrichError
from service.logs import Event

log = structlog.get_logger()

BODY_BYTES_MAX = 256 * 1024
"""The largest body of a request: a stores file's rules fit easily."""

HEALTH_PATH = "/healthz"

_SAFE_METHODS = frozenset({"GET", "HEAD"})

_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def content_security_policy(images: ImageHosts) -> str:
    """The policy of every answer."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            f"img-src {images.sources}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


class BodyTooLarge(EnrichError):
    """The body of a request is larger than ``BODY_BYTES_MAX``."""

    def __init__(self) -> None:
        super().__init__(f"The request is larger than {BODY_BYTES_MAX // 1024} KiB.")


class Guard:
    """Refuses requests to another host, writes from another site and large bodies; sets the headers of each answer."""

    def __init__(
        self, app: ASGIApp, address: ConsoleAddress, on_bug: Callable[[Request], Response], images: ImageHosts
    ) -> None:
        """``images`` are those that pages show.

        ``on_bug`` makes the answer to an unexpected exception, which is logged here.
        """
        self._app = app
        self._address = address
        self._on_bug = on_bug
        self._headers = _HEADERS | {"content-security-policy": content_security_policy(images)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                if self._address.is_https:
                    headers["strict-transport-security"] = "max-age=31536000"
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, _bounded(receive), send_with_headers)
        except ClientDisconnect:
            return  # who clicks twice takes the first request back; nobody reads an answer to it
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="console")
            if has_started:
                raise
            await self._on_bug(Request(scope))(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        is_health_check = scope["path"] == HEALTH_PATH and scope["method"] in _SAFE_METHODS
        if not is_health_check and (len(hosts) != 1 or not self._address.accepts_host(hosts[0])):
            log.warning(Event.CONSOLE_REQUEST_REFUSED, reason="host")
            return PlainTextResponse(
                "The console is not known by this host name. Open it by the address in ENRICH_CONSOLE_URL, "
                "or set that to the address that you have opened.\n",
                421,
            )
        if scope["method"] not in _SAFE_METHODS and not self._is_same_origin(headers, hosts[0]):
            log.warning(Event.CONSOLE_REQUEST_REFUSED, reason="cross_site")
            return PlainTextResponse("The request came from another site, so nothing was done.\n", 403)
        return None

    def _is_same_origin(self, headers: Headers, host: str) -> bool:
        """Whether a write comes from a page of ours. Plain http on a network sends no ``Sec-Fetch-Site``."""
        sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
        if sites:
            return sites == ["same-origin"]
        return len(origins) == 1 and self._address.accepts_origin(origins[0], host)


def _bounded(receive: Receive) -> Receive:
    """Count the bytes of the body. Raises BodyTooLarge."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > BODY_BYTES_MAX:
            raise BodyTooLarge
        return message

    return counted
