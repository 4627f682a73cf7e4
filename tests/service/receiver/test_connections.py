"""What clients can do to the receiver's connections: a process of its own, real sockets, short time limits."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.hooks import WEBHOOK_PATH
from service.process.sockets import raise_descriptor_limit
from service.receiver import connections, http_protocol, webhook_endpoint
from tests.fakes.processes.receiver_process import (
    HEAD_TIMEOUT_S,
    SHORT,
    Receiver,
    get,
    limited,
    receiver,
    status_of,
    webhook,
)
from tests.fakes.webhooks import a_body, signed

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def short() -> Iterator[Receiver]:
    with receiver() as process:
        yield process


@pytest.fixture
def full() -> Iterator[Receiver]:
    """One that holds twenty connections."""
    with receiver(SHORT | {"connections.CONNECTIONS_MAX": 20, "http_protocol.HEAD_TIMEOUT_S": 30}) as process:
        yield process


# Keep-alive


def test_keep_alive_is_longer_than_any_proxys() -> None:
    defaults_s = {"nginx": 60, "ingress-nginx": 60, "AWS ALB": 60, "Traefik": 90, "Caddy": 120, "Google Cloud": 600}
    assert max(defaults_s.values()) < http_protocol.KEEP_ALIVE_S


async def test_idle_connection_is_closed_after_the_keep_alive_and_not_before() -> None:
    with receiver(SHORT | {"http_protocol.KEEP_ALIVE_S": 2.5}) as server:
        client = await server.connect()
        for _ in range(2):
            await client.send(webhook())
            assert status_of(await client.read_head()) == 200
            await asyncio.sleep(HEAD_TIMEOUT_S + 0.5)  # the limit for a silent connection is not for this one
        began = time.monotonic()
        assert await client.read_to_end() == b""
        assert time.monotonic() - began < 2.5


# Heads and bodies without end


@pytest.mark.parametrize(
    "endless",
    [b"x-more: " + b"a" * 60 + b"\r\n", b"a" * 1000],
    ids=["headers", "one header"],
)
async def test_head_without_end_is_431_and_takes_no_memory(short: Receiver, endless: bytes) -> None:
    before_mb = short.memory_mb()
    client = await short.connect()
    await client.send(f"POST {WEBHOOK_PATH} HTTP/1.1\r\nhost: x\r\nx-first: ".encode())
    await client.send_until_closed(endless * 1000)
    assert status_of(await client.read_to_end()) == 431
    assert short.memory_mb() - before_mb < 10


async def test_large_head_is_431_and_its_sender_gets_to_read_it(short: Receiver) -> None:
    cookie = "a" * (http_protocol.HEAD_LIMIT + 1)
    answer = await short.send(get("/healthz", f"cookie: {cookie}\r\n"))
    assert status_of(answer) == 431
    assert b"connection: close" in answer


async def test_head_below_the_limit_is_taken_whatever_body_follows(short: Receiver) -> None:
    cookie = "a" * (http_protocol.HEAD_LIMIT - 2000)
    head = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\nconnection: close\r\n"
    body = b" " * webhook_endpoint.BODY_LIMIT_BYTES
    answer = await short.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    assert status_of(answer) == 400  # read to the end: it is not JSON


@pytest.mark.parametrize("endless", [b"x-more: a\r\n", b"a" * 1000])
async def test_trailers_without_end_are_431(short: Receiver, endless: bytes) -> None:
    client = await short.connect()
    head = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    await client.send(head.encode() + b"0\r\nx-first: ")
    await client.send_until_closed(endless * 3000)
    assert status_of(await client.read_to_end()) == 431


async def test_trailer_does_not_pass_for_a_header(short: Receiver) -> None:
    body = a_body()
    trailers = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items())
    head = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n"
    assert status_of(await short.send(head.encode() + chunk + trailers.encode() + b"\r\n")) == 401


async def test_requests_without_end_before_the_first_answer_take_no_memory(short: Receiver) -> None:
    before_mb = short.memory_mb()
    client = await short.connect()
    await client.send(webhook(order_id=1))
    await client.send_until_closed(get("/healthz") * 1000)
    client.close()
    assert short.memory_mb() - before_mb < 30


async def test_chunks_of_one_byte_are_a_body_like_any_other(short: Receiver) -> None:
    assert status_of(await short.send(webhook(extra="connection: close\r\n", chunked=True))) == 200


# Silent and slow clients


async def test_silent_connection_is_closed(short: Receiver) -> None:
    assert await short.send(b"") == b""


async def test_slow_head_is_408(short: Receiver) -> None:
    client = await short.connect()
    await client.send(f"POST {WEBHOOK_PATH} HTTP/1.1\r\n".encode())
    await client.send_until_closed(b"x: y\r\n", every_s=0.1, within_s=4)
    assert status_of(await client.read_to_end()) == 408


async def test_slow_head_of_a_second_request_is_408(short: Receiver) -> None:
    client = await short.connect()
    await client.send(webhook())
    assert status_of(await client.read_head()) == 200
    await client.send(b"P")
    assert status_of(await client.read_to_end()) == 408


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (f"POST {WEBHOOK_PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n", 413),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n", 200),
        ("POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n", 404),
    ],
)
async def test_body_that_trickles_after_the_answer_is_cut_off(short: Receiver, request_head: str, status: int) -> None:
    client = await short.connect()
    await client.send(request_head.encode())
    assert status_of(await client.read_head()) == status
    await client.send_until_closed(b" ", every_s=0.1, within_s=4)
    client.close()


async def test_empty_lines_between_requests_do_not_keep_a_connection_open() -> None:
    with receiver(SHORT | {"http_protocol.KEEP_ALIVE_S": 1}) as server:
        client = await server.connect()
        await client.send(webhook())
        assert status_of(await client.read_head()) == 200
        await client.send_until_closed(b"\r\n", every_s=0.1, within_s=4)
        client.close()


async def test_client_that_does_not_read_its_answers_is_cut_off(short: Receiver) -> None:
    before = short.descriptors()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", short.port))
        client.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                client.sendall(get("/metrics") * 20)
        async with asyncio.timeout(10):
            while short.descriptors() > before:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


# A full server


async def test_full_server_answers_503_and_health_checks_and_logs_one_line(full: Receiver) -> None:
    held = [await full.connect() for _ in range(20)]
    for client in held:
        await client.send(webhook(order_id=1))
    await asyncio.sleep(0.3)
    answers = await asyncio.gather(*(full.send(webhook()) for _ in range(30)))
    assert {status_of(answer) for answer in answers} == {503}
    assert all(b"retry-after: 1\r\n" in answer and b"connection: close\r\n" in answer for answer in answers)
    for path in ("/healthz", "/readyz"):
        assert status_of(await full.send(get(path))) == 200
    assert full.events() == ["connections_exhausted"]
    # A connection that is there already is served.
    held[0].close()
    await asyncio.sleep(0.2)
    assert status_of(await full.send(webhook(order_id=2, extra="connection: close\r\n"))) == 200
    for client in held[1:]:
        assert status_of(await client.read_head()) == 200
        client.close()


async def test_503_comes_after_the_body(full: Receiver) -> None:
    held = [await full.connect() for _ in range(20)]
    for client in held:
        await client.send(webhook(order_id=1))
    await asyncio.sleep(0.3)
    head, _, body = webhook().partition(b"\r\n\r\n")
    late = await full.connect()
    await late.send(head + b"\r\n\r\n")
    await asyncio.sleep(0.2)
    await late.send(body)
    assert status_of(await late.read_to_end()) == 503
    for client in held:
        client.close()


async def test_silent_connections_make_room_for_webhooks(full: Receiver) -> None:
    silent = [await full.connect() for _ in range(20 + connections.OVERFLOW + 50)]
    await asyncio.sleep(connections.EVICT_IDLE_S + 0.3)
    for _ in range(5):
        assert status_of(await full.send(get("/healthz", "connection: close\r\n"))) == 200
    for client in silent:
        client.close()


# Upgrades


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("wish", ["h2c", "websocket"])
async def test_signed_webhook_that_offers_an_upgrade_is_accepted(short: Receiver, wish: str, chunked: bool) -> None:
    offer = f"connection: Upgrade, HTTP2-Settings\r\nupgrade: {wish}\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
    client = await short.connect()
    for _ in range(2):
        await client.send(webhook(extra=offer, chunked=chunked))
        answer = await client.read_head()
        assert status_of(answer) == 200
        assert b"upgrade" not in answer.lower()
    # In pieces, as a network may deliver it.
    for at in (10, 300, 650):
        data = webhook(extra=offer, chunked=chunked)
        await client.send(data[:at])
        await asyncio.sleep(0.05)
        await client.send(data[at:])
        assert status_of(await client.read_head()) == 200
    client.close()


async def test_connect_is_400(short: Receiver) -> None:
    assert status_of(await short.send(b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n")) == 400


# File descriptors


def test_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    with receiver(limit=limited(256, 2048)) as server:
        assert "2048                 2048" in Path(f"/proc/{server.pid}/limits").read_text()


async def test_more_webhooks_than_descriptors_are_all_answered_and_one_line_says_so() -> None:
    raise_descriptor_limit()
    with receiver({}, limit=limited(1024, 1024)) as server:  # no short limits: a busy machine takes its time
        data = webhook(order_id=3, extra="connection: close\r\n")
        answers = await asyncio.gather(*(server.send(data) for _ in range(1500)))
        statuses = [status_of(answer) for answer in answers]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= connections.connection_limit(1024)
        assert server.events() == ["connections_exhausted"]
        assert server.descriptors() < 100
