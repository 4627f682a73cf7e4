"""Pauses: while a store is paused, nothing is written for it, whatever the stores file says.

The scripts that save an order before a write look for the pause (``transition.lua``), so it holds at once, costs no
call of its own, and survives restarts.
"""

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from service.orders.state.clocks import redis_time
from service.orders.state.keys import paused_key


class Pause(BaseModel):
    """Since when the store is paused (seconds since the epoch), and by whom; None where that cannot be read."""

    model_config = ConfigDict(frozen=True)

    since: float | None = None
    who: str | None = None


class Pauses:
    """The pauses of all stores. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def begin(self, store: str, who: str) -> bool:
        """Pause the store; False where it is paused already: then that pause stays as it is."""
        pause = Pause(since=await redis_time(self._redis), who=who)
        return bool(await self._redis.set(paused_key(store), pause.model_dump_json(), nx=True))

    async def end(self, store: str) -> bool:
        """End the store's pause; False where it is not paused. ``HeldOrders.release`` lets its orders go on."""
        return bool(await self._redis.delete(paused_key(store)))

    async def read(self, store: str) -> Pause | None:
        """The store's pause; None where it is not paused."""
        return (await self.read_all([store]))[store]

    async def read_all(self, stores: Collection[str]) -> dict[str, Pause | None]:
        """The pauses of these stores, in one call."""
        found = await self._redis.mget([paused_key(store) for store in stores]) if stores else []
        return {store: _parse(raw) for store, raw in zip(stores, found, strict=True)}


def _parse(raw: bytes | None) -> Pause | None:
    if raw is None:
        return None
    try:
        return Pause.model_validate_json(raw)
    except ValidationError:
        return Pause()  # of another version: the scripts only look whether there is one
