"""Many records in as few calls as will do."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from service.bigcommerce import StoreApi
from service.bigcommerce.models import Record
from service.errors import CredentialsRefused, NotFound, UpstreamError, WaitUntil
from service.orders.document.batch_loader import id_ranges
from service.orders.state.entry import Entry

# A list of 200 takes longer than a call of an order in its window may.
TIMEOUT_S = 10.0

# At the edge of its quota a store makes some 450 records within the margins of a span; this is twice as many.
MOST_PAGES = 5
# Records that no list has shown are asked for one by one; the rest waits for the next turn.
MOST_SINGLES = 10
# When so many cannot be read it is B2B Edition, and not the records.
MOST_TROUBLES = 3

# One store's lists were seen without extra fields. How long it is not asked for lists that cannot show what is needed.
BARE_S = 3600.0


class CreatedRange(NamedTuple):
    """When a record may have been made, in Unix seconds on B2B Edition's clock."""

    earliest: float
    latest: float


@dataclass(slots=True)
class Records:
    """What a turn has read. What is in none of these is left for the next turn."""

    found: dict[int, Record | None] = field(default_factory=dict)
    """By order; None for one that is not there."""

    unreadable: set[int] = field(default_factory=set)
    """Orders whose record was asked for by itself, in vain."""

    bare: set[int] = field(default_factory=set)
    """Orders whose record a list showed without extra fields, though some were sent: Get an Order has to tell."""

    trouble: UpstreamError | None = None
    """What went wrong last."""


class RecordLoader:
    """Reads records by lists where they stand close together, else one by one."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bare_until: dict[str, float] = {}

    async def read(self, api: StoreApi, entries: Collection[Entry], spans: Mapping[int, CreatedRange]) -> Records:
        """The records of orders that were written. ``spans`` tells of some when they were made: these may be listed.

        Raises CredentialsRefused; other errors are told. Without quota it returns what it has.
        """
        api.timeout_s = TIMEOUT_S
        store, records = api.account.store_hash, Records()
        is_bare = self._bare_until.get(store, 0.0) > self._clock()
        listed = {entry.order_id: entry for entry in entries if not (is_bare and _has_extra_fields(entry))}
        try:
            await _list_crowds(api, listed, spans, records)
            await _read_singles(api, entries, records)
        except WaitUntil as wait:
            records.trouble = wait
        if any((record := records.found.get(order_id)) and record.has_extra_fields for order_id in records.bare):
            self._bare_until[store] = self._clock() + BARE_S
        return records


async def _list_crowds(
    api: StoreApi, wanted: Mapping[int, Entry], spans: Mapping[int, CreatedRange], records: Records
) -> None:
    for crowd in _crowds(wanted.keys() & spans.keys()):
        if crowd <= records.found.keys():  # a list of others has shown them
            continue
        span = CreatedRange(
            min(spans[order_id].earliest for order_id in crowd), max(spans[order_id].latest for order_id in crowd)
        )
        try:
            await _list(api, crowd, span, wanted, records)
        except (WaitUntil, CredentialsRefused):
            raise
        except UpstreamError as trouble:  # one by one they may be had all the same
            records.trouble = trouble


async def _list(
    api: StoreApi, crowd: set[int], span: CreatedRange, wanted: Mapping[int, Entry], records: Records
) -> None:
    """Find those of the wanted records that a list of this span shows.

    What was written a moment ago is looked for most often, so the newest come first. Records that are made
    meanwhile push others to a later page, where they are seen twice, never out of sight.
    """
    offset: int | None = 0
    for _ in range(MOST_PAGES):
        page = await api.b2b.orders(
            min_created=int(span.earliest), max_created=int(span.latest), offset=offset or 0, order_by="DESC"
        )
        for record in page.items:
            if (entry := wanted.get(record.order_id)) is None:
                continue
            if record.has_extra_fields or not _has_extra_fields(entry):
                records.found[record.order_id] = record
            else:
                records.bare.add(record.order_id)
        offset = page.next_offset
        if offset is None or crowd <= records.found.keys():
            break


async def _read_singles(api: StoreApi, entries: Iterable[Entry], records: Records) -> None:
    missing = [entry.order_id for entry in entries if entry.order_id not in records.found]
    for order_id in missing[:MOST_SINGLES]:
        try:
            records.found[order_id] = await api.b2b.order(order_id)
        except NotFound:
            records.found[order_id] = None
        except (WaitUntil, CredentialsRefused):
            raise
        except UpstreamError as trouble:
            records.unreadable.add(order_id)
            records.trouble = trouble
            if len(records.unreadable) == MOST_TROUBLES:
                break


def _has_extra_fields(entry: Entry) -> bool:
    return bool(entry.sent and entry.sent.extra_fields)


def _crowds(order_ids: Iterable[int]) -> list[set[int]]:
    """Orders whose records stand close together in a list: fresh ones, and the old ones that a backfill is at.

    Who stands alone is in none.
    """
    crowds: dict[range, set[int]] = {}
    for order_id, ids in id_ranges(order_ids).items():
        crowds.setdefault(ids, set()).add(order_id)
    return [crowd for crowd in crowds.values() if len(crowd) > 1]
