"""The last versions of a store's rules, as text, with who saved them and when."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from redis.asyncio import Redis

from service.orders.state.keys import rules_history_key

KEEP = 50
"""Versions of a store. Rules of 10 KB make 0.5 MB."""

UNKNOWN = "outside the console"
"""Who changed rules in the file by another way."""


@dataclass(frozen=True, slots=True)
class RulesVersion:
    """One version: ``text`` are the rules, ``saved_at`` is in Unix seconds, ``digest`` that of the whole file then."""

    id: str
    saved_at: float
    who: str
    text: str
    digest: str


class RulesHistory:
    """The versions of all stores. Errors are Redis's own."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock

    async def add(self, store: str, who: str, text: str, digest: str, *, before: str = "") -> None:
        """Keep the rules that somebody saved; also those ``before``, which they replaced, if nobody saved them here."""
        versions = await self.list(store)
        key, now = rules_history_key(store), self._clock()
        new = [RulesVersion(f"{now * 1000:.0f}", now, who, text, digest)]
        if before and (not versions or versions[0].text != before):
            new.insert(0, RulesVersion(f"{now * 1000 - 1:.0f}", now, UNKNOWN, before, ""))
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.lpush(key, *(json.dumps(asdict(version)) for version in new))
            pipe.ltrim(key, 0, KEEP - 1)
            await pipe.execute()

    async def list(self, store: str) -> list[RulesVersion]:
        """The versions, the newest first."""
        kept = await self._redis.lrange(rules_history_key(store), 0, KEEP - 1)  # type: ignore[misc]
        return [RulesVersion(**json.loads(version)) for version in kept]

    async def find(self, store: str, version_id: str) -> RulesVersion | None:
        """A version; None when it is gone."""
        return next((version for version in await self.list(store) if version.id == version_id), None)
