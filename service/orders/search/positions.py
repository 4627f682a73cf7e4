"""In which order a search goes through the ledger: newest first over the indexes of several stores, in batches.

Paging goes by an order's place in its index, not by an offset: orders change while somebody turns the pages.
"""

import heapq
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple, Self

from redis.asyncio import Redis

from service.errors import ConfigError, Problem
from service.orders.search.order_filter import OrderFilter
from service.orders.state.keys import failed_key, index_key
from service.orders.state.order_entry import Status

_FIRST_BATCH = 60
"""Members that are read at once, of all stores together; each next batch of a store has four times as many."""

_LARGEST_BATCH = 1_000


class Position(NamedTuple):
    """Where an order stands: when it last changed (ms), its store and its id."""

    changed_ms: int
    store: str
    order_id: int

    @classmethod
    def parse(cls, cursor: str) -> Self:
        """Read what ``str`` wrote. Raises ConfigError."""
        try:
            changed_ms, store, order_id = cursor.split("-")
            return cls(int(changed_ms), store, int(order_id))
        except ValueError:
            problem = Problem("cursor", "is not one that a page has given.", "Start again at the first page.")
            raise ConfigError(problem) from None

    def __str__(self) -> str:
        return f"{self.changed_ms}-{self.store}-{self.order_id}"


async def positions(
    redis: Redis, stores: Sequence[str], wanted: OrderFilter, start: Position | None
) -> AsyncIterator[Position]:
    """The orders of these stores, the last changed first, after ``start``; those that changed at once by store."""
    streams = [_Stream(store, wanted, start) for store in sorted(stores)]
    for stream in streams:
        stream.batch = max(1, _FIRST_BATCH // len(streams))
    await _fill(redis, streams)
    heads = [(stream.sort_key, number) for number, stream in enumerate(streams) if stream.is_ready]
    heapq.heapify(heads)
    while heads:
        _, number = heads[0]
        stream = streams[number]
        yield stream.pop()
        await _fill(redis, [stream])
        if stream.is_ready:
            heapq.heapreplace(heads, (stream.sort_key, number))
        else:
            heapq.heappop(heads)


async def _fill(redis: Redis, streams: Iterable["_Stream"]) -> None:
    """Read on where nothing is ready, in one round trip for all; then a stream without orders has no more."""
    while empty := [stream for stream in streams if stream.wants_more()]:
        async with redis.pipeline(transaction=False) as pipe:
            for stream in empty:
                stream.ask(pipe)
            answers = await pipe.execute()
        for stream, answer in zip(empty, answers, strict=True):
            await stream.take(redis, answer)


class _Stream:
    """The indexes of one store, read in batches. Orders of the same millisecond come as Redis sorts them.

    The index holds 30 days. Failed orders are kept for longer, in an index of their own: those that have left the
    other one are older than all in it, so they are read last.
    """

    def __init__(self, store: str, wanted: OrderFilter, start: Position | None) -> None:
        self._store, self._start = store, start
        self._since_ms = int(wanted.since * 1000)
        self._until: str | int = "+inf" if wanted.until is None else int(wanted.until * 1000)
        self._key = failed_key(store)
        self._unless_in: str | None = None
        self._then: str | None = None
        if wanted.status is not Status.FAILED:
            self._key, self._then = index_key(store), failed_key(store)
        self._ready: deque[Position] = deque()
        self.batch = 1
        self._begin()

    def _begin(self) -> None:
        self._is_over = False
        self._max = self._until
        self._after: str | None = None  # members of the score ``_max`` that come after this one, in reverse
        if self._start is not None:
            self._start_after(self._start)

    def _start_after(self, start: Position) -> None:
        if self._store == start.store:
            self._max, self._after = start.changed_ms, str(start.order_id)
        else:
            self._max = start.changed_ms if self._store > start.store else f"({start.changed_ms}"

    @property
    def sort_key(self) -> tuple[int, str]:
        """Where the next order stands among all stores'."""
        return -self._ready[0].changed_ms, self._store

    @property
    def is_ready(self) -> bool:
        """Whether there is a next order."""
        return bool(self._ready)

    def pop(self) -> Position:
        """The next order."""
        return self._ready.popleft()

    def wants_more(self) -> bool:
        """Whether nothing is ready, and there may be more."""
        if self._ready or (self._is_over and self._then is None):
            return False
        if self._is_over:
            self._key, self._unless_in, self._then = self._then or "", self._key, None
            self._begin()
        return True

    def ask(self, pipe: Redis) -> None:
        """Ask for the next batch."""
        pipe.zrevrangebyscore(self._key, max=self._max, min=self._since_ms, start=0, num=self.batch, withscores=True)

    async def take(self, redis: Redis, answer: Sequence[tuple[bytes, float]]) -> None:
        """Take a batch that was asked for."""
        self._is_over = len(answer) < self.batch
        found = [(member.decode(), int(score)) for member, score in answer]
        fresh = [
            (member, score)
            for member, score in found
            if not (self._after is not None and score == self._max and member >= self._after)
        ]
        # If none is fresh, all of them changed in the same millisecond, and are known.
        self.batch = min(self.batch * 4, _LARGEST_BATCH) if fresh else self.batch * 4
        if fresh:
            self._after, self._max = fresh[-1]
        if fresh and self._unless_in:
            elsewhere = await redis.zmscore(self._unless_in, [member for member, _ in fresh])
            fresh = [each for each, score in zip(fresh, elsewhere, strict=True) if score is None]
        self._ready.extend(Position(score, self._store, int(member)) for member, score in fresh)
