"""A real Redis for tests, in its own folder, that can be killed, paused and restarted."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from arq.connections import ArqRedis
from redis import Redis

from service.bigcommerce import quota_budget
from service.orders.state import queue
from service.redis.client import connect
from service.redis.embedded.server import EmbeddedRedis

TIMEOUT_S = 30.0


class RedisServer:
    """A running Redis. Kills and restarts do not change its ``url``."""

    def __init__(self, data_dir: Path) -> None:
        self._server = EmbeddedRedis(data_dir)
        self._paused = False

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """SIGTERM: a clean shutdown."""
        if self._paused:
            self.resume()
        self._server.stop()

    def kill(self) -> None:
        """kill -9. Only the data in the append-only file remains."""
        self._signal(signal.SIGKILL)
        self._paused = False
        self._server.stop()

    async def restart(self) -> None:
        """Start again on the same data; a running server is stopped first."""
        await asyncio.to_thread(self.stop)
        await asyncio.to_thread(self.start)

    def pause(self) -> None:
        """SIGSTOP: the connections stay open, but nothing answers."""
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
    """The URL of one Redis for the whole test run; tests use ``redis_url``."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder, EmbeddedRedis(Path(folder)) as server:
        with Redis.from_url(server.url) as redis:
            redis.config_set("appendonly", "no")  # a third faster, and no test needs the file
        yield server.url


@pytest.fixture
def redis_url(shared_redis: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty Redis. Timeouts are long, so that no command fails on a busy machine."""
    monkeypatch.setattr(connect, "__kwdefaults__", {**(connect.__kwdefaults__ or {}), "socket_timeout": TIMEOUT_S})
    monkeypatch.setattr(quota_budget, "REDIS_TIMEOUT_S", TIMEOUT_S)
    monkeypatch.setattr(queue, "PATIENCE_S", TIMEOUT_S)
    with Redis.from_url(shared_redis) as redis:
        redis.flushall()
    return shared_redis


@pytest.fixture
def persistent_redis_url(redis_url: str) -> Iterator[str]:
    """The URL of an empty Redis that keeps its data in a file, as one for orders should."""
    with Redis.from_url(redis_url) as redis:
        redis.config_set("appendonly", "yes")
        yield redis_url
        redis.config_set("appendonly", "no")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    """An empty Redis."""
    async with connect(redis_url) as client:
        yield client
