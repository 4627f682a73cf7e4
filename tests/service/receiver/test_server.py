"""The receiver in its web server, over real sockets."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from service.errors import ConfigError, QueueUnavailable
from service.hooks import WEBHOOK_PATH
from service.orders.state.queue import EnqueueResult, Webhook
from service.receiver import webhook_endpoint
from service.receiver.app import create_app
from service.receiver.authentication import StoreRegistry
from service.receiver.server import Server, serve
from tests.fakes.webhooks import FakeQueue, a_body, a_store, raising, signed

pytestmark = pytest.mark.integration

POST = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nhost: receiver\r\n"


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@asynccontextmanager
async def running(queue: FakeQueue) -> AsyncIterator[Server]:
    server = Server(create_app(StoreRegistry({"abc123": a_store()}), queue.opened), "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    try:
        yield server
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def server(queue: FakeQueue) -> AsyncIterator[Server]:
    async with running(queue) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
        yield client


async def exchange(server: Server, *parts: bytes) -> bytes:
    """Send raw bytes and read until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    response = await reader.read()
    writer.close()
    await writer.wait_closed()
    return response


def head_of(response: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = response.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


async def test_responses_have_no_body_and_only_the_servers_own_headers(client: httpx.AsyncClient) -> None:
    accepted = await client.post(WEBHOOK_PATH, content=a_body(), headers=signed(a_body()))
    refused = await client.post(WEBHOOK_PATH, content=a_body())
    broken = await client.post(WEBHOOK_PATH, content=b"{")
    missing = await client.get("/nowhere")
    for response, status in ((accepted, 200), (refused, 401), (broken, 400), (missing, 404)):
        assert (response.status_code, response.content) == (status, b"")
        assert set(response.headers) == {"date", "content-length"}


async def test_503_has_a_retry_after_header(client: httpx.AsyncClient, queue: FakeQueue) -> None:
    queue.answer = raising(QueueUnavailable("gone"))
    response = await client.post(WEBHOOK_PATH, content=a_body(), headers=signed(a_body()))
    assert (response.status_code, response.content) == (503, b"")
    assert set(response.headers) == {"date", "content-length", "retry-after"}


async def test_internal_error_is_500_without_details(client: httpx.AsyncClient, queue: FakeQueue) -> None:
    queue.answer = raising(RuntimeError("inner workings"))
    response = await client.post(WEBHOOK_PATH, content=a_body(), headers=signed(a_body()))
    assert (response.status_code, response.content) == (500, b"")


async def test_head_of_healthz_is_200_without_a_body(client: httpx.AsyncClient) -> None:
    response = await client.head("/healthz")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("size", [webhook_endpoint.BODY_LIMIT_BYTES + 1, 10_000_000])
async def test_sender_of_too_large_a_body_gets_to_read_413(client: httpx.AsyncClient, size: int) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(0, size, 10_000):
            yield b" " * 10_000

    for content in (b" " * size, chunks()):
        assert (await client.post(WEBHOOK_PATH, content=content)).status_code == 413
    assert (await client.get("/healthz")).status_code == 200


async def test_endless_body_is_413_before_its_end(server: Server) -> None:
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{POST}transfer-encoding: chunked\r\n\r\n".encode() + 3 * chunk)
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_large_body_with_expect_100_continue_is_413_before_it_is_sent(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{POST}content-length: 1000000\r\nexpect: 100-continue\r\n\r\n".encode())
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_slow_body_is_408(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_endpoint, "BODY_TIMEOUT_S", 0.05)
    response = await exchange(server, f"{POST}content-length: 100\r\n\r\n".encode(), b'{"scope":')
    assert head_of(response)[0] == 408


async def test_client_that_disconnects_does_no_harm(server: Server, client: httpx.AsyncClient) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{POST}content-length: 100\r\n\r\n".encode() + b'{"scope":')
    await writer.drain()
    writer.transport.abort()
    async with asyncio.timeout(30):
        while 'answer="disconnected"} 1.0' not in (await client.get("/metrics")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        f"{POST}content-length: many\r\n\r\n".encode(),
        f"{POST}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n".encode(),
    ],
)
async def test_malformed_request_is_400_and_names_no_software(server: Server, request_bytes: bytes) -> None:
    status, headers, body = head_of(await exchange(server, request_bytes))
    assert status == 400
    assert "server" not in headers
    assert not re.search(rb"uvicorn|starlette|httptools", body.lower())


async def test_upgrade_to_a_websocket_is_ignored(server: Server) -> None:
    upgrade = "connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    request = f"GET /healthz HTTP/1.1\r\nhost: x\r\n{upgrade}sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request.encode())
        assert b" 101 " not in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_burst_on_one_connection_each_is_accepted_completely(server: Server, queue: FakeQueue) -> None:
    body = a_body()
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items())
    request = f"{POST}{lines}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body
    async with asyncio.timeout(30):
        responses = await asyncio.gather(*(exchange(server, request) for _ in range(400)))
    assert {head_of(response)[0] for response in responses} == {200}
    assert len(queue.webhooks) == 400


async def test_stop_waits_for_the_webhook_in_progress() -> None:
    class WaitingQueue(FakeQueue):
        def __init__(self) -> None:
            super().__init__()
            self.reached, self.release = asyncio.Event(), asyncio.Event()

        async def accept(self, webhook: Webhook) -> EnqueueResult:
            self.reached.set()
            await self.release.wait()
            return await super().accept(webhook)

    queue = WaitingQueue()
    async with (
        running(queue) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client,
    ):
        sending = asyncio.create_task(client.post(WEBHOOK_PATH, content=a_body(), headers=signed(a_body())))
        await queue.reached.wait()
        server.should_exit = True
        async with asyncio.timeout(30):
            while server.servers[0].sockets:  # noqa: ASYNC110 - until it accepts nothing new
                await asyncio.sleep(0.01)
        queue.release.set()
        assert (await sending).status_code == 200
    assert len(queue.webhooks) == 1


def test_port_in_use_is_one_clear_message(queue: FakeQueue) -> None:
    app = create_app(StoreRegistry({}), queue.opened)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"^127.0.0.1:{port}: another program .* --port\.$"):
            serve(app, "127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("host.invalid", 0), ("192.0.2.1", 0)])
def test_address_that_cannot_be_bound_is_named(queue: FakeQueue, host: str, port: int) -> None:
    with pytest.raises(ConfigError, match=f"^{host}:{port}: cannot listen there"):
        serve(create_app(StoreRegistry({}), queue.opened), host, port)


# A receiver in a process of its own, whose queue takes half a second.
PROGRAM = """
import asyncio, sys
from service import logs
from service.receiver.app import create_app
from service.receiver.authentication import StoreRegistry
from service.receiver.server import serve
from tests.fakes.webhooks import FakeQueue, a_store

class SlowQueue(FakeQueue):
    async def accept(self, webhook):
        print("in progress", flush=True)
        await asyncio.sleep(0.5)
        return await super().accept(webhook)

logs.configure("json", "INFO")
serve(create_app(StoreRegistry({"abc123": a_store()}), SlowQueue().opened), "127.0.0.1", 0)
"""


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    root = Path(__file__).parents[3]
    environ = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_finishes_the_request_in_progress_and_exits_0(
    process: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    assert process.stdout
    started = json.loads(process.stdout.readline())
    assert started["event"] == "receiver_started"
    responses: list[httpx.Response] = []

    def send() -> None:
        url = f"http://127.0.0.1:{started['port']}{WEBHOOK_PATH}"
        responses.append(httpx.post(url, content=a_body(), headers=signed(a_body()), timeout=30))

    sending = threading.Thread(target=send)
    sending.start()
    assert process.stdout.readline() == "in progress\n"
    process.send_signal(number)
    sending.join(30)
    assert [response.status_code for response in responses] == [200]
    assert process.wait(30) == 0
    events = [json.loads(line)["event"] for line in process.stdout]
    assert events == ["webhook_accepted", "receiver_stopped"]
