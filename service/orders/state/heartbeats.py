"""The heartbeats of workers and receivers: which are alive, their versions, and how many jobs each worker runs."""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Literal

from redis.asyncio import Redis

from service.orders.state import lua

Kind = Literal["workers", "receivers"]

# A worker without a heartbeat for this long counts as dead: five of their intervals of two seconds. A receiver sends
# one every five seconds, so four of them.
_TTL_S = {"workers": 10, "receivers": 20}


@dataclass(frozen=True, slots=True)
class Alive:
    """The processes of one kind that are alive: how many there are of each version. None: it did not say its own."""

    versions: Counter[str | None]

    @property
    def count(self) -> int:
        """How many there are."""
        return self.versions.total()


class Heartbeats:
    """Writes and reads the heartbeats of one kind of process. Errors are Redis's own."""

    def __init__(self, redis: Redis, kind: Kind = "workers") -> None:
        self._redis = redis
        self._ttl_s = _TTL_S[kind]
        self._names = f"enrich:{kind}"

    async def write(self, name: str, running: int = 0) -> None:
        """Report that a process is alive and how many jobs it runs."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.sadd(self._names, name)
            pipe.set(self._key(name), running, ex=self._ttl_s)
            pipe.set(self._version_key(name), own_version(), ex=self._ttl_s)
            await pipe.execute()

    async def remove(self, name: str) -> None:
        """Forget a process that stops."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.srem(self._names, name)
            pipe.delete(self._key(name), self._version_key(name))
            await pipe.execute()

    async def running(self) -> list[int]:
        """How many jobs each process runs that is alive. Forgets the dead ones."""
        return [int(count) for count in await lua.running_jobs(self._redis, names=self._names, prefix=self._key(""))]

    async def alive(self) -> Alive:
        """The processes that are alive, by version."""
        names = await self._members()
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.mget(self._key(name), self._version_key(name))
            found = await pipe.execute()
        versions = (version for is_alive, version in found if is_alive is not None)
        return Alive(Counter(None if version is None else version.decode() for version in versions))

    async def _members(self) -> list[str]:
        return [name.decode() for name in await self._redis.smembers(self._names)]  # type: ignore[misc]

    def _key(self, name: str) -> str:
        return f"{self._names}:{name}"

    def _version_key(self, name: str) -> str:
        # Apart from the number: older versions read that key, too.
        return f"{self._names}:{name}:version"


@cache
def own_version() -> str:
    """The version of this program."""
    # Imported here because it takes 2 MB of memory for an answer that never changes.
    from importlib.metadata import version

    return version("b2b-order-enrichment")
