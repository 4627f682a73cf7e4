"""A Redis with a replica and three Sentinels, whose master can be killed."""

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from service.embedded_redis import _find_server
from tests.fakes.redis_server import RedisServer

HOST = "127.0.0.1"
SENTINELS = 3
# Sentinels of the field wait longer before they believe that a master is gone: 5 to 30 s.
DOWN_AFTER_MS = 1000
_READY_S = 20.0


class SentinelRedis(RedisServer):
    """Master and replica behind Sentinels: ``kill`` and ``pause`` befall the master, and the replica takes over."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ports = _free_ports(2 + SENTINELS)

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{port}" for port in self._ports[2:])
        return f"redis+sentinel://{hosts}/0?master=orders"

    def start(self) -> None:
        master, replica, *sentinels = self._ports
        self._run("master", ["--port", str(master), *_DURABLE])
        self._run("replica", ["--port", str(replica), "--replicaof", HOST, str(master), *_DURABLE])
        for port in (master, replica):
            _wait_for(port, "PING")
        _wait_until(lambda: _ask(replica, "ROLE")[3] == b"connected")
        for port in sentinels:
            config = self._folder / f"sentinel-{port}.conf"
            config.write_text(
                f"port {port}\n"
                f"sentinel monitor orders {HOST} {master} 2\n"
                f"sentinel down-after-milliseconds orders {DOWN_AFTER_MS}\n"
                "sentinel failover-timeout orders 5000\n"
            )
            self._run(f"sentinel-{port}", [str(config), "--sentinel"])
