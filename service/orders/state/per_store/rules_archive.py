"""Keeps the rules that orders were written with, by version: later changes of an order are followed with those."""

import time
from collections.abc import Callable
from contextlib import suppress

from redis.asyncio import Redis

from service.errors import ConfigError
from service.orders.state.keys import rules_key
from service.redis.errors import TRANSIENT_ERRORS
from service.rules import RuleSet

KEEP_S = 40 * 86_400
"""Longer than any order is followed."""

REFRESH_S = 86_400.0


class RulesArchive:
    """The rules of all stores."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._kept: dict[tuple[str, str], float] = {}

    async def keep(self, store: str, rules: RuleSet) -> None:
        """Keep the rules of an order that is about to be written; at most once a day for a version.

        Errors of Redis are ignored: the order is worth more than that it can be followed.
        """
        key, now = (store, rules.version), self._clock()
        if now - self._kept.get(key, -REFRESH_S) < REFRESH_S:
            return
        with suppress(*TRANSIENT_ERRORS):
            await self._redis.set(rules_key(*key), rules.to_json(), ex=KEEP_S)
            self._kept[key] = now

    async def find(self, store: str, version: str) -> RuleSet | None:
        """The rules of that version; None when they are gone or cannot be read. Raises Redis's errors."""
        kept = await self._redis.get(rules_key(store, version))
        try:
            return RuleSet.from_json(kept.decode()) if kept else None
        except (ConfigError, ValueError, TypeError):
            return None
