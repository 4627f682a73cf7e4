"""A real Redis for tests, in a folder of its own, that can be killed, paused and started again."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from service.bigcommerce import budget
from service.orders.state import queue
from service.redis.client import connect
from service.redis.embedded import EmbeddedRedis

PATIENCE_S = 30.0


class RedisServer:
    """A running Redis. Its ``url`` stays the same however often it is killed and started again."""

    def __init__(self, data_dir: Path) -> None:
        self._server = EmbeddedRedis(data_dir)
        self._paused = False

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """SIGTERM, as in an orderly shutdown."""
        if self._paused:
            self.resume()
        self._server.stop()

    def kill(self) -> None:
        """kill -9. The data is what the append-only file holds."""
        self._signal(signal.SIGKILL)
        self._paused = False
        self._server.stop()

    async def restart(self) -> None:
        """Start again on the same data, after ``kill``, ``stop`` or out of full run."""
        await asyncio.to_thread(self.stop)
        await asyncio.to_thread(self.start)

    def pause(self) -> None:
        """SIGSTOP: the connections stay, but nothing answers."""
        self._signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self._paused = False

    def _signal(self, number: signal.Signals) -> None:
        pid = self._server.pid
        assert pid is not None, "Redis does not run"
        os.kill(pid, number)


@asynccontextmanager
async def running_redis() -> AsyncIterator[RedisServer]:
    """A fresh, empty Redis."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder))
        await asyncio.to_thread(server.start)
        try:
            yield server
        finally:
            await asyncio.to_thread(server.stop)


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[str]:
    """The URL of one Redis for the whole run; ``redis_url`` is what tests ask for."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder, EmbeddedRedis(Path(folder)) as server:
        with Redis.from_url(server.url) as redis:
            redis.config_set("appendfsync", "no")  # nobody waits for the disk
        yield server.url


@pytest.fixture
def redis_url(shared_redis: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty Redis. No command is given up: a busy machine is no Redis that hangs."""
    monkeypatch.setattr(connect, "__kwdefaults__", {**(connect.__kwdefaults__ or {}), "socket_timeout": PATIENCE_S})
    for module in (budget, queue):
        monkeypatch.setattr(module, "PATIENCE_S", PATIENCE_S)
    with Redis.from_url(shared_redis) as redis:
        redis.flushall()
    return shared_redis
