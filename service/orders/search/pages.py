"""Reads the orders that match a filter page by page, the last changed first, over one store or many.

The ledger's indexes are read in batches, so the first page of a large ledger costs no more than that of a small one.
Where few orders match, a page ends early: it then has fewer orders than asked for, and a cursor.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from service.orders.entry_report import changed_at
from service.orders.search.order_filter import OrderFilter
from service.orders.search.positions import Position, positions
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry

_FIRST_BATCH = 50
"""Entries that are read at once; each next batch has twice as many, up to ``_LARGEST_BATCH``."""

_LARGEST_BATCH = 400
"""About half a megabyte."""

MOST_EXAMINED = 2_000
"""Orders that a page looks at, so that a web page answers soon even if few orders match."""


@dataclass(frozen=True, slots=True)
class Page:
    """Orders that match. ``cursor`` continues after them; None: there are no more."""

    entries: tuple[Entry, ...]
    cursor: str | None


async def find(redis: Redis, stores: Sequence[str], wanted: OrderFilter, limit: int | None = None) -> list[Entry]:
    """The orders of these stores that match, the last changed first. Errors are Redis's own."""
    found: list[Entry] = []
    async for _, entry in _examined(redis, stores, wanted, None):
        if entry:
            found.append(entry)
        if len(found) == limit:
            break
    return found


async def find_page(
    redis: Redis,
    stores: Sequence[str],
    wanted: OrderFilter,
    *,
    limit: int = 50,
    cursor: str | None = None,
    most_examined: int = MOST_EXAMINED,
    only: Sequence[str] = (),
) -> Page:
    """A page of the orders that match, after ``cursor``. Raises ConfigError for a bad cursor; else Redis's own errors.

    It has fewer than ``limit`` orders, but a cursor, if ``most_examined`` orders were looked at. With ``only``, no
    other fields of the entries are read, which costs much less (``Ledger.get_parts``).
    """
    start = Position.parse(cursor) if cursor else None
    found: list[Entry] = []
    examined, last = 0, start
    async for position, entry in _examined(redis, stores, wanted, start, first_batch=limit + 1, only=only):
        if len(found) == limit:
            return Page(tuple(found), str(last))
        examined, last = examined + position.orders, position
        if entry:
            found.append(entry)
        if examined >= most_examined:
            # Whether there are more is not asked: it could take long to read on.
            return Page(tuple(found), str(last))
    return Page(tuple(found), None)


async def _examined(
    redis: Redis,
    stores: Sequence[str],
    wanted: OrderFilter,
    start: Position | None,
    *,
    first_batch: int = _FIRST_BATCH,
    only: Sequence[str] = (),
) -> AsyncIterator[tuple[Position, Entry | None]]:
    """Each order that is looked at, and its entry if it matches. Most of those that Redis leaves out are not named."""
    reader, batch = _Reader(redis, wanted, only), list[Position]()
    size = min(first_batch, _LARGEST_BATCH)
    if wanted.order_id is not None:
        for position, entry in await reader.read([Position(0, store, wanted.order_id) for store in stores]):
            is_in_range = entry and wanted.since <= changed_at(entry) <= (wanted.until or float("inf"))
            yield position, entry if is_in_range else None
        return
    to_read = looked_at = 0
    async for position in positions(redis, stores, wanted, start, first_batch=size):
        batch.append(position)
        to_read, looked_at = to_read + position.may_match, looked_at + position.orders
        if to_read == size or looked_at >= MOST_EXAMINED:
            for examined in await reader.read(batch):
                yield examined
            batch, size, to_read, looked_at = [], min(size * 2, _LARGEST_BATCH), 0, 0
    for examined in await reader.read(batch):
        yield examined


class _Reader:
    """Reads the entries of orders as far as they match, and of those that do not as little as can be."""

    def __init__(self, redis: Redis, wanted: OrderFilter, only: Sequence[str]) -> None:
        self._redis = redis
        self._ledger = Ledger(redis)
        self._wanted = wanted
        self._only = list(dict.fromkeys([*only, *wanted.reads])) if only else []

    async def read(self, batch: Sequence[Position]) -> list[tuple[Position, Entry | None]]:
        """Each of these orders, and its entry if it matches."""
        matching = [position for position in batch if position.may_match]
        orders = [(each.store, each.order_id) for each in matching]
        if not orders:
            return [(position, None) for position in batch]
        entries = await (self._ledger.get_parts(orders, self._only) if self._only else self._whole(orders))
        # It may have changed in between.
        found = {
            position: entry
            for position, entry in zip(matching, entries, strict=True)
            if entry and self._wanted.matches(entry)
        }
        return [(position, found.get(position)) for position in batch]

    async def _whole(self, orders: Sequence[tuple[str, int]]) -> list[Entry | None]:
        """The whole entries of those that match: most of a search's time would go into reading the others."""
        if not self._wanted.reads:
            return await self._ledger.get_each(orders)
        parts = await self._ledger.get_parts(orders, self._wanted.reads)
        places = [place for place, part in enumerate(parts) if part and self._wanted.matches(part)]
        whole = await self._ledger.get_each(orders[place] for place in places)
        entries: list[Entry | None] = [None] * len(orders)
        for place, entry in zip(places, whole, strict=True):
            entries[place] = entry
        return entries
