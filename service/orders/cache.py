"""What changes seldom and is read for many orders: customers, Company users, Companies, extra-field configs.

Kept in Redis as JSON, so that all workers of a store share it. The cache only saves calls: when Redis does not
answer, the value is read from BigCommerce.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from service.errors import TryAgain, WaitUntil
from service.redisdb import PASSING

CUSTOMER_S = 600
COMPANY_S = 600
NO_COMPANY_USER_S = 3600
CONFIGS_S = 600
# Extra-field configs are wanted inside the window: when they cannot be refreshed, yesterday's are better than none.
CONFIGS_STALE_S = 86_400


class Cache:
    """One store's cache."""

    def __init__(
        self,
        redis: Redis,
        store: str,
        *,
        reading: dict[str, asyncio.Lock] | None = None,
        anew: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """With ``anew`` all is read from BigCommerce again: somebody has just mended something there.

        Caches that share ``reading`` read a thing once, however many orders want it at the same moment.
        """
        self._redis = redis
        self._reading = {} if reading is None else reading
        self._prefix = f"enrich:cache:{store}:"
        self._anew = anew
        self._clock = clock

    async def get_or_read(
        self,
        name: str,
        read: Callable[[], Awaitable[Any]],
        *,
        fresh_s: float,
        stale_s: float | None = None,
        refresh: bool = False,
    ) -> Any:
        """The value called ``name``; ``read`` gets it when it is older than ``fresh_s`` or a refresh is wanted.

        With ``stale_s`` an older value still serves when reading fails for now. Errors are those of ``read``.
        """
        wanted_at = self._clock()
        oldest = wanted_at if refresh or self._anew else wanted_at - fresh_s
        found = await self._get(name)
        if found is not None and found[0] > oldest:
            return found[1]
        async with self._turn(name):
            # Whoever was first has read it for all who waited.
            found = await self._get(name)
            if found is not None and found[0] > oldest:
                return found[1]
            try:
                value = await read()
            except (TryAgain, WaitUntil):
                if found is None or stale_s is None:
                    raise
                return found[1]
            await self._put(name, value, stale_s or fresh_s)
            return value

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        key = self._prefix + name
        lock = self._reading.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._reading.pop(key, None)

    async def is_no_company_user(self, customer_id: int) -> bool:
        """True when B2B Edition said within the hour that the customer is no Company user."""
        return not self._anew and await self._get(f"no-company-user:{customer_id}") is not None

    async def remember_no_company_user(self, customer_id: int) -> None:
        """Save the calls for this customer for an hour."""
        await self._put(f"no-company-user:{customer_id}", True, NO_COMPANY_USER_S)

    async def _get(self, name: str) -> tuple[float, Any] | None:
        try:
            raw = await self._redis.get(self._prefix + name)
        except PASSING:
            return None
        if raw is None:
            return None
        try:
            stored_at, value = json.loads(raw)
            return float(stored_at), value
        except (TypeError, ValueError):
            return None  # not ours, or of another version

    async def _put(self, name: str, value: Any, keep_s: float) -> None:
        try:
            await self._redis.set(self._prefix + name, json.dumps([self._clock(), value]), ex=int(keep_s))
        except PASSING:
            return
