"""A Redis and a Sentinel on each of several hosts: one master, the others its replicas."""

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from service.redis.embedded.server_binary import find_server
from tests.chaos.network.namespaces import Host
from tests.fakes.redis.failover import DURABLE
from tests.fakes.redis.server import RedisServer

REDIS_PORT, SENTINEL_PORT = 6379, 26379
MASTER = "orders"

# As the documentation recommends: with more, the failover alone takes a good part of an order's window.
DOWN_AFTER_MS = 2000
_FAILOVER_TIMEOUT_MS = 10_000
_READY_TIMEOUT_S = 30.0


class RedisOnHosts(RedisServer):
    """``url`` leads to the master by the Sentinels. Failures are those of the hosts and their links."""

    def __init__(self, folder: Path, hosts: Sequence[Host]) -> None:
        super().__init__(folder)
        self.hosts = hosts

    @property
    def url(self) -> str:
        sentinels = ",".join(f"{host.address}:{SENTINEL_PORT}" for host in self.hosts)
        return f"redis+sentinel://{sentinels}/0?master={MASTER}"

    async def master(self, seen_by: Host) -> Host:
        """The host of the master, as a Sentinel that answers this host says. Raises RedisError or OSError."""
        address = await seen_by.call(lambda: _master_address([seen_by, *self.hosts]))
        return next(host for host in self.hosts if host.address == address)

    async def has_failed_over(self, before: Host, seen_by: Host) -> bool:
        """Whether the Sentinels name another master, and it says that it is one."""
        try:
            now = await self.master(seen_by)
            return now != before and (await seen_by.call(lambda: ask(now, "ROLE")))[0] == b"master"
        except (RedisError, OSError):
            return False

    async def is_replica(self, host: Host) -> bool:
        """Whether this host's Redis follows a master, and has all of its data."""
        try:
            role = await host.call(lambda: ask(host, "ROLE"))
        except (RedisError, OSError):
            return False
        return bool(role[0] == b"slave" and role[3] == b"connected")


def _master_address(asked: Sequence[Host]) -> str:
    trouble: Exception | None = None
    for host in asked:
        try:
            with Redis(host.address, SENTINEL_PORT, socket_timeout=0.5, socket_connect_timeout=0.5) as sentinel:
                if found := sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER):
                    return bytes(found[0]).decode()
        except (RedisError, OSError) as error:
            trouble = error
    raise trouble or ConnectionError("no Sentinel knows a master")


def ask(host: Host, *command: str) -> Any:
    """The answer of a host's Redis, for ``Host.call``."""
    with Redis(host.address, REDIS_PORT, socket_timeout=1.0, socket_connect_timeout=1.0) as redis:
        return redis.execute_command(*command)


@asynccontextmanager
async def redis_on(hosts: Sequence[Host], folder: Path, *options: str) -> AsyncIterator[RedisOnHosts]:
    """Start them, the master on the first host; returns when the Sentinels know each other and the replicas."""
    processes: list[subprocess.Popen[bytes]] = []
    master = hosts[0]
    try:
        for host in hosts:
            words = [*DURABLE, *options] + ([] if host == master else ["--replicaof", master.address, str(REDIS_PORT)])
            processes.append(_start(host, folder / f"redis-{host.name}", REDIS_PORT, words))
            await _wait_until(host, lambda host=host: _has_role(host, b"master" if host == master else b"slave"))  # type: ignore[misc]
        for host in hosts:
            config = folder / f"sentinel-{host.name}.conf"
            config.write_text(
                f"sentinel monitor {MASTER} {master.address} {REDIS_PORT} {len(hosts) // 2 + 1}\n"
                f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {MASTER} {_FAILOVER_TIMEOUT_MS}\n"
            )
            words = [str(config), "--sentinel"]
            processes.append(_start(host, folder / f"sentinel-{host.name}", SENTINEL_PORT, words))
        for host in hosts:
            await _wait_until(host, lambda host=host: _knows_all(host, len(hosts)))  # type: ignore[misc]
        yield RedisOnHosts(folder, hosts)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _start(host: Host, folder: Path, port: int, words: Sequence[str]) -> subprocess.Popen[bytes]:
    folder.mkdir()
    common = ["--port", str(port), "--dir", str(folder), "--bind", "0.0.0.0", "--protected-mode", "no"]
    first, rest = (words[:1], words[1:]) if words and not words[0].startswith("--") else ([], words)
    with (folder / "server.log").open("wb") as out:
        return subprocess.Popen(
            host.command(str(find_server()), *first, *common, *rest), stdout=out, stderr=out, start_new_session=True
        )


def _has_role(host: Host, role: bytes) -> bool:
    found = ask(host, "ROLE")
    return bool(found[0] == role and (role == b"master" or found[3] == b"connected"))


def _knows_all(host: Host, number: int) -> bool:
    with Redis(host.address, SENTINEL_PORT, socket_timeout=1.0) as sentinel:
        known = sentinel.sentinel_master(MASTER)
    return bool(known["num-slaves"] == number - 1 and known["num-other-sentinels"] == number - 1)


async def _wait_until(host: Host, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    trouble: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if await host.call(is_so):
                return
        except (RedisError, OSError) as error:
            trouble = error
        await asyncio.sleep(0.05)
    raise AssertionError(f"Redis or its Sentinel on {host.name} did not get ready: {trouble}")


async def dial(here: Host, address: str, port: int, *, timeout_s: float = 3.0) -> socket.socket:
    """A connection from this host. Raises OSError or TimeoutError."""
    with here.inside():
        connection = socket.socket()
    connection.setblocking(False)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection
