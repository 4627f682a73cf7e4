"""What changes seldom and is read for many orders: customers, Company users, Companies, extra-field configs.

Kept in Redis as JSON, so that all workers of a store share it. The cache only saves calls: when Redis does not
answer, the value is read from BigCommerce. Without a Redis at all it is kept for the cache's own life.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from service.errors import TryAgain, WaitUntil
from service.redis.client import TRANSIENT_ERRORS

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
        redis: Redis | None,
        store: str,
        *,
        reading: dict[str, asyncio.Lock] | None = None,
        not_before: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """What was read before ``not_before`` is read from BigCommerce again: somebody has mended something there.

        Caches that share ``reading`` read a thing once, however many orders want it at the same moment.
        """
        self._redis = redis
        self._own: dict[str, str] = {}
        self._reading = {} if reading is None else reading
        self._prefix = f"enrich:cache:{store}:"
        self._not_before = not_before
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
        oldest = wanted_at if refresh else max(wanted_at - fresh_s, self._not_before)
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

    async def remembered(self, name: str) -> Any:
        """The value called ``name`` as it was read last, however old; None when there is none."""
        found = await self._get(name)
        return None if found is None else found[1]

    async def forget(self) -> None:
        """Forget all that was read, so that it is read from BigCommerce again. Errors are Redis's own."""
        self._own.clear()
        if self._redis is None:
            return
        async for key in self._redis.scan_iter(match=f"{self._prefix}*", count=1000):
            await self._redis.unlink(key)

    async def is_no_company_user(self, customer_id: int) -> bool:
        """True when B2B Edition said within the hour that the customer is no Company user."""
        found = await self._get(f"no-company-user:{customer_id}")
        return found is not None and found[0] > self._not_before

    async def remember_no_company_user(self, customer_id: int) -> None:
        """Save the calls for this customer for an hour."""
        await self._put(f"no-company-user:{customer_id}", True, NO_COMPANY_USER_S)

    async def forget_no_company_user(self, customer_id: int) -> None:
        """The customer is known to be a Company user by now. Errors are Redis's own."""
        self._own.pop(f"no-company-user:{customer_id}", None)
        if self._redis is not None:
            await self._redis.delete(f"{self._prefix}no-company-user:{customer_id}")

    async def _get(self, name: str) -> tuple[float, Any] | None:
        try:
            raw = await self._redis.get(self._prefix + name) if self._redis else self._own.get(name)
        except TRANSIENT_ERRORS:
            return None
        if raw is None:
            return None
        try:
            stored_at, value = json.loads(raw)
            return float(stored_at), value
        except (TypeError, ValueError):
            return None  # not ours, or of another version

    async def _put(self, name: str, value: Any, keep_s: float) -> None:
        raw = json.dumps([self._clock(), value])
        if self._redis is None:
            self._own[name] = raw
            return
        try:
            await self._redis.set(self._prefix + name, raw, ex=int(keep_s))
        except TRANSIENT_ERRORS:
            return
