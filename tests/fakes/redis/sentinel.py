"""A Redis with a replica and three Sentinels, whose master can be killed."""

import asyncio
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from service.redis.embedded.server_binary import find_server
from tests.fakes.redis.server import RedisServer

HOST = "127.0.0.1"
SENTINELS = 3
# Production uses 5 to 30 s.
DOWN_AFTER_MS = 1000
READY_TIMEOUT_S = 20.0

_DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")


class SentinelRedis(RedisServer):
    """``kill`` and ``pause`` act on the master; the replica takes over, and ``url`` finds the new master."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder
        self._master, self._replica, *self._sentinels = _free_ports(2 + SENTINELS)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{port}" for port in self._sentinels)
        return f"redis+sentinel://{hosts}/0?master=orders"

    def start(self) -> None:
        self._run(self._master, *_DURABLE)
        self._run(self._replica, "--replicaof", HOST, str(self._master), *_DURABLE)
        _wait_until(lambda: _ask(self._replica, "ROLE")[3] == b"connected")
        for port in self._sentinels:
            config = self._folder / f"{port}.conf"
            config.write_text(
                f"sentinel monitor orders {HOST} {self._master} 2\n"
                f"sentinel down-after-milliseconds orders {DOWN_AFTER_MS}\n"
                "sentinel failover-timeout orders 5000\n"
            )
            self._run(port, "--sentinel", config=config)
        for port in self._sentinels:
            _wait_until(lambda port=port: self._knows_all(port))  # type: ignore[misc]

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._processes[0].wait()

    async def failed_over(self) -> float:
        """Wait until the replica is the master; returns how many seconds that took."""
        began = time.monotonic()
        await asyncio.to_thread(_wait_until, lambda: _ask(self._replica, "ROLE")[0] == b"master")
        return time.monotonic() - began

    def _signal(self, number: signal.Signals) -> None:
        self._processes[0].send_signal(number)

    def _run(self, port: int, *options: str, config: Path | None = None) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        words = [*([str(config)] if config else []), "--port", str(port), "--dir", str(folder), *options]
        log = folder / "redis.log"
        with log.open("wb") as out:
            self._processes.append(
                subprocess.Popen([find_server(), *words], stdout=out, stderr=out, start_new_session=True)
            )
        _wait_until(lambda: _ask(port, "PING"))

    def _knows_all(self, port: int) -> bool:
        with Redis(HOST, port, socket_timeout=1.0) as redis:
            master = redis.sentinel_master("orders")
        return bool(master["num-slaves"] == 1 and master["num-other-sentinels"] == SENTINELS - 1)


@asynccontextmanager
async def running_redis_with_sentinels() -> AsyncIterator[RedisServer]:
    """A new, empty Redis with Sentinels."""
    with tempfile.TemporaryDirectory(prefix="sentinel-") as folder:
        server = SentinelRedis(Path(folder))
        try:
            await asyncio.to_thread(server.start)
            yield server
        finally:
            await asyncio.to_thread(server.stop)


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(number)]
        return [listener.getsockname()[1] for listener in sockets]


def _ask(port: int, *command: str) -> Any:
    with Redis(HOST, port, socket_timeout=1.0) as redis:
        return redis.execute_command(*command)


def _wait_until(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            if is_so():
                return
        except (RedisError, OSError) as error:
            trouble: Exception | None = error
        else:
            trouble = None
        if time.monotonic() > deadline:
            raise AssertionError(f"Redis or its Sentinels did not get ready: {trouble}")
        time.sleep(0.02)
