"""The budget of a store's API quotas, shared by all processes through Redis, with priorities.

An API accepts a fixed number of calls in a window of time, from all apps together. Each call is taken off the budget
before it is sent. The headers of its answer correct the budget, because other apps spend from the same quota. The
budget guesses two things: when a window starts, and what other apps spend. Where it guesses too high, BigCommerce
answers 429.

A call usually costs one script in Redis; a second one follows only when its answer differs from what is known.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.bigcommerce import lua
from service.bigcommerce.apis import Api
from service.bigcommerce.quota_headers import Quota
from service.errors import OutOfBudget
from service.logs import Event
from service.redis.reading import read_together

REDIS_TIMEOUT_S = 1.0
"""No call waits longer than this for Redis: then it is sent without a budget."""

KEEP_S = 600
"""How long a store's limits are kept after its last window."""

CLEAR_AT = 500
"""At so many known windows, those that are over are forgotten: most stores make a call every few minutes."""

RESET_TOLERANCE_S = 0.1
"""A reported reset that is earlier by less than this changes nothing: answers take unequal times."""


class _FirstWindow(NamedTuple):
    limit: int
    window_s: float


# What a store has on the smallest plan.
_AT_FIRST = {Api.CORE: _FirstWindow(150, 30.0), Api.B2B: _FirstWindow(150, 60.0)}

_log = structlog.get_logger()


class Priority(IntEnum):
    """The purpose of a call; the lower the number, the sooner it may spend."""

    CREATE = 1
    """What an order needs inside its window."""
    CREATE_ELSEWHERE = 2
    """A Create that can also go over another API: what is left last is kept for those that cannot."""
    VERIFY_MANY = 3
    """Reading back many records in one call: it costs each order next to nothing."""
    VERIFY = 4
    """Reading back one record, and polling for orders while webhooks fail."""
    RECOVER = 5
    """Orders whose window has closed."""
    BACKGROUND = 6
    """Reconciliation, re-verification, backfill: they can always wait."""

    @property
    def reserve_percent(self) -> int:
        """How much of the limit is kept for higher priorities. It shrinks to nothing by the end of a window."""
        return _RESERVE_PERCENT[self]


def quota_of(api: Api, priority: Priority) -> Api | None:
    """The API whose quota a call is taken off; None: it is not counted.

    BigCommerce's documentation names one limit for the APIs of B2B Edition, and does not say whether the storefront
    API is one of them. So what can wait there is taken off B2B Edition's quota, in case it is. A Create is not: the
    storefront is its way out when that quota is spent.
    """
    if api is not Api.STOREFRONT:
        return api
    return None if priority is Priority.CREATE else Api.B2B


_RESERVE_PERCENT = {
    Priority.CREATE: 0,
    Priority.CREATE_ELSEWHERE: 30,
    Priority.VERIFY_MANY: 80,
    Priority.VERIFY: 95,
    Priority.RECOVER: 96,
    Priority.BACKGROUND: 98,
}


@dataclass(frozen=True, slots=True)
class Spent:
    """A call that was taken off a budget, and the window it was taken off."""

    store: str
    api: Api
    window: int


@dataclass(frozen=True, slots=True)
class BudgetState:
    """``left`` of ``limit`` calls until the window of ``window_s`` seconds resets; a guess until an answer comes."""

    limit: int
    left: int
    window_s: float
    resets_in_s: float
    is_guess: bool

    def wait_s(self, priority: Priority, calls: int) -> float:
        """Seconds until so many calls would be granted if nothing else is spent; 0 for now.

        It is what the script of ``Budget.spend`` computes, without spending.
        """
        if self.left < calls:
            return self.resets_in_s
        if not priority.reserve_percent:
            return 0.0
        spread_s = (self.left - calls) * 100 * self.window_s / (priority.reserve_percent * self.limit)
        return max(0.0, self.resets_in_s - spread_s)


@dataclass(slots=True)
class _Window:
    """A window as this process knows it; ``resets_at`` is on its own clock."""

    id: int
    left: int
    resets_at: float
    length_s: float
    is_guess: bool

    def is_news(self, left: int, resets_in_s: float, now: float) -> bool:
        """Whether an answer may change the budget: it reports another window, or less left than is known here."""
        ahead = now + resets_in_s - self.resets_at
        return self.is_guess or left < self.left or not -RESET_TOLERANCE_S <= ahead <= self.length_s / 2


class Budget:
    """The budgets of all stores. Times are Redis's, unless a ``clock`` (in seconds) is given."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] | None = None) -> None:
        self._redis = redis
        self._clock = clock
        self._windows: dict[tuple[str, Api], _Window] = {}
        self._clear_at = CLEAR_AT
        self._logged: dict[tuple[str, Api], int] = {}

    async def spend(
        self,
        store: str,
        api: Api,
        priority: Priority,
        *,
        operation: str,
        calls: int = 1,
        unless: str | None = None,
    ) -> Spent | None:
        """Take ``calls`` off the store's budget for this API: all of them or none.

        Raises OutOfBudget when nothing is left, when the rest is kept for higher priorities, or while the key
        ``unless`` exists; it says in how many seconds this priority may spend again if nothing else is spent. Returns
        None when the call is not counted, or when Redis does not answer; and for the storefront API, whose answers
        correct no other API's budget.
        """
        if (counted := quota_of(api, priority)) is None:
            return None
        if counted is not api:
            await self.spend(store, counted, priority, operation=operation, calls=calls, unless=unless)
            return None
        first = _AT_FIRST[api]
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                granted, wait_ms, *window = await lua.spend_budget(
                    self._redis,
                    budget=_key(store, api),
                    unless=unless,
                    now_ms=self._now_ms(),
                    keep_ms=KEEP_S * 1000,
                    first_limit=first.limit,
                    first_length_ms=int(first.window_s * 1000),
                    reserve_percent=priority.reserve_percent,
                    calls=calls,
                )
        except (RedisError, TimeoutError):
            return None  # the order is more important, and BigCommerce limits calls anyway
        known = self._update(store, api, window)
        if granted > 0:
            return Spent(store, api, known.id)
        if granted == 0 and priority is Priority.CREATE:
            self._log_spent(store, api, known.id, resets_in_ms=window[2])
        raise OutOfBudget(operation, seconds=wait_ms / 1000)

    async def correct(self, spent: Spent, quota: Quota, *, refused: bool = False) -> None:
        """Correct the budget by an answer's quota headers; ``refused`` when the answer was 429.

        Headers without the calls left or the time of the reset change nothing. Errors of Redis are ignored.
        """
        left = 0 if refused else quota.left
        known = self._windows.get((spent.store, spent.api))
        if left is None or quota.resets_in_s is None:
            return
        if known and not known.is_news(left, quota.resets_in_s, self._now()):
            return
        first = _AT_FIRST[spent.api]
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                window = await lua.correct_budget(
                    self._redis,
                    budget=_key(spent.store, spent.api),
                    now_ms=self._now_ms(),
                    keep_ms=KEEP_S * 1000,
                    first_limit=first.limit,
                    first_length_ms=int(first.window_s * 1000),
                    spent_window=spent.window,
                    reported_left=left,
                    reported_reset_ms=math.ceil(quota.resets_in_s * 1000),
                    reported_limit=quota.limit or None,
                    reported_length_ms=quota.window_s * 1000 if quota.window_s else None,
                )
        except (RedisError, TimeoutError):
            return  # the next answer corrects it
        self._update(spent.store, spent.api, window)

    def spent_for_s(self, store: str, api: Api) -> float:
        """Seconds until the quota resets where this process knows that nothing is left of it; else 0. No call."""
        known = self._windows.get((store, api))
        return max(0.0, known.resets_at - self._now()) if known and known.left <= 0 else 0.0

    async def left(self, store: str, api: Api) -> BudgetState | None:
        """What is left of a quota now; None when nothing is known of it. Errors are Redis's own."""
        return (await self.left_of([store]))[store].get(api)

    async def left_of(self, stores: Collection[str]) -> dict[str, dict[Api, BudgetState]]:
        """What is left now of all known quotas of these stores. Errors are Redis's own."""
        names = ("limit", "length", "left", "resets_at", "guessed")
        hashes_of = [("HMGET", _key(store, api), *names) for store in stores for api in _AT_FIRST]
        (seconds, microseconds), *stored = await read_together(self._redis, [("TIME",), *hashes_of])
        now = self._clock() if self._clock else int(seconds) + int(microseconds) / 1e6
        hashes = iter(stored)
        states = {store: {api: _state(next(hashes), now) for api in _AT_FIRST} for store in stores}
        return {
            store: {api: state for api, state in by_api.items() if state is not None}
            for store, by_api in states.items()
        }

    def _now_ms(self) -> str | None:
        return f"{self._clock() * 1000:.3f}" if self._clock else None

    def _now(self) -> float:
        return self._clock() if self._clock else time.monotonic()

    def _update(self, store: str, api: Api, answer: Sequence[int]) -> _Window:
        """Keep the window that a script returned. Answers can overtake each other, so the lowest ``left`` counts."""
        window_id, left, resets_in_ms, length_ms, guessed = answer
        before = self._windows.get((store, api))
        if before and before.id == window_id:
            left = min(left, before.left)
        window = _Window(window_id, left, self._now() + resets_in_ms / 1000, length_ms / 1000, bool(guessed))
        self._windows[store, api] = window
        if len(self._windows) >= self._clear_at:
            self._clear()
        return window

    def _clear(self) -> None:
        """Forget windows that are over. What is left decides when that is worth the time again."""
        now = self._now()
        self._windows = {key: window for key, window in self._windows.items() if window.resets_at > now}
        self._logged = {key: window for key, window in self._logged.items() if key in self._windows}
        self._clear_at = max(CLEAR_AT, 2 * len(self._windows))

    def _log_spent(self, store: str, api: Api, window_id: int, *, resets_in_ms: int) -> None:
        """Log once in a window that orders have to wait."""
        if self._logged.get((store, api)) == window_id:
            return
        self._logged[store, api] = window_id
        priority = Priority.CREATE.name.lower()
        _log.warning(Event.QUOTA_SPENT, store=store, api=api.value, priority=priority, resets_in_ms=resets_in_ms)


def _key(store: str, api: Api) -> str:
    return f"enrich:budget:{api}:{store}"


def _state(stored: Sequence[str | None], now: float) -> BudgetState | None:
    if None in stored:
        return None
    limit, length_ms, left, resets_at_ms, guessed = (float(number) for number in stored if number is not None)
    resets_in_s = resets_at_ms / 1000 - now
    if resets_in_s <= 0:  # the next call begins a window
        return BudgetState(int(limit), int(limit), length_ms / 1000, length_ms / 1000, is_guess=True)
    return BudgetState(int(limit), int(left), length_ms / 1000, resets_in_s, is_guess=bool(guessed))
