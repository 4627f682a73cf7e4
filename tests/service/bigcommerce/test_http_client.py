"""Connections: what their errors say of whether a call was sent, and which way they go."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from service.bigcommerce.http_client import AiohttpTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Heard:
    """What a server was asked, a head for each request, and over how many connections."""

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[str] = []
        self.connections = 0


@asynccontextmanager
async def listening(answer: bytes | None = OK) -> AsyncIterator[Heard]:
    """A server that answers every request so, or hangs up when there is no answer."""
    heard = Heard()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heard.heads.append(head.decode())
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        heard.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield heard


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=AiohttpTransport()) as client:
        yield client


async def test_calls_one_after_the_other_share_a_connection(client: httpx.AsyncClient) -> None:
    async with listening() as heard:
        for _ in range(3):
            assert (await client.get(heard.url)).json() == {}
        assert heard.connections == 1


async def test_a_body_that_is_not_read_to_its_end_costs_its_connection(client: httpx.AsyncClient) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}") as heard:
        for _ in range(2):
            async with client.stream("GET", heard.url):
                pass
        assert heard.connections == 2


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_server_that_hangs_up_after_the_request_may_have_read_it(
    client: httpx.AsyncClient, method: str
) -> None:
    async with listening(None) as heard:
        with pytest.raises(httpx.ReadError):
            await client.request(method, heard.url, json={})
        assert len(heard.heads) == 1, "a write is never sent a second time by itself"


async def test_where_nobody_listens_nothing_was_sent(client: httpx.AsyncClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(httpx.ConnectError):
        await client.post(f"http://127.0.0.1:{port}", json={})


async def test_what_is_no_http_is_an_answer_that_cannot_be_read(client: httpx.AsyncClient) -> None:
    async with listening(b"SSH-2.0-OpenSSH\r\n\r\n") as heard:
        with pytest.raises(httpx.ReadError):
            await client.get(heard.url)


async def test_an_answer_that_does_not_come_is_a_read_timeout(client: httpx.AsyncClient) -> None:
    async with listening(b"") as heard:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(heard.url, timeout=httpx.Timeout(5, read=0.05))


async def test_the_way_to_the_server_has_its_own_time_beside_the_wait_for_a_place(client: httpx.AsyncClient) -> None:
    loop = asyncio.get_running_loop()
    async with listening(b"") as heard:  # it says nothing, where TLS expects a greeting
        began = loop.time()
        with pytest.raises(httpx.ConnectTimeout):
            await client.post(heard.url.replace("http:", "https:"), timeout=httpx.Timeout(None, pool=0.05, connect=0.2))
    assert loop.time() - began >= 0.2


async def test_what_is_compressed_comes_in_small_pieces(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    async with listening(head.encode() + bomb) as heard, client.stream("GET", heard.url) as response:
        await asyncio.sleep(0.05)  # all of it is here
        first = await anext(response.aiter_bytes())
        assert len(first) < 20_000_000


async def test_our_headers_go_out_and_no_others(client: httpx.AsyncClient) -> None:
    async with listening() as heard:
        await client.get(heard.url, headers={"X-Auth-Token": "t", "User-Agent": "us"})
    names = sorted(line.partition(":")[0].lower() for line in heard.heads[0].splitlines()[1:] if line)
    assert names == ["accept", "accept-encoding", "connection", "host", "user-agent", "x-auth-token"]


async def test_the_environments_proxy_is_used(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        await client.get("http://api.example.com/v2/orders")
    assert proxy.heads[0].startswith("GET http://api.example.com/v2/orders HTTP/1.1")


async def test_this_machine_is_reached_without_a_proxy(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening() as proxy, listening() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        await client.get(server.url)
        assert (len(proxy.heads), len(server.heads)) == (0, 1)


async def test_a_host_that_needs_no_proxy_gets_none(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as proxy, listening() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "0.0.0.0")
        await client.get(server.url.replace("127.0.0.1", "0.0.0.0"))  # this machine, by a name that does not say so
        assert (len(proxy.heads), len(server.heads)) == (0, 1)
