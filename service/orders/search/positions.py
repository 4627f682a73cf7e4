"""In which order a search goes through the ledger: newest first over the indexes of several stores, in batches.

Paging goes by an order's place in its index, not by an offset: orders change while somebody turns the pages.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Self

from redis.asyncio import Redis

from service.errors import ConfigError, Problem
from service.orders.search import lua
from service.orders.search.order_filter import OrderFilter
from service.orders.state.keys import failed_key, index_key
from service.orders.state.order_entry import Status

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
    redis: Redis, stores: Sequence[str], wanted: OrderFilter, start: Position | None, *, first_batch: int
) -> AsyncIterator[Position]:
    """The orders of these stores, the last changed first, after ``start``; those that changed at once by store.

    About ``first_batch`` of them are read at once, then more and more.
    """
    # Some stores have more orders than others: twice their share is mostly enough.
    share = first_batch if len(stores) == 1 else 2 * first_batch // max(1, len(stores)) + 1
    streams = [_Stream(store, wanted, start, min(share, _LARGEST_BATCH)) for store in sorted(stores)]
    await _fill(redis, streams, at_least=first_batch * 3 // 2)
    heads = [(stream.sort_key, number) for number, stream in enumerate(streams) if stream.is_ready]
    heapq.heapify(heads)
    while heads:
        _, number = heads[0]
        stream = streams[number]
        yield stream.pop()
        if not stream.is_ready:
            await _fill(redis, streams)
        if stream.is_ready:
            heapq.heapreplace(heads, (stream.sort_key, number))
        else:
            heapq.heappop(heads)


async def _fill(redis: Redis, streams: Sequence["_Stream"], *, at_least: int = 0) -> None:
    """Read on where little is left, at the same time for all; then a stream without orders has no more.

    Where some stores have few orders, the others read on as well, up to about ``at_least`` orders.
    """
    asked = [stream for stream in streams if stream.is_low and stream.has_more()]
    while asked:
        await asyncio.gather(*(stream.read_on(redis) for stream in asked))
        asked = [stream for stream in streams if not stream.is_ready and stream.has_more()]
        if asked and sum(stream.ready for stream in streams) < at_least:
            asked += [stream for stream in streams if stream.is_ready and stream.has_more()]


class _Stream:
    """The indexes of one store, read in batches. Orders of the same millisecond come as Redis sorts them.

    The index holds 30 days. Failed orders are kept for longer, in an index of their own: those that have left the
    other one are older than all in it, so they are read last.
    """

    def __init__(self, store: str, wanted: OrderFilter, start: Position | None, batch: int) -> None:
        self._store, self._start = store, start
        self._since_ms = int(wanted.since * 1000)
        self._until: str | int = "+inf" if wanted.until is None else int(wanted.until * 1000)
        self._reads_index = wanted.status is not Status.FAILED
        self._skips_indexed = False
        self._ready: deque[Position] = deque()
        self._batch = batch
        self._low = batch // 2
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
    def ready(self) -> int:
        """How many orders are read."""
        return len(self._ready)

    @property
    def is_ready(self) -> bool:
        """Whether there is a next order."""
        return bool(self._ready)

    def pop(self) -> Position:
        """The next order."""
        return self._ready.popleft()

    @property
    def is_low(self) -> bool:
        """Whether most of the last batch is used up."""
        return len(self._ready) <= self._low

    def has_more(self) -> bool:
        """Whether there may be more to read."""
        if not self._is_over:
            return True
        if self._reads_index:
            self._reads_index, self._skips_indexed = False, True
            self._begin()
        return not self._is_over

    async def read_on(self, redis: Redis) -> None:
        """Read the next batch."""
        # Each has a member, its score, and whether it is one of those that the index has brought.
        found = await (self._of_index(redis) if self._reads_index else self._of_failed(redis))
        self._is_over = len(found) < self._batch
        fresh = [
            each for each in found if not (self._after is not None and each[1] == self._max and each[0] >= self._after)
        ]
        # If none is fresh, all of them changed in the same millisecond, and are known.
        self._low = self._batch // 2
        self._batch = min(self._batch * 4, _LARGEST_BATCH) if fresh else self._batch * 4
        if fresh:
            self._after, self._max, _ = fresh[-1]
        self._ready.extend(
            Position(score, self._store, int(member))
            for member, score, is_indexed in fresh
            if not (self._skips_indexed and is_indexed)
        )

    async def _of_index(self, redis: Redis) -> list[tuple[str, int, bool]]:
        found = await redis.zrevrangebyscore(
            index_key(self._store), max=self._max, min=self._since_ms, start=0, num=self._batch, withscores=True
        )
        return [(member.decode(), int(score), True) for member, score in found]

    async def _of_failed(self, redis: Redis) -> list[tuple[str, int, bool]]:
        found = await lua.newest_failed(
            redis,
            failed=failed_key(self._store),
            index=index_key(self._store),
            highest=str(self._max),
            lowest=self._since_ms,
            most=self._batch,
        )
        rows = zip(found[::3], found[1::3], found[2::3], strict=True)
        return [(str(member), int(float(score)), bool(is_indexed)) for member, score, is_indexed in rows]
