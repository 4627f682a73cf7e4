"""Groups of failed orders that somebody has muted for a while: until then nobody is told of their orders.

Their page shows them folded, and the overview, the alerts and the messages do not count them.
"""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Self

from redis.asyncio import Redis

from service.orders.state.clocks import redis_time
from service.redis.reading import pairs, read_together

MUTE_S_MAX = 30 * 86_400
"""No mute is longer."""


@dataclass(frozen=True, slots=True)
class Mute:
    """Who has muted a group, when, and until when; seconds since the epoch, on Redis's clock."""

    who: str
    at: float
    until: float

    @classmethod
    def from_json(cls, text: str | bytes) -> Self | None:
        """None where another version of this program wrote something else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None


class MutedGroups:
    """Keeps which groups are muted. Reading writes nothing. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of(self, store: str) -> Mapping[str, Mute]:
        """The store's muted groups, by their ids."""
        return (await self.of_all([store]))[store]

    async def of_all(self, stores: Collection[str]) -> dict[str, Mapping[str, Mute]]:
        """The muted groups of each store."""
        hashes = [("HGETALL", _key(store)) for store in stores]
        now, stored = await asyncio.gather(redis_time(self._redis), read_together(self._redis, hashes))
        read = [{name: Mute.from_json(text) for name, text in pairs(answer).items()} for answer in stored]
        return {
            store: {name: mute for name, mute in found.items() if mute and mute.until > now}
            for store, found in zip(stores, read, strict=True)
        }

    async def mute(self, store: str, group: str, who: str, seconds: float) -> None:
        """Mute a group from now on; it replaces a mute that is there. What has expired is removed."""
        now = await redis_time(self._redis)
        expired = [name for name, mute in (await self._read(store)).items() if not mute or mute.until <= now]
        until = now + min(seconds, MUTE_S_MAX)
        async with self._redis.pipeline(transaction=True) as pipe:
            if expired:
                pipe.hdel(_key(store), *expired)
            pipe.hset(_key(store), group, json.dumps(asdict(Mute(who, now, until))))
            pipe.expire(_key(store), MUTE_S_MAX)
            await pipe.execute()

    async def unmute(self, store: str, group: str) -> None:
        """Show a group again."""
        await self._redis.hdel(_key(store), group)  # type: ignore[misc]

    async def _read(self, store: str) -> dict[str, Mute | None]:
        stored = await self._redis.hgetall(_key(store))  # type: ignore[misc]
        return {name.decode(): Mute.from_json(text) for name, text in stored.items()}


def _key(store: str) -> str:
    return f"enrich:muted-failures:{store}"
