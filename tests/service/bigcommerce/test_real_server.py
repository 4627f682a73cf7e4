"""The transport against real sockets on this machine, for what a mock cannot show."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from service.bigcommerce import StoreApi, Transport
from service.bigcommerce.apis import Api
from service.bigcommerce.connection_pool import AiohttpTransport, http_client
from service.bigcommerce.models import Values
from service.bigcommerce.transport import Call
from service.errors import NotFound, TryAgain, Unsure
from tests.fakes.upstream import account

VALUES = Values("PO-1", {})
CONCURRENT_CALLS = 20


def read(path: str) -> Call:
    return Call("Read", Api.B2B, "GET", path)


def write(path: str) -> Call:
    return Call("Write", Api.B2B, "POST", path, json={})


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


class Server:
    """Answers over HTTP, and records the connection of each request."""

    def __init__(self) -> None:
        self.url = ""
        self.peers: list[tuple[str, int]] = []
        self.got_request = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.all_have_arrived = asyncio.Barrier(CONCURRENT_CALLS)

    @property
    def app(self) -> Starlette:
        routes = {
            "/api/ok": self.ok,
            "/api/missing": self.missing,
            "/api/slow": self.slow,
            "/api/held": self.held,
            "/api/together": self.together,
            "/api/trickle": self.trickle,
            "/api/endless": self.endless,
            "/api/gzip": self.gzip,
        }
        return Starlette(routes=[Route(path, answer, methods=["GET", "POST"]) for path, answer in routes.items()])

    def note(self, request: Request) -> None:
        assert request.client is not None
        self.peers.append((request.client.host, request.client.port))
        self.got_request.set()

    async def ok(self, request: Request) -> Response:
        self.note(request)
        return JSONResponse({"data": []})

    async def missing(self, request: Request) -> Response:
        self.note(request)
        return JSONResponse({"meta": {"message": "Not there."}}, status_code=404)

    async def slow(self, request: Request) -> Response:
        self.note(request)
        await asyncio.sleep(0.5)
        return JSONResponse({"data": []})

    async def held(self, request: Request) -> Response:
        self.note(request)
        await self.may_answer.wait()
        return JSONResponse({"data": []})

    async def together(self, request: Request) -> Response:
        self.note(request)
        await self.all_have_arrived.wait()
        return JSONResponse({"data": []})

    async def trickle(self, request: Request) -> Response:
        self.note(request)

        async def drops() -> AsyncIterator[bytes]:
            while not self.may_answer.is_set():
                yield b" "
                await asyncio.sleep(0.01)

        return StreamingResponse(drops(), media_type="application/json")

    async def endless(self, request: Request) -> Response:
        self.note(request)

        async def flood() -> AsyncIterator[bytes]:
            while True:
                yield b" " * 65536
                await asyncio.sleep(0)

        return StreamingResponse(flood(), media_type="application/json")

    async def gzip(self, request: Request) -> Response:
        return Response(gzip.compress(json.dumps({"data": "packed"}).encode()), headers={"Content-Encoding": "gzip"})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    running = uvicorn.Server(uvicorn.Config(server.app, lifespan="off", ws="none", log_config=None, access_log=False))
    listener = socket.create_server(("127.0.0.1", 0))
    server.url = url_of(listener)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    yield server
    server.may_answer.set()
    running.should_exit = True
    running.force_exit = True
    await task


@asynccontextmanager
async def api_at(
    url: str, *, http: httpx.AsyncBaseTransport | None = None, timeout_s: float = 30.0
) -> AsyncIterator[StoreApi]:
    async with http or http_client() as client:
        transport = Transport(client, core_url=url, b2b_url=url)
        yield StoreApi(transport, account("access-token"), timeout_s=timeout_s)


@asynccontextmanager
async def raw_server(answer: bytes, closed: asyncio.Event | None = None) -> AsyncIterator[str]:
    """A server that reads the head of a request, sends these bytes and closes the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        if closed:
            closed.set()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def error_type(call: Awaitable[object]) -> type[Exception] | None:
    try:
        await call
    except Exception as error:
        return type(error)
    return None


async def test_calls_of_both_apis_share_one_connection(server: Server) -> None:
    async with api_at(server.url) as api:
        for path in ("/ok", "/missing", "/ok", "/gzip"):
            await error_type(api.call(read(path)))
            await error_type(api.call(write(path)))
    assert len(server.peers) == 6
    assert len(set(server.peers)) == 1


async def test_concurrent_calls_do_not_wait_for_each_other(server: Server) -> None:
    async with api_at(server.url) as api:
        await api.call(read("/ok"))
        await asyncio.gather(*(api.call(read("/together")) for _ in range(CONCURRENT_CALLS)))
        await asyncio.gather(*(api.call(read("/ok")) for _ in range(CONCURRENT_CALLS)))
    assert len(server.peers) == 2 * CONCURRENT_CALLS + 1
    assert len(set(server.peers)) == CONCURRENT_CALLS


async def test_compressed_answer_is_decompressed(server: Server) -> None:
    async with api_at(server.url) as api:
        assert (await api.call(read("/gzip"))).body == {"data": "packed"}


async def test_refusal_keeps_its_message(server: Server) -> None:
    async with api_at(server.url) as api:
        with pytest.raises(NotFound, match="Not there"):
            await api.call(read("/missing"))


@pytest.mark.parametrize("path", ["/held", "/trickle"])
async def test_answer_after_the_timeout_is_no_answer(server: Server, path: str) -> None:
    async with api_at(server.url) as api:
        assert await error_type(api.call(read(path), timeout_s=0.5)) is TryAgain
        assert await error_type(api.call(write(path), timeout_s=0.5)) is Unsure
        assert (await api.call(read("/ok"))).status == 200
    assert len(server.peers) == 3


async def test_one_call_may_have_a_longer_timeout(server: Server) -> None:
    async with api_at(server.url, timeout_s=0.2) as api:
        assert (await api.call(read("/slow"), timeout_s=30.0)).status == 200


async def test_endless_answer_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.bigcommerce.transport.MAX_BODY_BYTES", 1_000_000)
    async with api_at(server.url, timeout_s=30.0) as api:
        with pytest.raises(TryAgain, match="not JSON, or too large"):
            await api.call(read("/endless"))
        with pytest.raises(Unsure, match="not JSON, or too large"):
            await api.call(write("/endless"))


async def test_call_without_a_free_connection_was_never_sent(server: Server) -> None:
    http = AiohttpTransport(max_connections=1)
    async with api_at(server.url, http=http) as api:
        held = asyncio.create_task(api.call(read("/held")))
        await server.got_request.wait()
        with pytest.raises(TryAgain, match="ConnectTimeout") as refused:
            await api.call(write("/ok"), timeout_s=0.3)
        assert type(refused.value) is TryAgain
        server.may_answer.set()
        await held
    assert len(server.peers) == 1


async def test_write_to_a_closed_port_was_never_sent() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with api_at(url_of(closed)) as api:
            assert await error_type(api.call(write("/ok"))) is TryAgain


async def test_write_to_a_host_that_does_not_accept_was_never_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:  # they fill the backlog of connections
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        async with api_at(url_of(full)) as api:
            with pytest.raises(TryAgain, match="ConnectTimeout") as refused:
                await api.call(write("/ok"), timeout_s=0.4)
            assert type(refused.value) is TryAgain
        for client in waiting:
            client.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"garbage\r\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"\r\n",
        HEAD + b"\r\n<html>",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n{}",
    ],
    ids=["nothing", "half a line", "garbage", "half a body", "bad chunk", "no last chunk", "not gzip", "empty", "html",
         "half a refusal"],
)  # fmt: skip
async def test_broken_answer_is_transient_or_unsure(answer: bytes) -> None:
    async with raw_server(answer) as url, api_at(url) as api:
        assert await error_type(api.b2b.order(123)) is TryAgain
        assert await error_type(api.b2b.update_order(123, VALUES)) is Unsure
        assert await error_type(api.b2b.create_order(123, 321, VALUES)) is Unsure


async def no_idle_connection(api: StoreApi) -> None:
    """Wait until the client has noticed that the server closed the connection; a write before that is Unsure."""
    transport = api.transport._http
    assert isinstance(transport, AiohttpTransport)
    assert transport._session is not None
    connector = transport._session.connector
    assert connector is not None
    while any(connection.is_connected() for kept in connector._conns.values() for connection, _ in kept):  # noqa: ASYNC110 - aiohttp has no event
        await asyncio.sleep(0)


async def test_connection_that_the_server_closed_is_not_reused() -> None:
    closed = asyncio.Event()
    answer = HEAD + b"Content-Length: 12\r\n\r\n" + b'{"data": []}'
    async with raw_server(answer, closed) as url, api_at(url) as api:
        for _ in range(5):
            closed.clear()
            await api.call(write("/ok"))
            await closed.wait()
            await no_idle_connection(api)
