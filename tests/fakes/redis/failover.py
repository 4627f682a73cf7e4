"""A Redis and its replica behind one name, as providers offer it: after a failover the old master lives on."""

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from redis.exceptions import AuthenticationError, ResponseError

from service.redis.embedded.server_binary import find_server
from tests.fakes.redis.sentinel import HOST, _ask, _free_ports, _wait_until
from tests.fakes.redis.server import RedisServer

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")


@contextmanager
def redis_on_tcp(folder: Path, *options: str) -> Iterator[int]:
    """The port of a Redis with these options; it is killed at the end."""
    (port,) = _free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    words = [str(find_server()), "--port", str(port), "--dir", str(folder), *options]
    with (folder / "server.log").open("wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_until(lambda: _answers(port))
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        return bool(_ask(port, "PING"))
    except (AuthenticationError, ResponseError):  # it wants a password, or lacks its master: so it is up
        return True


class RedisBehindOneName(RedisServer):
    """Its address leads to the master of the moment. Connections that are open stay with the server they have."""

    def __init__(self, folder: Path, first: int, second: int) -> None:
        super().__init__(folder)
        self._first, self._second = first, second
        self._leads_to = first
        self._port = 0
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self._port}/0"

    async def demote(self) -> None:
        """The failover: the replica becomes the master, and the old master its replica. The name still leads to it."""
        _ask(self._second, "REPLICAOF", "NO", "ONE")
        _ask(self._first, "REPLICAOF", HOST, str(self._second))

    def switch_name(self) -> None:
        """From now on, new connections lead to the new master."""
        self._leads_to = self._second

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._forward, HOST, 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in list(self._open):
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        to_reader, to_writer = await asyncio.open_connection(HOST, self._leads_to)
        try:
            await asyncio.wait(
                [asyncio.create_task(_copy(reader, to_writer)), asyncio.create_task(_copy(to_reader, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            to_writer.close()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def running_redis_behind_one_name() -> AsyncIterator[RedisBehindOneName]:
    """A fresh master with a connected replica."""
    with (
        tempfile.TemporaryDirectory(prefix="failover-") as folder,
        redis_on_tcp(Path(folder) / "first", *DURABLE) as first,
        redis_on_tcp(Path(folder) / "second", *DURABLE, "--replicaof", HOST, str(first)) as second,
    ):
        await asyncio.to_thread(_wait_until, lambda: _ask(second, "ROLE")[3] == b"connected")
        server = RedisBehindOneName(Path(folder), first, second)
        async with server.listening():
            yield server
