"""The connections to BigCommerce: httpx's interface over aiohttp's connections.

httpx's own connection pool looks at all its connections for each call, so that calls cost the more, the more of them
are under way. What matters here is told from aiohttp's errors, too: whether a call may have been sent.

Imported only by what makes calls: the receiver makes none, and aiohttp takes 8 MB.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

from service.stores import is_loopback

MAX_CONNECTIONS = 400
"""Far more than orders in hand: a store whose calls hang must not keep another store's from going out."""

KEEP_ALIVE_S = 30.0

# What is compressed may grow a thousandfold, so it is not to come in large pieces.
_PIECE_BYTES = 16_384


def http_client() -> httpx.AsyncBaseTransport:
    """The connections to both APIs, for all stores. A transport as such: it follows no redirect and keeps no cookie."""
    return AiohttpTransport()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests. Opens its connections in the loop that first uses it; follows no redirect.

    Raises httpx's errors: ConnectError, ConnectTimeout and UnsupportedProtocol mean that nothing was sent, all others
    that it may have been. Proxies are those of the environment (HTTPS_PROXY, NO_PROXY).
    """

    def __init__(self, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self._max_connections = max_connections
        self._tls: ssl.SSLContext = httpx.create_ssl_context()
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[tuple[str, str], str | None] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is still to be read."""
        session = self._session = self._session or self._open()
        timeout: Mapping[str, float | None] = request.extensions.get("timeout", {})
        pool_s, connect_s = timeout.get("pool"), timeout.get("connect")
        content = await request.aread()
        with _as_httpx(request):
            response = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=content or None,
                proxy=self._proxy(request.url.scheme, request.url.host),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    # To aiohttp that is the wait for a place and the way to the server together.
                    connect=None if pool_s is None or connect_s is None else pool_s + connect_s,
                    sock_connect=connect_s,
                    sock_read=timeout.get("read"),
                ),
            )
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(request, response))

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=KEEP_ALIVE_S, ssl=self._tls)
        # What httpx does itself is switched off here: headers of its own, cookies, decompressing.
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            middlewares=(_once,),
        )

    def _proxy(self, scheme: str, host: str) -> str | None:
        """The environment's proxy for this host. aiohttp would look it up for each call, in a thread."""
        if (scheme, host) not in self._proxies:
            # A proxy that was asked for this machine would find itself. (A sandbox listens here.)
            is_direct = proxy_bypass(host) or is_loopback(host)
            self._proxies[scheme, host] = None if is_direct else getproxies().get(scheme)
        return self._proxies[scheme, host]

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, request: httpx.Request, response: aiohttp.ClientResponse) -> None:
        self._request = request
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for piece in self._response.content.iter_chunked(_PIECE_BYTES):
                yield piece

    async def aclose(self) -> None:
        # A body that was not read to its end costs its connection.
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class _Broken(aiohttp.ClientError):
    """The connection broke under the call."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request once. aiohttp would send a PUT, too, a second time by itself when the connection breaks."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken(str(error)) from error


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(str(error), request=request) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error.os_error), request=request) from error
    except aiohttp.InvalidURL as error:
        raise httpx.UnsupportedProtocol(str(error), request=request) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error), request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(str(error), request=request) from error
