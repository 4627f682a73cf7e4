"""What a store's quotas have left, shared by all processes through Redis, and who may spend it.

An API takes so many calls in a window of time, whoever sends them. Each call is taken off here before it is sent, and
what its answer's headers tell corrects the account: other apps spend too. The account is a guess in two places, the
start of a window and what others spend; where it is too generous, BigCommerce's own 429 has the last word.

The usual call costs one script in Redis; a second one follows when its answer brings news.
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
from service.bigcommerce.quota import Quota
from service.errors import OutOfBudget
from service.logs import Event

PATIENCE_S = 1.0
"""No call waits longer than this for Redis: it goes out unbudgeted then."""

KEEP_S = 600
"""How long a store's limits are remembered after its last window."""

TOLERANCE_S = 0.1
"""A reset that is told to be earlier by less than this is no news: answers take unequal times."""


class _FirstWindow(NamedTuple):
    limit: int
    window_s: float


# What a store has on the smallest plan. The storefront API's quota is unknown, so its calls are not counted.
_AT_FIRST = {Api.CORE: _FirstWindow(150, 30.0), Api.B2B: _FirstWindow(150, 60.0)}

_log = structlog.get_logger()


class Priority(IntEnum):
    """What a call is for; the lower the number, the sooner it may spend."""

    CREATE = 1
    """What an order needs inside its window."""
    VERIFY_MANY = 2
    """Reading many records back in one call: it costs each of the orders next to nothing."""
    VERIFY = 3
    """Reading back, and polling for orders while webhooks fail."""
    RECOVER = 4
    """Orders whose window has closed."""
    BACKGROUND = 5
    """Reconciliation, second looks, backfill: it can always wait."""

    @property
    def reserve_percent(self) -> int:
        """How much of the limit is kept for higher priorities at a window's start; it shrinks to nothing by its end."""
        return _RESERVE_PERCENT[self]


_RESERVE_PERCENT = {
    Priority.CREATE: 0,
    Priority.VERIFY_MANY: 80,
    Priority.VERIFY: 95,
    Priority.RECOVER: 96,
    Priority.BACKGROUND: 98,
}


@dataclass(frozen=True, slots=True)
class Spent:
    """A call that was taken off a budget: whose, and in which window."""

    store: str
    api: Api
    window: int


@dataclass(frozen=True, slots=True)
class BudgetState:
    """``left`` of ``limit`` calls until the window of ``window_s`` seconds resets; a guess until an answer told."""

    limit: int
    left: int
    window_s: float
    resets_in_s: float
    is_guess: bool


@dataclass(slots=True)
class _View:
    """The window as this process saw it last; ``resets_at`` on its own clock."""

    window: int
    left: int
    resets_at: float
    length_s: float
    is_guess: bool

    def is_news(self, left: int, resets_in_s: float, now: float) -> bool:
        """Whether an answer tells what Redis may not know: another window, or less left than we thought."""
        ahead = now + resets_in_s - self.resets_at
        return self.is_guess or left < self.left or not -TOLERANCE_S <= ahead <= self.length_s / 2


class Budget:
    """The budgets of all stores. Redis's clock is the clock, unless ``clock`` (seconds) is given."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] | None = None) -> None:
        self._redis = redis
        self._clock = clock
        self._views: dict[tuple[str, Api], _View] = {}
        self._told_of: dict[tuple[str, Api], int] = {}

    async def spend(self, store: str, api: Api, priority: Priority, *, operation: str, calls: int = 1) -> Spent | None:
        """Take so many calls off the store's budget for this API, at once and all of them or none.

        Raises OutOfBudget, with the seconds after which this priority may spend again if nobody else does, when
        nothing is left or what is left is kept for higher priorities. Returns None when the call is not counted: the
        API has no known quota, or Redis does not answer.
        """
        if (first := _AT_FIRST.get(api)) is None:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                granted, wait_ms, *window = await lua.spend_budget(
                    self._redis,
                    budget=_key(store, api),
                    now_ms=self._now_ms(),
                    keep_ms=KEEP_S * 1000,
                    first_limit=first.limit,
                    first_length_ms=int(first.window_s * 1000),
                    reserve_percent=priority.reserve_percent,
                    calls=calls,
                )
        except (RedisError, TimeoutError):
            return None  # the order matters more; BigCommerce still counts
        view = self._see(store, api, window)
        if granted:
            return Spent(store, api, view.window)
        if priority is Priority.CREATE:
            self._tell(store, api, view.window, resets_in_ms=window[2])
        raise OutOfBudget(operation, seconds=wait_ms / 1000)

    async def correct(self, spent: Spent, quota: Quota, *, refused: bool = False) -> None:
        """Take in what an answer's headers tell of the quota; ``refused`` when the answer was 429.

        Headers that lack what is left, or when it resets, change nothing. Nor does a Redis that does not answer.
        """
        left = 0 if refused else quota.left
        view = self._views.get((spent.store, spent.api))
        if left is None or quota.resets_in_s is None:
            return
        if view and not view.is_news(left, quota.resets_in_s, self._now()):
            return
        first = _AT_FIRST[spent.api]
        try:
            async with asyncio.timeout(PATIENCE_S):
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
            return  # the next answer tells it again
        self._see(spent.store, spent.api, window)

    async def left(self, store: str, api: Api) -> BudgetState | None:
        """What is left now; None while nothing is known. Errors are Redis's own."""
        return (await self.left_of([store]))[store].get(api)

    async def left_of(self, stores: Collection[str]) -> dict[str, dict[Api, BudgetState]]:
        """What is left now of the quotas that something is known of, for many stores. Errors are Redis's own."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for store in stores:
                for api in _AT_FIRST:
                    pipe.hmget(_key(store, api), ["limit", "length", "left", "resets_at", "guessed"])
            (seconds, microseconds), *stored = await pipe.execute()
        now = self._clock() if self._clock else seconds + microseconds / 1e6
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

    def _see(self, store: str, api: Api, window: Sequence[int]) -> _View:
        """Note the window as a script returned it. Scripts' answers overtake each other: the lowest ``left`` holds."""
        number, left, resets_in_ms, length_ms, guessed = window
        before = self._views.get((store, api))
        if before and before.window == number:
            left = min(left, before.left)
        view = _View(number, left, self._now() + resets_in_ms / 1000, length_ms / 1000, bool(guessed))
        self._views[store, api] = view
        return view

    def _tell(self, store: str, api: Api, window: int, *, resets_in_ms: int) -> None:
        """Say once in a window that orders have to wait."""
        if self._told_of.get((store, api)) == window:
            return
        self._told_of[store, api] = window
        priority = Priority.CREATE.name.lower()
        _log.warning(Event.QUOTA_SPENT, store=store, api=api.value, priority=priority, resets_in_ms=resets_in_ms)


def _key(store: str, api: Api) -> str:
    return f"enrich:budget:{api}:{store}"


def _state(stored: Sequence[bytes | None], now: float) -> BudgetState | None:
    if None in stored:
        return None
    limit, length_ms, left, resets_at_ms, guessed = (float(number) for number in stored if number is not None)
    resets_in_s = resets_at_ms / 1000 - now
    if resets_in_s <= 0:  # the next call begins a window
        return BudgetState(int(limit), int(limit), length_ms / 1000, length_ms / 1000, is_guess=True)
    return BudgetState(int(limit), int(left), length_ms / 1000, resets_in_s, is_guess=bool(guessed))
