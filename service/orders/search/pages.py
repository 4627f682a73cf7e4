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
"""Orders that a page looks at, about 0.07 ms of CPU each, so that a web page answers soon even if few orders match."""


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
) -> Page:
    """A page of the orders that match, after ``cursor``. Raises ConfigError for a bad cursor; else Redis's own errors.

    It has fewer than ``limit`` orders, but a cursor, if ``most_examined`` orders were looked at.
    """
    start = Position.parse(cursor) if cursor else None
    found: list[Entry] = []
    examined, last = 0, start
    async for position, entry in _examined(redis, stores, wanted, start, first_batch=limit + 1):
        if len(found) == limit or examined == most_examined:
            return Page(tuple(found), str(last))
        examined, last = examined + 1, position
        if entry:
            found.append(entry)
    return Page(tuple(found), None)


async def _examined(
    redis: Redis, stores: Sequence[str], wanted: OrderFilter, start: Position | None, *, first_batch: int = _FIRST_BATCH
) -> AsyncIterator[tuple[Position, Entry | None]]:
    """Each order that is looked at, and its entry if it matches."""
    ledger, batch, size = Ledger(redis), list[Position](), min(first_batch, _LARGEST_BATCH)
    if wanted.order_id is not None:
        for position, entry in await _read(ledger, [Position(0, store, wanted.order_id) for store in stores], wanted):
            is_in_range = entry and wanted.since <= changed_at(entry) <= (wanted.until or float("inf"))
            yield position, entry if is_in_range else None
        return
    async for position in positions(redis, stores, wanted, start):
        batch.append(position)
        if len(batch) == size:
            for examined in await _read(ledger, batch, wanted):
                yield examined
            batch, size = [], min(size * 2, _LARGEST_BATCH)
    for examined in await _read(ledger, batch, wanted):
        yield examined


async def _read(ledger: Ledger, batch: Sequence[Position], wanted: OrderFilter) -> list[tuple[Position, Entry | None]]:
    """Of orders that do not match, only what the filter looks at is read: most of a search's time goes into that."""
    matching: Sequence[Position] = batch
    if names := wanted.reads:
        parts = await ledger.get_parts(((each.store, each.order_id) for each in batch), names)
        matching = [each for each, part in zip(batch, parts, strict=True) if part and wanted.matches(part)]
    whole = await ledger.get_each((each.store, each.order_id) for each in matching)
    entries = dict(zip(matching, whole, strict=True))
    # It may have changed in between.
    found = {each: entry for each, entry in entries.items() if entry and wanted.matches(entry)}
    return [(position, found.get(position)) for position in batch]
