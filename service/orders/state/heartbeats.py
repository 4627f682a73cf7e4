"""The workers' heartbeats: which workers are alive, and how many jobs each runs."""

from redis.asyncio import Redis

# A worker without a heartbeat for this long counts as dead: five of their intervals of two seconds.
_TTL_S = 10

_WORKERS = "enrich:workers"


class Heartbeats:
    """Writes and reads heartbeats. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write(self, worker: str, running: int) -> None:
        """Report that a worker is alive and how many jobs it runs."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.sadd(_WORKERS, worker)
            pipe.set(_key(worker), running, ex=_TTL_S)
            await pipe.execute()

    async def remove(self, worker: str) -> None:
        """Forget a worker that stops."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.srem(_WORKERS, worker)
            pipe.delete(_key(worker))
            await pipe.execute()

    async def running(self) -> list[int]:
        """How many jobs each worker runs that is alive. Forgets the dead ones."""
        names = [name.decode() for name in await self._redis.smembers(_WORKERS)]  # type: ignore[misc]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.get(_key(name))
            running = await pipe.execute()
        dead = [name for name, count in zip(names, running, strict=True) if count is None]
        if dead:
            await self._redis.srem(_WORKERS, *dead)  # type: ignore[misc]
        return [int(count) for count in running if count is not None]


def _key(worker: str) -> str:
    return f"{_WORKERS}:{worker}"
