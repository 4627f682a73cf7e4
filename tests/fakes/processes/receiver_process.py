"""A receiver in a process of its own, with short time limits, and clients that misbehave on raw sockets."""

import asyncio
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO

import pytest

from service.hooks import WEBHOOK_PATH
from tests.fakes.webhooks import a_body, signed

ROOT = Path(__file__).parents[3]

# Its queue keeps a webhook for order 1 waiting until order 2 comes, and takes 0.3 s for order 3.
PROGRAM = """
import asyncio, json, sys
from service import logs
from service.receiver import app, authentication, connections, http_protocol, server
from tests.fakes.webhooks import FakeQueue, a_store

for name, value in json.loads(sys.argv[1]).items():
    module, constant = name.split(".")
    assert hasattr(globals()[module], constant), name
    setattr(globals()[module], constant, value)

class HeldQueue(FakeQueue):
    released = asyncio.Event()

    async def accept(self, webhook):
        if webhook.order_id == 1:
            await self.released.wait()
        elif webhook.order_id == 2:
            self.released.set()
        elif webhook.order_id == 3:
            await asyncio.sleep(0.3)
        return await super().accept(webhook)

logs.configure("json", "WARNING")
stores = authentication.StoreRegistry({"abc123": a_store()})
served = server.Server(app.create_app(stores, HeldQueue().opened), "127.0.0.1", 0)
print(served.port, flush=True)
served.run()
"""

HEAD_TIMEOUT_S = 1.0
SHORT = {
    "http_protocol.HEAD_TIMEOUT_S": HEAD_TIMEOUT_S,
    "http_protocol.DRAIN_TIMEOUT_S": 1.0,
    "http_protocol.WRITE_TIMEOUT_S": 1.0,
}


class Receiver:
    """A receiver in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        self.pid = process.pid
        self.port = int(process.stdout.readline())
        self._lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._collect, args=(process.stdout,), daemon=True).start()

    def _collect(self, stdout: TextIO) -> None:
        for line in stdout:
            self._lines.put(line)

    def events(self) -> list[str]:
        """The log lines since the last call."""
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get())
        return [json.loads(line)["event"] for line in lines]

    def memory_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def connect(self) -> "Client":
        connected = socket.socket()
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, ("127.0.0.1", self.port))
        return Client(connected)

    async def send(self, *parts: bytes) -> bytes:
        """The whole of what comes back on a connection of its own until the receiver closes it."""
        client = await self.connect()
        for part in parts:
            await client.send(part)
        return await client.read_to_end()


class Client:
    """A client's side of a connection, without buffers of its own."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._received = b""

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def send_until_closed(self, data: bytes, *, every_s: float = 0.0, within_s: float = 10) -> None:
        """Send it again and again until the receiver closes the connection."""
        with contextlib.suppress(ConnectionError):
            deadline = time.monotonic() + within_s
            while time.monotonic() < deadline:
                await self.send(data)
                await asyncio.sleep(every_s)
            pytest.fail("the connection is still open")

    async def read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._received:
            self._received += await self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head

    async def read_to_end(self) -> bytes:
        """Raises TimeoutError when the receiver does not close the connection, ConnectionError when it resets it."""
        with contextlib.suppress(EOFError):
            while True:
                self._received += await self._receive()
        self.close()
        return self._received

    async def _receive(self) -> bytes:
        async with asyncio.timeout(10):
            received = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        if not received:
            raise EOFError
        return received

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def receiver(constants: dict[str, float] = SHORT, *, limit: Callable[[], None] | None = None) -> Iterator[Receiver]:
    command = [sys.executable, "-c", PROGRAM, json.dumps(constants)]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
        cwd=ROOT,
        preexec_fn=limit,
    ) as process:
        try:
            yield Receiver(process)
        finally:
            process.kill()


def webhook(order_id: int = 250, extra: str = "", *, chunked: bool = False) -> bytes:
    body = a_body(data={"type": "order", "id": order_id})
    length = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
    headers = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items())
    if chunked:
        body = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    return f"POST {WEBHOOK_PATH} HTTP/1.1\r\nhost: x\r\n{headers}{extra}{length}\r\n\r\n".encode() + body


def get(path: str, extra: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n{extra}\r\n".encode()


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def limited(soft: int, hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
