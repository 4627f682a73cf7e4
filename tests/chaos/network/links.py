"""A TCP proxy between two ends of a link, which stalls, throttles, resets, half-closes or silences its connections."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.process.task_cancellation import cancel_and_wait

Dial = Callable[[], Awaitable[socket.socket]]
"""Opens a connection to the other end. Raises OSError or TimeoutError."""

_CHUNK_BYTES = 4096
# A socket that is closed with this option sends a reset, and forgets what it still had to send.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(eq=False, slots=True)
class _Connection:
    """A client's connection, and the one to the other end that belongs to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_silent: bool = False
    is_half_closed: bool = False

    def reset(self) -> None:
        for writer in (self.client, self.server):
            with contextlib.suppress(OSError):  # it is closed
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class Link:
    """Forwards each connection that comes in to a connection that ``dial`` opens, byte by byte, and its end as well."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._bytes_per_s: float | None = None
        # One for each direction: all connections share what a link carries.
        self._turns = (asyncio.Lock(), asyncio.Lock())

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def stall(self) -> None:
        """Hold every byte back, also of new connections, until ``resume``: then all of it arrives, however late."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def throttle(self, bytes_per_s: float | None) -> None:
        """Let so much through in each direction, for all connections together; None for no limit."""
        self._bytes_per_s = bytes_per_s

    def reset(self) -> None:
        """End all connections with a reset (RST) to both ends."""
        for connection in list(self._connections):
            connection.reset()

    def half_close(self) -> None:
        """Tell each client that nothing more will come (FIN). What it sends from now on is taken, and discarded."""
        for connection in self._connections:
            connection.is_half_closed = True
            with contextlib.suppress(OSError):
                connection.client.write_eof()

    def silence(self) -> None:
        """Forget the open connections: both ends think that they live, and nothing goes through. New ones work."""
        for connection in self._connections:
            connection.is_silent = True

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Take connections on this socket."""
        server = await asyncio.start_server(self._accept, sock=listener, limit=2 * _CHUNK_BYTES)
        try:
            yield
        finally:
            server.close()
            await cancel_and_wait(list(self._tasks))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            dialled = await self._dial()
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        except BaseException:
            writer.transport.abort()
            raise
        from_server, to_server = await asyncio.open_connection(sock=dialled, limit=2 * _CHUNK_BYTES)
        connection = _Connection(writer, to_server)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(connection, reader, to_server, self._turns[0]))
                group.create_task(self._copy(connection, from_server, writer, self._turns[1]))
        except* OSError:
            connection.reset()
        finally:
            self._connections.discard(connection)
            writer.transport.abort()
            to_server.transport.abort()

    async def _copy(
        self, connection: _Connection, source: asyncio.StreamReader, target: asyncio.StreamWriter, turn: asyncio.Lock
    ) -> None:
        """Copy one direction until its end, and then pass the end on."""
        while data := await source.read(_CHUNK_BYTES):
            if self._bytes_per_s is not None:
                async with turn:
                    await asyncio.sleep(len(data) / (self._bytes_per_s or len(data)))
            await self._flowing.wait()
            if not (connection.is_silent or connection.is_half_closed):
                target.write(data)
                await target.drain()
        await self._flowing.wait()
        if connection.is_silent:
            return
        if target is connection.server:
            # What the client has sent is delivered first, as a network would.
            await target.drain()
        with contextlib.suppress(OSError):
            if target.can_write_eof() and not (connection.is_half_closed and target is connection.client):
                target.write_eof()
