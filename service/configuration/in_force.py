"""Which configuration each process goes by: its digest, published in Redis while the process lives."""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress

from redis.asyncio import Redis

from service.configuration.reloading import LiveConfiguration
from service.redis.client import TRANSIENT_ERRORS

INTERVAL_S = 2.0

# A process that did not publish for this long is gone: five intervals.
_TTL_S = 10

_PROCESSES = "enrich:configurations"


class ConfigurationsInForce:
    """Publishes and reads digests. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def publish(self, process: str, digest: str) -> None:
        """Say that this process goes by the stores file with this digest."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.sadd(_PROCESSES, process)
            pipe.set(_key(process), digest, ex=_TTL_S)
            await pipe.execute()

    async def remove(self, process: str) -> None:
        """Forget a process that stops."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.srem(_PROCESSES, process)
            pipe.delete(_key(process))
            await pipe.execute()

    async def read(self) -> Mapping[str, str]:
        """The digest of each process that is alive, by the process's name."""
        names = sorted(name.decode() for name in await self._redis.smembers(_PROCESSES))  # type: ignore[misc]
        if not names:
            return {}
        digests = await self._redis.mget([_key(name) for name in names])
        found = {name: digest.decode() for name, digest in zip(names, digests, strict=True) if digest is not None}
        if len(found) < len(names):
            await self._redis.srem(_PROCESSES, *(name for name in names if name not in found))  # type: ignore[misc]
        return found


def _key(process: str) -> str:
    return f"{_PROCESSES}:{process}"


async def publish_configuration(redis: Redis, live: LiveConfiguration, role: str) -> None:
    """Publish what is in force here until cancelled. ``role`` is what the process does, such as ``worker``."""
    name = f"{role} {socket.gethostname()}:{os.getpid()}"
    published = ConfigurationsInForce(redis)
    try:
        while True:
            with suppress(*TRANSIENT_ERRORS):
                await published.publish(name, live.digest)
            await asyncio.sleep(INTERVAL_S)
    finally:
        with suppress(*TRANSIENT_ERRORS):
            await published.remove(name)
