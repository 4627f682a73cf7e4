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
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.search import lua
from service.orders.search.order_filter import OrderFilter
from service.orders.state.keys import entry_prefix, failed_key, index_key
from service.orders.state.order_entry import Status

_LARGEST_BATCH = 1_000

# Redis leaves out none that Python, which decides in the end, would not.
_ROUNDING_S = 1e-6

# What the script says of an order.
_MAY_MATCH, _INDEXED = 1, 2

_FIRST_NARROWED = 400
"""Orders that Redis looks at first where it leaves out those that do not match: half a millisecond of its time."""


class Position(NamedTuple):
    """Where an order stands: when it last changed (ms), its store and its id.

    ``orders`` is how many of its store were looked at since the last position: where Redis leaves out those that do not
    match, there is one for each that may match, and now and then one that does not.
    """

    changed_ms: int
    store: str
    order_id: int
    orders: int = 1
    may_match: bool = True

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

    def share(orders: int) -> int:
        """Some stores have more orders than others: twice their share is mostly enough."""
        most = orders if len(stores) == 1 else 2 * orders // max(1, len(stores)) + 1
        return min(most, _LARGEST_BATCH)

    enough = share(first_batch)
    batch = share(max(first_batch, _FIRST_NARROWED)) if wanted.is_narrowed_by_redis else enough
    streams = [_Stream(store, wanted, start, batch, enough) for store in sorted(stores)]
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

    def __init__(self, store: str, wanted: OrderFilter, start: Position | None, batch: int, enough: int) -> None:
        """``batch`` orders are looked at first; where Redis leaves out some, up to ``enough`` that may match."""
        self._store, self._wanted, self._start = store, wanted, start
        self._since_ms = int(wanted.since * 1000)
        self._until: str | int = "+inf" if wanted.until is None else int(wanted.until * 1000)
        self._reads_index = wanted.status is not Status.FAILED
        self._skips_indexed = False
        self._ready: deque[Position] = deque()
        self._left = 0
        self._batch, self._enough = batch, enough
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
        return self._left

    @property
    def is_ready(self) -> bool:
        """Whether there is a next order."""
        return bool(self._ready)

    def pop(self) -> Position:
        """The next order."""
        position = self._ready.popleft()
        self._left -= position.orders
        return position

    @property
    def is_low(self) -> bool:
        """Whether most of the last batch is used up."""
        return self._left <= self._low

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
        is_narrowed = self._wanted.is_narrowed_by_redis
        found = await (self._of_script(redis) if is_narrowed or not self._reads_index else self._of_index(redis))
        after, highest = self._after, self._max
        fresh = [each for each in found if not (after is not None and each[1] == highest and each[0] >= after)]
        # If none is fresh, all of them changed in the same millisecond, and are known.
        self._low = self._batch // 2
        # Redis's work is what costs where it leaves out some: less is read ahead.
        factor = 2 if is_narrowed and fresh else 4
        self._batch = min(self._batch * factor, _LARGEST_BATCH) if fresh else self._batch * factor
        self._enough = self._batch if not fresh else min(self._enough * factor, self._batch)
        if fresh:
            self._after, self._max = fresh[-1][:2]
        for member, score, orders, kind in fresh:
            if kind != _INDEXED:
                self._ready.append(Position(score, self._store, int(member), orders, kind == _MAY_MATCH))
                self._left += orders

    async def _of_index(self, redis: Redis) -> list[tuple[str, int, int, int]]:
        found = await redis.zrevrangebyscore(
            index_key(self._store), max=self._max, min=self._since_ms, start=0, num=self._batch, withscores=True
        )
        self._is_over = len(found) < self._batch
        return [(member.decode(), int(score), 1, _MAY_MATCH) for member, score in found]

    async def _of_script(self, redis: Redis) -> list[tuple[str, int, int, int]]:
        wanted = self._wanted
        is_over, *words = await lua.newest_matching(
            redis,
            orders=index_key(self._store) if self._reads_index else failed_key(self._store),
            index=index_key(self._store),
            prefix=entry_prefix(self._store),
            highest=str(self._max),
            lowest=self._since_ms,
            most=self._batch,
            enough=self._enough,
            skips_indexed=self._skips_indexed,
            status="" if wanted.status is None else wanted.status.value,
            customer_id="" if wanted.customer_id is None else str(wanted.customer_id),
            aged=None if wanted.margin_below is None else WINDOW_LENGTH_S - wanted.margin_below - _ROUNDING_S,
            po=(wanted.po or "").casefold().encode(errors="replace"),
        )
        self._is_over = bool(is_over)
        rows = zip(words[::4], words[1::4], words[2::4], words[3::4], strict=True)
        return [(str(member), int(float(score)), int(orders), int(kind)) for member, score, orders, kind in rows]
