"""The faults of a link are what they say. They need no hosts, so this runs with all tests."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.chaos.network.links import Link
from tests.fakes.sandbox import free_port


@dataclass(slots=True)
class Ends:
    """A link to a server that answers each line with the same line; ``received`` are the lines that came in."""

    link: Link
    port: int
    received: list[bytes] = field(default_factory=list)
    came_in: asyncio.Event = field(default_factory=asyncio.Event)
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        assert await self.ask(reader, writer, b"hello\n") == b"hello\n"
        self.came_in.clear()
        return reader, writer

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
        writer.write(line)
        async with asyncio.timeout(5):
            return await reader.readline()


@asynccontextmanager
async def linked() -> AsyncIterator[Ends]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                ends.received.append(line)
                ends.came_in.set()
                writer.write(line)
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def dial() -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        return connection

    with free_port() as listener:
        ends = Ends(Link(dial), listener.getsockname()[1])
        async with server, ends.link.serving(listener):
            yield ends
            for writer in ends.clients:
                writer.close()


async def silent_for_a_moment(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.1):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_what_a_stalled_link_holds_arrives_even_when_its_sender_has_gone() -> None:
    async with linked() as ends:
        reader, writer = await ends.connect()
        ends.link.stall()
        writer.write(b"late\n")
        assert await silent_for_a_moment(reader)
        writer.close()
        assert ends.received == [b"hello\n"]
        ends.link.resume()
        async with asyncio.timeout(5):
            await ends.came_in.wait()
        assert ends.received == [b"hello\n", b"late\n"]


async def test_a_reset_ends_open_connections_and_takes_new_ones() -> None:
    async with linked() as ends:
        reader, _ = await ends.connect()
        assert ends.link.open == 1
        ends.link.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await ends.connect()


async def test_a_half_closed_connection_ends_for_its_reader_and_swallows_what_is_sent() -> None:
    async with linked() as ends:
        reader, writer = await ends.connect()
        ends.link.half_close()
        assert await reader.read() == b""
        writer.write(b"lost\n")
        await ends.connect()
        assert b"lost\n" not in ends.received


async def test_a_silent_connection_looks_alive_and_new_ones_work() -> None:
    async with linked() as ends:
        reader, writer = await ends.connect()
        ends.link.silence()
        writer.write(b"lost\n")
        assert await silent_for_a_moment(reader)
        await ends.connect()
        assert b"lost\n" not in ends.received


async def test_a_slow_link_lets_everything_through() -> None:
    async with linked() as ends:
        reader, writer = await ends.connect()
        ends.link.throttle(100_000)
        line = b"x" * 9_999 + b"\n"
        assert await ends.ask(reader, writer, line) == line
