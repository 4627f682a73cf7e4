"""``python -m tests.bench.fake_bigcommerce.upstream``: a fake BigCommerce that needs as little CPU as possible.

It has its own HTTP server, because a framework would need more CPU than a worker's calls: it supports the part of
HTTP/1.1 that the client uses, with keep-alive. Its quotas never limit. ``--delay-ms`` is the time between a request's
arrival and its answer; the times of orders are those of the arrival.
"""

import argparse
import asyncio
import gc
import signal
import time
from email.utils import formatdate
from typing import cast
from urllib.parse import parse_qsl

import uvloop

from tests.bench.fake_bigcommerce.fake_store import Answer, FakeStores, Request

_STATUS = {200: b"200 OK", 204: b"204 No Content", 400: b"400 Bad Request", 404: b"404 Not Found"}

# The quotas' windows, and how often the quota headers are built again.
_LIMIT, _CORE_WINDOW_S, _B2B_WINDOW_S = 1_000_000_000, 30.0, 60.0
_HEADERS_INTERVAL_S = 0.1


class Headers:
    """The current response headers of both APIs."""

    def __init__(self) -> None:
        self._made_at = 0.0
        self._core = self._b2b = b""

    def get(self, *, is_b2b: bool, now: float) -> bytes:
        """The header lines, each with its line end; ``now`` is a ``time.monotonic``."""
        if now - self._made_at > _HEADERS_INTERVAL_S:
            self._make(now)
        return self._b2b if is_b2b else self._core

    def _make(self, now: float) -> None:
        self._made_at = now
        common = f"Date: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\n"
        core_ms = round((_CORE_WINDOW_S - now % _CORE_WINDOW_S) * 1000)
        self._core = (
            f"{common}X-Rate-Limit-Time-Window-Ms: {_CORE_WINDOW_S * 1000:.0f}\r\nX-Rate-Limit-Time-Reset-Ms: {core_ms}"
            f"\r\nX-Rate-Limit-Requests-Quota: {_LIMIT}\r\nX-Rate-Limit-Requests-Left: {_LIMIT}\r\n"
        ).encode()
        resets_in_s = _B2B_WINDOW_S - now % _B2B_WINDOW_S
        self._b2b = (
            f"{common}X-Requests-Allocated: {_LIMIT} times/{_B2B_WINDOW_S:g} s\r\nX-Requests-Remaining: {_LIMIT} times"
            f"\r\nX-Requests-Window-Length: 0 times\r\nX-Request-Window-Resets-After: {resets_in_s:.3f} s\r\n"
        ).encode()


class Connection(asyncio.Protocol):
    """One connection: sequential requests, each answered after the delay."""

    def __init__(self, stores: FakeStores, headers: Headers, delay_s: float) -> None:
        self._stores = stores
        self._headers = headers
        self._delay_s = delay_s
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._received += data
        while request := self._next(now):
            answer = self._stores.answer(request)
            if self._delay_s and not request.path.startswith("/bench"):
                asyncio.get_running_loop().call_later(self._delay_s, self._send, answer)
            else:
                self._send(answer)

    def _next(self, now: float) -> Request | None:
        """The next complete request, or None."""
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return None
        self._received = rest[length:]
        method, target, _ = line.split(" ")
        path, _, query = target.partition("?")
        store_hash = headers.get("x-store-hash", "")
        return Request(method, path, dict(parse_qsl(query)), store_hash, rest[:length], now)

    def _send(self, answer: Answer) -> None:
        if self._transport is None:
            return
        now = time.monotonic()
        if answer.on_sent:
            answer.on_sent(now)
        head = b"HTTP/1.1 %b\r\n%b" % (_STATUS[answer.status], self._headers.get(is_b2b=answer.is_b2b, now=now))
        if answer.status == 204:
            self._transport.write(head + b"\r\n")
        else:
            self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(answer.body), answer.body))


async def serve(host: str, port: int, delay_s: float) -> asyncio.Server:
    """Start the server."""
    stores, headers = FakeStores(), Headers()
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(stores, headers, delay_s), host, port, backlog=1024)


async def _main(port: int, delay_ms: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await serve("127.0.0.1", port, delay_ms / 1000)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    arguments = parser.parse_args()
    gc.disable()  # there are no reference cycles, and a collection would delay single answers
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(arguments.port, arguments.delay_ms))
