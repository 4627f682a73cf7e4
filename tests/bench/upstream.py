"""``python -m tests.bench.upstream``: BigCommerce as the bench needs it, at as little cost as can be.

A server of its own, as a framework would cost more than a worker's own calls: it reads of HTTP/1.1 what the client
writes, and keeps connections alive. Its quotas are too large to bind. ``--delay-ms`` passes between a request's
arrival and its answer; orders' times are noted at the arrival.
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

from tests.bench.fake_store import Answer, Request, Shop

_STATUS = {200: b"200 OK", 204: b"204 No Content", 400: b"400 Bad Request", 404: b"404 Not Found"}

# The quotas' windows, and how often the headers that tell of them are made anew.
_LIMIT, _CORE_WINDOW_S, _B2B_WINDOW_S = 1_000_000_000, 30.0, 60.0
_HEADERS_EVERY_S = 0.1


class Headers:
    """The headers of an answer of either API, as they stand at the moment."""

    def __init__(self) -> None:
        self._made_at = 0.0
        self._core = self._b2b = b""

    def get(self, *, is_b2b: bool, now: float) -> bytes:
        """The headers, each with its line's end; ``now`` is of ``time.monotonic``."""
        if now - self._made_at > _HEADERS_EVERY_S:
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
    """One connection: requests one after the other, each answered when the delay is over."""

    def __init__(self, shop: Shop, headers: Headers, delay_s: float) -> None:
        self._shop = shop
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
            answer = self._shop.answer(request)
            if self._delay_s and not request.path.startswith("/bench"):
                asyncio.get_running_loop().call_later(self._delay_s, self._send, answer)
            else:
                self._send(answer)

    def _next(self, now: float) -> Request | None:
        """The next request that is there as a whole."""
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
        if answer.is_sent:
            answer.is_sent(now)
        head = b"HTTP/1.1 %b\r\n%b" % (_STATUS[answer.status], self._headers.get(is_b2b=answer.is_b2b, now=now))
        if answer.status == 204:
            self._transport.write(head + b"\r\n")
        else:
            self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(answer.body), answer.body))


async def serve(host: str, port: int, delay_s: float) -> asyncio.Server:
    """Start the server; it serves until it is closed."""
    shop, headers = Shop(), Headers()
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(shop, headers, delay_s), host, port, backlog=1024)


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
    gc.disable()  # nothing here is a cycle, and the looking for some would be felt in single answers
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(arguments.port, arguments.delay_ms))
