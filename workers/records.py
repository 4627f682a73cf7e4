"""Many records in as few calls as will do."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from service.bigcommerce import StoreApi
from service.bigcommerce.models import Record
from service.errors import NotFound, WaitUntil
from service.orders.entry import Entry
from service.orders.reading import id_ranges

MOST_PAGES = 5
MOST_SINGLES = 10
"""Records that no list has shown are asked for one by one; the rest waits for the next turn."""


class Span(NamedTuple):
    """When a record may have been made, in Unix seconds on B2B Edition's clock."""

    earliest: float
    latest: float


async def read_records(api: StoreApi, entries: Iterable[Entry], spans: Mapping[int, Span]) -> dict[int, Record | None]:
    """The orders' records, None for one that is not there; some may be left for the next turn.

    ``spans`` tells of orders when their records were made: only those can be looked for in lists. Raises
    UpstreamError; WaitUntil only when there was no quota for any.
    """
    wanted = {entry.order_id: entry for entry in entries}
    found: dict[int, Record | None] = {}
    try:
        for crowd in _crowds(spans):
            if crowd - found.keys():  # a list of others may have shown them
                found |= await _list(api, crowd, spans, wanted)
        missing = [order_id for order_id in wanted if order_id not in found]
        for order_id in missing[:MOST_SINGLES]:
            try:
                found[order_id] = await api.b2b.order(order_id)
            except NotFound:
                found[order_id] = None
    except WaitUntil:
        if not found:
            raise
    return found


def _crowds(order_ids: Iterable[int]) -> list[set[int]]:
    """Orders whose records stand close together in a list: fresh ones, and the old ones that a backfill is at.

    Who stands alone is in none.
    """
    crowds: dict[range, set[int]] = {}
    for order_id, ids in id_ranges(order_ids).items():
        crowds.setdefault(ids, set()).add(order_id)
    return [crowd for crowd in crowds.values() if len(crowd) > 1]


async def _list(
    api: StoreApi, crowd: set[int], spans: Mapping[int, Span], wanted: Mapping[int, Entry]
) -> dict[int, Record]:
    """Those of the wanted records that a list of the crowd's span shows.

    What was written a moment ago is looked for most often, so the newest come first. Records that are made
    meanwhile push others to a later page, where they are seen twice, never out of sight.
    """
    earliest = min(spans[order_id].earliest for order_id in crowd)
    latest = max(spans[order_id].latest for order_id in crowd)
    found: dict[int, Record] = {}
    offset: int | None = 0
    for _ in range(MOST_PAGES):
        page = await api.b2b.orders(
            min_created=int(earliest), max_created=int(latest), offset=offset or 0, order_by="DESC"
        )
        for record in page.items:
            entry = wanted.get(record.order_id)
            # One store's list was seen without extra fields: then Get an Order has to tell.
            if entry and entry.sent and (record.has_extra_fields or not entry.sent.extra_fields):
                found[record.order_id] = record
        offset = page.next_offset
        if offset is None or crowd <= found.keys():
            break
    return found
