"""The HTTP transport: whether an error means that the request was sent, and proxies."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from service.bigcommerce import connection_pool
from service.bigcommerce.connection_pool import AiohttpTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

PROBES = {name: value for name, value in connection_pool.PROBES.items() if hasattr(socket, name)}

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Received:
    """The head of each request that a server received, and its number of connections."""

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[str] = []
        self.connections = 0


@asynccontextmanager
async def listening(answer: bytes | None = OK) -> AsyncIterator[Received]:
    """A server that gives this answer to every request, or closes the connection without one."""
    received = Received()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                received.heads.append(head.decode())
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        received.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield received


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=AiohttpTransport()) as client:
        yield client


async def test_consecutive_calls_share_a_connection(client: httpx.AsyncClient) -> None:
    async with listening() as received:
        for _ in range(3):
            assert (await client.get(received.url)).json() == {}
        assert received.connections == 1


async def test_idle_connections_are_probed(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, make = [], connection_pool.probed_socket

    def recording(address: tuple[Any, ...]) -> socket.socket:
        opened.append(make(address))
        return opened[-1]

    monkeypatch.setattr(connection_pool, "probed_socket", recording)
    async with listening() as received:
        await client.get(received.url)
        (connection,) = opened
        options = {name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in PROBES}
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert options == PROBES


async def test_a_connection_with_an_unread_body_is_not_reused(client: httpx.AsyncClient) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}") as received:
        for _ in range(2):
            async with client.stream("GET", received.url):
                pass
        assert received.connections == 2


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_closed_connection_is_a_read_error_and_no_write_is_resent(
    client: httpx.AsyncClient, method: str
) -> None:
    async with listening(None) as received:
        with pytest.raises(httpx.ReadError):
            await client.request(method, received.url, json={})
        assert len(received.heads) == 1, "a write is never resent automatically"


async def test_a_closed_port_is_a_connect_error(client: httpx.AsyncClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(httpx.ConnectError):
        await client.post(f"http://127.0.0.1:{port}", json={})


async def test_an_answer_that_is_not_http_is_a_read_error(client: httpx.AsyncClient) -> None:
    async with listening(b"SSH-2.0-OpenSSH\r\n\r\n") as received:
        with pytest.raises(httpx.ReadError):
            await client.get(received.url)


async def test_a_missing_answer_is_a_read_timeout(client: httpx.AsyncClient) -> None:
    async with listening(b"") as received:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(received.url, timeout=httpx.Timeout(5, read=0.05))


async def test_connecting_has_its_own_timeout_beside_the_wait_for_a_free_connection(client: httpx.AsyncClient) -> None:
    loop = asyncio.get_running_loop()
    async with listening(b"") as received:  # it sends nothing, so the TLS handshake hangs
        began = loop.time()
        with pytest.raises(httpx.ConnectTimeout):
            await client.post(
                received.url.replace("http:", "https:"), timeout=httpx.Timeout(None, pool=0.05, connect=0.2)
            )
    assert loop.time() - began >= 0.2


async def test_compressed_bodies_come_in_small_chunks(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    async with listening(head.encode() + bomb) as received, client.stream("GET", received.url) as response:
        await asyncio.sleep(0.05)  # all of it is here
        first = await anext(response.aiter_bytes())
        assert len(first) < 20_000_000


async def test_only_our_headers_are_sent(client: httpx.AsyncClient) -> None:
    async with listening() as received:
        await client.get(received.url, headers={"X-Auth-Token": "t", "User-Agent": "us"})
    names = sorted(line.partition(":")[0].lower() for line in received.heads[0].splitlines()[1:] if line)
    assert names == ["accept", "accept-encoding", "connection", "host", "user-agent", "x-auth-token"]


async def test_the_environments_proxy_is_used(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        await client.get("http://api.example.com/v2/orders")
    assert proxy.heads[0].startswith("GET http://api.example.com/v2/orders HTTP/1.1")


async def test_a_loopback_address_is_reached_without_a_proxy(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening() as proxy, listening() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        await client.get(server.url)
        assert (len(proxy.heads), len(server.heads)) == (0, 1)


async def test_no_proxy_is_respected(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as proxy, listening() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "0.0.0.0")
        await client.get(server.url.replace("127.0.0.1", "0.0.0.0"))  # this machine, but not by a loopback address
        assert (len(proxy.heads), len(server.heads)) == (0, 1)
