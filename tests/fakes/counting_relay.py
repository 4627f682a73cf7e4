"""A TCP relay that counts the connections through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from service.process.task_cancellation import cancel_and_wait


class Relay:
    """``url`` leads to the server. ``opened`` counts the connections so far; the first one sets ``connected``."""

    def __init__(self, target: httpx.URL) -> None:
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.opened = 0
        self.connected = asyncio.Event()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._tasks)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward a new connection. When one end closes it, so does the relay."""
        self.opened += 1
        self.connected.set()
        task = asyncio.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Close all connections."""
        await cancel_and_wait(list(self._tasks))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(self._target.host, self._target.port)
        both = [asyncio.create_task(_copy(reader, to_server)), asyncio.create_task(_copy(from_server, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(both)
            for each in (writer, to_server):
                each.close()


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[Relay]:
    """A relay to the server of this URL, on a free loopback port."""
    relay = Relay(httpx.URL(url))
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        server.close()
        await relay.end()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
