"""The HTTP connections to BigCommerce: httpx's interface over aiohttp's connection pool.

httpx's own pool scans all its connections for each call, so a call costs more the more of them are in flight.
aiohttp's errors also say what matters here: whether a request may have been sent.

Only processes that make calls import this module: aiohttp takes 8 MB, and the receiver makes no calls.
"""

import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
from yarl import URL

from service.bigcommerce.outgoing_proxy import proxy_for
from service.errors import ConfigError, Problem

MAX_CONNECTIONS = 400
"""Far more than the orders in progress, so that hanging calls of one store do not delay another store's."""

KEEP_ALIVE_S = 330.0
"""Long, so that the next burst finds more than the one connection that ``workers/warm_connections.py`` keeps in use."""

# Probes of TCP keep an idle connection open in the firewalls on its way, and end one that died without a word within
# 25 s. Without them, the first call over such a connection would wait for its timeout.
PROBES = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}

# Of the headers. Else httpx detects it anew for each look at one.
_ENCODING = "iso-8859-1"

# Small chunks, as compressed data may expand a thousandfold.
_CHUNK_BYTES = 16_384


def http_client() -> httpx.AsyncBaseTransport:
    """The HTTP transport to all APIs, for all stores. It follows no redirects and keeps no cookies."""
    return AiohttpTransport()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests over aiohttp. Opens its connections in the event loop that first uses it.

    Raises httpx's errors: ConnectError, ConnectTimeout and UnsupportedProtocol mean that nothing was sent, all others
    that the request may have been sent. Proxies come from the environment (HTTPS_PROXY, NO_PROXY).
    """

    def __init__(self, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self._max_connections = max_connections
        self._tls = _tls_context()
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[tuple[str, str], str | None] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response with its body unread."""
        session = self._session = self._session or self._open()
        timeout: Mapping[str, float | None] = request.extensions.get("timeout", {})
        content, url = await request.aread(), URL(str(request.url), encoded=True)
        request.headers.encoding = _ENCODING
        try:
            response = await session.request(
                request.method,
                url,
                headers=request.headers.multi_items(),
                data=content or None,
                proxy=self._proxy(url.scheme, url.host or ""),
                allow_redirects=False,
                timeout=_timeout(timeout.get("pool"), timeout.get("connect"), timeout.get("read")),
            )
        except (aiohttp.ClientError, OSError) as error:
            raise _as_httpx(error, request) from error
        answer = httpx.Response(response.status, headers=response.raw_headers, stream=_Body(request, response))
        answer.headers.encoding = _ENCODING
        return answer

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._max_connections, keepalive_timeout=KEEP_ALIVE_S, ssl=self._tls, socket_factory=probed_socket
        )
        # Off here, as httpx does it: default headers, cookies, decompression.
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            middlewares=(_without_retry,),
        )

    def _proxy(self, scheme: str, host: str) -> str | None:
        """The environment's proxy for this host. Cached: aiohttp would look it up for each call, in a thread."""
        if (scheme, host) not in self._proxies:
            proxy = proxy_for(scheme, host)
            self._proxies[scheme, host] = proxy.url if proxy else None
        return self._proxies[scheme, host]

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()


@lru_cache(maxsize=16)
def _timeout(pool_s: float | None, connect_s: float | None, read_s: float | None) -> aiohttp.ClientTimeout:
    # aiohttp counts the wait for a free connection and the connecting together.
    both_s = None if pool_s is None or connect_s is None else pool_s + connect_s
    return aiohttp.ClientTimeout(connect=both_s, sock_connect=connect_s, sock_read=read_s)


def probed_socket(address: tuple[Any, ...]) -> socket.socket:
    """A TCP socket for one of ``getaddrinfo``'s answers that probes its peer while it is idle."""
    opened = socket.socket(*address[:3])
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in PROBES.items():
        if option := getattr(socket, name, None):  # not every system has them all
            opened.setsockopt(socket.IPPROTO_TCP, option, value)
    return opened


def _tls_context() -> ssl.SSLContext:
    """Trusts the usual authorities, or those of SSL_CERT_FILE or SSL_CERT_DIR. Raises ConfigError."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one, too
        name = next((each for each in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(each)), None)
        if name is None:
            raise
        reason = "does not exist" if isinstance(error, FileNotFoundError) else "holds no certificates"
        cure = "Name a file of certificates in PEM format, or unset it to trust the usual authorities."
        raise ConfigError(Problem(name, f"{os.environ[name]} {reason}.", cure)) from None


class _Body(httpx.AsyncByteStream):
    def __init__(self, request: httpx.Request, response: aiohttp.ClientResponse) -> None:
        self._request = request
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_chunked(_CHUNK_BYTES):
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise _as_httpx(error, self._request) from error

    async def aclose(self) -> None:
        # A connection with an unread rest of a body cannot be reused.
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class _ConnectionLost(aiohttp.ClientError):
    """The connection broke during the call."""


async def _without_retry(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request only once. By itself, aiohttp would resend even a PUT when the connection breaks."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionLost(str(error)) from error


def _as_httpx(error: aiohttp.ClientError | OSError, request: httpx.Request) -> httpx.TransportError:
    """httpx's error for one of aiohttp's. TimeoutError is an OSError."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout(str(error), request=request)
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(str(error.os_error), request=request)
        case aiohttp.InvalidURL():
            return httpx.UnsupportedProtocol(str(error), request=request)
        case TimeoutError():
            return httpx.ReadTimeout(str(error), request=request)
        case _:
            return httpx.ReadError(str(error), request=request)
