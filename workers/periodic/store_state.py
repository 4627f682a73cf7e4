"""What Redis knows of a store that is about to be reconciled, read for many stores in one exchange."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redis.asyncio import Redis

from service.hooks import parse_problems
from service.orders.state.keys import (
    breaker_key,
    cursor_key,
    held_key,
    hook_key,
    polling_key,
    waiting_key,
    webhook_pace_key,
)
from workers.periodic.cursor import Cursor
from workers.periodic.polling import PollingState
from workers.periodic.reconcile_interval import Evidence
from workers.periodic.webhook_pace import PACE_FIELDS, WebhookPace

T = TypeVar("T")

GATHER_S = 0.005
"""How long a read waits for others to share its exchange. Jobs that were claimed together begin within so long."""

MAX_STORES = 500
"""The stores of one exchange: it must not keep other commands waiting."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """A store's state at one moment. ``hooks_checked_at`` is when the hook monitor last ran, on our clock."""

    is_locked_out: bool
    """Whether BigCommerce refuses its credentials."""
    polling: PollingState | None
    cursor: Cursor | None
    pace: WebhookPace
    has_hook_problem: bool
    hooks_checked_at: float | None
    held: int
    """How many orders are held because nothing might be written."""
    await_status: int
    """How many orders wait for their status."""

    def evidence(self, now: float, cursor: Cursor | None) -> Evidence:
        """What this says of the store's webhooks, with a cursor that may be newer."""
        return Evidence(
            now=now,
            last_order_at=cursor.last_order_at if cursor else None,
            webhook_at=self.pace.last_at,
            late_at=self.pace.late_at,
            untold_at=cursor.untold_at if cursor else None,
            is_polled=self.polling is not None,
            has_hook_problem=self.has_hook_problem,
            hooks_checked_at=self.hooks_checked_at,
            orders_wait=bool(self.held or self.await_status),
        )


@dataclass(frozen=True, slots=True)
class News:
    """Whether the store is polled now, and when a webhook for a new order last came, in time or late (0: never)."""

    is_polled: bool
    webhook_at: float


class StoreStates:
    """Reads the state of stores. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._states = SharedReads(self._read)
        self._news = SharedReads(self._read_news)

    async def read(self, store: str, *, interval_s: float) -> StoreState:
        """The state of a store that is reconciled every ``interval_s``."""
        locked_out, polling, cursor, pace, (troubles, checked_at), held, await_status = await self._states.read(store)
        return StoreState(
            bool(locked_out),
            PollingState.parse(polling),
            Cursor.parse(cursor),
            WebhookPace.parse(pace, interval_s=interval_s),
            any(problem.blocks_delivery for problem in parse_problems(troubles)),
            None if checked_at is None else float(checked_at),
            held,
            await_status,
        )

    async def news(self, store: str) -> News:
        """What may have come since the state was read."""
        polling, (last, late) = await self._news.read(store)
        return News(polling is not None, max(float(last or 0), float(late or 0)) / 1000)

    async def _read(self, stores: Sequence[str]) -> Sequence[Sequence[Any]]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for store in stores:
                pipe.exists(breaker_key(store))
                pipe.get(polling_key(store))
                pipe.get(cursor_key(store))
                pipe.hmget(webhook_pace_key(store), list(PACE_FIELDS))
                pipe.hmget(hook_key(store), ["troubles", "checked_at"])
                pipe.zcard(held_key(store))
                pipe.zcard(waiting_key(store))
            answers = await pipe.execute()
        return list(zip(*[iter(answers)] * 7, strict=True))

    async def _read_news(self, stores: Sequence[str]) -> Sequence[Sequence[Any]]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for store in stores:
                pipe.get(polling_key(store))
                pipe.hmget(webhook_pace_key(store), ["last_ms", "late_ms"])
            answers = await pipe.execute()
        return list(zip(*[iter(answers)] * 2, strict=True))


class SharedReads(Generic[T]):
    """Reads one thing for each store: those that are asked for within a moment share one call of ``read_many``.

    That call returns the answers in the order of the stores; what it raises, each of the callers gets.
    """

    def __init__(self, read_many: Callable[[Sequence[str]], Awaitable[Sequence[T]]]) -> None:
        self._read_many = read_many
        self._waiting: list[tuple[str, asyncio.Future[T]]] = []
        self._reading = set[asyncio.Task[None]]()

    async def read(self, store: str) -> T:
        """The store's answer."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._waiting.append((store, answer))
        if len(self._waiting) == 1:
            loop.call_later(GATHER_S, self._begin, context=Context())  # it works for several jobs
        return await answer

    def _begin(self) -> None:
        task = asyncio.get_running_loop().create_task(self._read_all())
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), MAX_STORES):
            await self._answer(waiting[first : first + MAX_STORES])

    async def _answer(self, waiting: Sequence[tuple[str, "asyncio.Future[T]"]]) -> None:
        try:
            answers = await self._read_many([store for store, _ in waiting])
        except Exception as error:
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), value in zip(waiting, answers, strict=True):
            if not answer.done():
                answer.set_result(value)
