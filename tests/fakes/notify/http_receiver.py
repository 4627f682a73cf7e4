"""A real HTTP server that takes messages, as Slack, Teams or somebody's webhook receiver does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fakes.notify.listening import HOST, listening


@dataclass(slots=True)
class Request:
    """A request that arrived: its path with query, headers with lower-case names, and body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return httpx.Response(200, content=self.body).json()


@dataclass(slots=True)
class HttpReceiver:
    """``requests`` that arrived. ``answers`` are given one after another, then ``answer``.

    An answer is a status, or the status with headers and a body. Status 0 never answers.
    """

    url: str
    requests: list[Request] = field(default_factory=list)
    answers: list[int | tuple[int, dict[str, str], str]] = field(default_factory=list)
    answer: int | tuple[int, dict[str, str], str] = 200
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_for(self, number: int, *, within_s: float = 30.0) -> list[Request]:
        """Wait until so many requests have arrived; returns all."""
        async with asyncio.timeout(within_s):
            while len(self.requests) < number:
                self.arrived.clear()
                await self.arrived.wait()
        return self.requests

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                start, *lines = head.decode().strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append(Request(start.split()[1], headers, body))
                self.arrived.set()
                answer = self.answers.pop(0) if self.answers else self.answer
                status, more, text = answer if isinstance(answer, tuple) else (answer, {}, "ok")
                if status == 0:
                    await asyncio.Event().wait()
                more = {"content-length": str(len(text.encode())), **more}
                lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in more.items()), "", ""]
                writer.write("\r\n".join(lines).encode() + text.encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # cancelled at the end of the test
        finally:
            writer.close()


@asynccontextmanager
async def http_receiver() -> AsyncIterator[HttpReceiver]:
    """A receiver on a free port."""
    receiver = HttpReceiver("")
    async with listening(receiver.serve) as port:
        receiver.url = f"http://{HOST}:{port}"
        yield receiver
