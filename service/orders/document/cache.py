"""Caches what changes seldom or is read for many orders: customers, Company users, Companies, extra-field configs.

Values are kept in Redis as JSON, so all workers of a store share them. The cache only saves calls: when Redis does
not answer, the value is read from BigCommerce. Without a Redis, values live as long as the Cache object.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

from redis.asyncio import Redis

from service.errors import TryAgain, WaitUntil
from service.orders.state.keys import people_changed_key
from service.redis.client import TRANSIENT_ERRORS

CUSTOMER_TTL_S = 600
COMPANY_TTL_S = 600
QUOTES_TTL_S = 600
NO_COMPANY_USER_TTL_S = 300
"""Buyers become Company users while they shop, and not every store has the webhooks that tell of it."""

CONFIGS_TTL_S = 600
# Extra-field configs are needed inside the window. If they cannot be refreshed, yesterday's are better than none.
CONFIGS_STALE_S = 86_400


T = TypeVar("T")

MEMORY_S = 2.0
"""So long a value that every order needs is taken from memory: in a burst, Redis is not asked for each order."""

MOST_IN_MEMORY = 1000


class ProcessMemory:
    """What the caches of one process share: a lock for each value that is being read, and values in memory.

    The values are the same objects for all who get them: they are not to be changed.
    """

    def __init__(self) -> None:
        self.locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._kept: dict[str, tuple[float, tuple[float, Any]]] = {}
        self._parsed: dict[str, tuple[Any, Any]] = {}
        self._failures: dict[str, tuple[float, Exception]] = {}

    def keep(self, key: str, stored: tuple[float, Any]) -> None:
        """Keep for ``MEMORY_S`` what is stored: when it was read, and the value."""
        if len(self._kept) >= MOST_IN_MEMORY:
            self._kept.clear()
        self._kept[key] = (time.monotonic(), stored)

    def find(self, key: str) -> tuple[float, Any] | None:
        """What is stored, where that is known."""
        kept_at, stored = self._kept.get(key, (0.0, None))
        return stored if stored is not None and time.monotonic() - kept_at < MEMORY_S else None

    def parse(self, key: str, value: Any, parse: Callable[[Any], T]) -> T:
        """What ``parse`` makes of the value. Of the same object as the last time it is known already."""
        parsed_from, parsed = self._parsed.get(key, (None, None))
        if parsed_from is not value or value is None:
            if len(self._parsed) >= MOST_IN_MEMORY:
                self._parsed.clear()
            parsed = parse(value)
            self._parsed[key] = value, parsed
        return cast("T", parsed)

    def note_failure(self, key: str, error: Exception) -> None:
        """Note that the value could not be read."""
        if len(self._failures) >= MOST_IN_MEMORY:
            self._failures.clear()
        self._failures.setdefault(key, (time.monotonic(), error))

    def failure_since(self, key: str, began: float) -> Exception | None:
        """Why the value could not be read, if somebody has tried since then."""
        failed_at, error = self._failures.get(key, (0.0, None))
        if error is not None and failed_at >= began:
            return error
        self._failures.pop(key, None)
        return None

    def forget(self, key: str) -> None:
        """Forget a value: another one was stored."""
        self._kept.pop(key, None)

    def forget_all(self, prefix: str) -> None:
        """Forget the values whose keys begin like this."""
        self._kept = {key: kept for key, kept in self._kept.items() if not key.startswith(prefix)}


class Cache:
    """One store's read-through cache."""

    def __init__(
        self,
        redis: Redis | None,
        store: str,
        *,
        memory: ProcessMemory | None = None,
        not_before: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Values older than ``not_before`` (Unix seconds) are read again: something was corrected in BigCommerce.

        Caches that have the same ``memory`` read a value once, even if many orders need it at the same moment.
        """
        self._redis = redis
        self._local: dict[str, str] = {}
        self._memory = ProcessMemory() if memory is None else memory
        self._store = store
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
        in_memory: bool = False,
        accepts: Callable[[Any], bool] = lambda _: True,
    ) -> Any:
        """Return the cached value; call ``read`` and store its result when the value is older than ``fresh_s``.

        ``refresh`` always reads, and so does a cached value that ``accepts`` refuses. With ``stale_s``, an older value
        is returned when reading fails for now. ``in_memory`` is for values of which this process may be ``MEMORY_S``
        behind others. Errors are those of ``read``.
        """
        wanted_at, began = self._clock(), time.monotonic()
        oldest = wanted_at if refresh else max(wanted_at - fresh_s, self._not_before)
        cached = await self._get(name, in_memory=in_memory)
        if cached is not None and cached[0] > oldest and accepts(cached[1]):
            return cached[1]
        async with self._lock(name):
            # Another task may have read it while this one waited for the lock.
            cached = await self._get(name)
            if cached is not None and cached[0] > oldest and accepts(cached[1]):
                return cached[1]
            try:
                # One that waited while another task tried in vain does not try again: each would wait for one more.
                if error := self._memory.failure_since(self._prefix + name, began):
                    raise error
                value = await read()
            except (TryAgain, WaitUntil) as error:
                if isinstance(error, TryAgain):  # quota that one has not, another of a higher priority may have
                    self._memory.note_failure(self._prefix + name, error)
                if cached is None or stale_s is None:
                    raise
                return cached[1]
            await self._put(name, value, stale_s or fresh_s)
            return value

    def parse(self, name: str, value: Any, parse: Callable[[Any], T]) -> T:
        """What ``parse`` makes of a cached value; one that is in memory is parsed once. Errors are those of ``parse``.

        All who ask get the same object: it is not to be changed.
        """
        return self._memory.parse(self._prefix + name, value, parse)

    @asynccontextmanager
    async def _lock(self, name: str) -> AsyncIterator[None]:
        async with self._memory.locks.setdefault(self._prefix + name, asyncio.Lock()):
            yield

    def is_in_memory(self, name: str, *, fresh_s: float) -> bool:
        """Whether a value that is not older than ``fresh_s`` can be had without asking Redis."""
        kept = self._memory.find(self._prefix + name)
        return kept is not None and kept[0] > max(self._clock() - fresh_s, self._not_before)

    async def peek(self, name: str, *, in_memory: bool = False) -> Any:
        """Return the cached value, however old, without reading it from BigCommerce. None when there is none."""
        cached = await self._get(name, in_memory=in_memory)
        return None if cached is None else cached[1]

    async def forget(self) -> None:
        """Delete all of the store's cached values. Errors are Redis's own."""
        self._local.clear()
        self._memory.forget_all(self._prefix)
        if self._redis is None:
            return
        async for key in self._redis.scan_iter(match=f"{self._prefix}*", count=1000):
            await self._redis.unlink(key)

    async def is_no_company_user(self, customer_id: int) -> bool:
        """Whether B2B Edition answered within the last five minutes that the customer is no Company user.

        Such an answer is void once a Company or a Company user of the store has changed.
        """
        answered_at = await self.no_company_user_at(customer_id)
        if answered_at is None or answered_at <= max(self._not_before, self._clock() - NO_COMPANY_USER_TTL_S):
            return False
        return answered_at > await self._people_changed_at()

    async def no_company_user_at(self, customer_id: int) -> float | None:
        """When B2B Edition last answered so, as far as that is kept; None where it did not, or it was wrong."""
        cached = await self._get(f"no-company-user:{customer_id}")
        return cached and cached[0]

    async def remember_no_company_user(
        self, customer_id: int, *, asked_at: float | None = None, keep_s: float = NO_COMPANY_USER_TTL_S
    ) -> None:
        """Remember for five minutes that the customer is no Company user, to save the calls of further orders.

        ``asked_at`` is when B2B Edition was asked, if not now: a change since then makes the answer void. For
        ``keep_s`` it is known that orders of the customer were skipped: they are tried again once that was wrong.
        """
        kept_s = max(keep_s, NO_COMPANY_USER_TTL_S)
        await self._put(f"no-company-user:{customer_id}", True, kept_s, at=asked_at)

    async def _people_changed_at(self) -> float:
        """When a Company or a Company user of the store last changed, as far as a webhook told; 0 if never."""
        if self._redis is None:
            return 0.0
        try:
            return int(await self._redis.get(people_changed_key(self._store)) or 0) / 1000
        except TRANSIENT_ERRORS:
            return self._clock()  # unknown: then nothing is remembered

    async def forget_no_company_user(self, customer_id: int) -> None:
        """Delete that entry: the customer is a Company user now. Errors are Redis's own."""
        self._local.pop(f"no-company-user:{customer_id}", None)
        if self._redis is not None:
            await self._redis.delete(f"{self._prefix}no-company-user:{customer_id}")

    async def _get(self, name: str, *, in_memory: bool = False) -> tuple[float, Any] | None:
        key = self._prefix + name
        if in_memory and (kept := self._memory.find(key)):
            return kept
        stored = await self._read(name)
        if in_memory and stored is not None:
            self._memory.keep(key, stored)
        return stored

    async def _read(self, name: str) -> tuple[float, Any] | None:
        try:
            raw = await self._redis.get(self._prefix + name) if self._redis else self._local.get(name)
        except TRANSIENT_ERRORS:
            return None
        if raw is None:
            return None
        try:
            stored_at, value = json.loads(raw)
            return float(stored_at), value
        except (TypeError, ValueError):
            return None  # written by another program or version

    async def _put(self, name: str, value: Any, ttl_s: float, *, at: float | None = None) -> None:
        raw = json.dumps([self._clock() if at is None else at, value])
        self._memory.forget(self._prefix + name)
        if self._redis is None:
            self._local[name] = raw
            return
        try:
            await self._redis.set(self._prefix + name, raw, ex=int(ttl_s))
        except TRANSIENT_ERRORS:
            return
        finally:
            self._memory.forget(self._prefix + name)  # somebody may have read the old value meanwhile
