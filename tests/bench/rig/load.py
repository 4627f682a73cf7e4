"""``python -m tests.bench.rig.load``: sends webhooks over connections that are kept alive, and prints JSON.

``closed``: each connection sends its next webhook when the last one was answered; measures webhooks per second.
``open``: webhooks are sent at fixed times, whether or not earlier ones were answered. Latency counts from the planned
time, so that a receiver that stalls is charged for all webhooks that waited.
"""

import argparse
import asyncio
import gc
import json
import selectors
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

from tests.bench.report import percentile
from tests.bench.rig.webhooks import requests

_WARM_UP = 200
_TIMEOUT_S = 30.0


class Sender(asyncio.Protocol):
    """A connection with at most one request in flight; ``answered`` is called with the status of each answer."""

    def __init__(self, answered: Callable[["Sender", int], None]) -> None:
        self._answered = answered
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's class does not inherit from it

    def send(self, request: bytes) -> None:
        """Send one request; the last one must have been answered."""
        assert self._transport
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        # The answers that are measured have no body.
        self._received += data
        if self._received.endswith(b"\r\n\r\n"):
            status, self._received = int(self._received[9:12]), b""
            self._answered(self, status)


@dataclass(frozen=True, slots=True)
class Target:
    """The destination of webhooks."""

    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> "Target":
        """Parse a URL."""
        parts = urlsplit(url)
        return cls(str(parts.hostname), int(parts.port or 80), parts.path)

    async def connect(self, count: int, answered: Callable[[Sender, int], None]) -> list[Sender]:
        """Open ``count`` connections."""
        loop = asyncio.get_running_loop()
        opened = [await loop.create_connection(lambda: Sender(answered), self.host, self.port) for _ in range(count)]
        return [sender for _, sender in opened]

    async def free_senders(self, count: int) -> "asyncio.Queue[Sender]":
        """Open ``count`` connections, each of which is in the queue again once its webhook is answered with 200."""
        free = asyncio.Queue["Sender"]()

        def answered(sender: Sender, status: int) -> None:
            assert status == 200, f"answered {status}"
            free.put_nowait(sender)

        for sender in await self.connect(count, answered):
            free.put_nowait(sender)
        return free


async def closed_loop(target: Target, webhooks: Sequence[bytes], seconds: float, connections: int) -> dict[str, float]:
    """Send until the time or the webhooks are used up; returns the accepted webhooks per second."""
    waiting, done = iter(webhooks), asyncio.Event()
    accepted, in_flight, until = 0, 0, float("inf")

    def answered(sender: Sender, status: int) -> None:
        nonlocal accepted, in_flight
        assert status == 200, f"answered {status}"
        accepted += 1
        request = next(waiting, None) if time.perf_counter() < until else None
        if request:
            sender.send(request)
        else:
            in_flight -= 1
            if not in_flight:
                done.set()

    senders = await target.connect(connections, answered)
    began, in_flight = time.perf_counter(), len(senders)
    until = began + seconds
    for sender in senders:
        sender.send(next(waiting))
    async with asyncio.timeout(seconds + _TIMEOUT_S):
        await done.wait()
    return {"accepted": accepted, "per_s": accepted / (time.perf_counter() - began)}


async def open_loop(target: Target, webhooks: Sequence[bytes], per_s: float, connections: int) -> dict[str, float]:
    """Send ``per_s`` webhooks a second until all are sent; returns latencies in ms."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    planned: dict[Sender, float] = {}
    late: deque[tuple[float, bytes]] = deque()
    latencies: list[float] = []

    def answered(sender: Sender, status: int) -> None:
        assert status == 200, f"answered {status}"
        latencies.append((loop.time() - planned[sender]) * 1000)
        free.append(sender)
        if late:
            go(*late.popleft())
        elif len(latencies) == len(webhooks):
            done.set()

    def go(at: float, request: bytes) -> None:
        if free:
            sender = free.pop()
            planned[sender] = at
            sender.send(request)
        else:
            late.append((at, request))

    free = await target.connect(connections, answered)
    began = loop.time() + 0.1
    for number, request in enumerate(webhooks):
        at = began + number / per_s
        loop.call_at(at, go, at, request)
    async with asyncio.timeout(len(webhooks) / per_s + _TIMEOUT_S):
        await done.wait()
    measured = latencies[_WARM_UP:]
    return {f"p{percent}": percentile(measured, percent) for percent in (50, 95, 99)} | {"accepted": len(latencies)}


def _precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop with timers exact to microseconds; those of epoll and uvloop are exact to one millisecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["closed", "open"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--stores", required=True, help="comma-separated")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--first-id", type=int, required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--per-s", type=float, default=240.0)
    given = parser.parse_args()
    target = Target.of(given.url)
    webhooks = requests(target.path, given.stores.split(","), given.count, given.first_id)
    gc.disable()
    if given.mode == "closed":
        sending = closed_loop(target, webhooks, given.seconds, given.connections)
        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    else:
        sending = open_loop(target, webhooks, given.per_s, given.connections)
        factory = _precise_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run(sending)))  # noqa: T201 - the result


if __name__ == "__main__":
    _main()
