"""Reads many records in few calls: lists of records where they are close together, single reads for the rest."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.b2b_api import PER_PAGE
from service.bigcommerce.models import Record, has_content, to_int
from service.errors import CredentialsRefused, NotFound, UpstreamError, WaitUntil
from service.orders.document.id_ranges import id_ranges
from service.orders.facts.fact import Fact
from service.orders.facts.store_facts import Facts
from service.orders.state.order_entry import Entry
from service.orders.values.merge import lost_carried, shows_all

# A list of 200 records takes longer than the calls inside a create window may take.
TIMEOUT_S = 10.0

# Pages read beyond those that the wanted records themselves would fill. A store at its quota makes about 450 records
# within the clock tolerance of a range; five pages are twice as many.
MAX_OTHER_PAGES = 5
# Records that no list contains are read one by one, so many in a run; the others are left to the next run.
MAX_SINGLE_READS = 10
# After so many failed reads the fault is with B2B Edition, not with the records.
MAX_READ_ERRORS = 3

# Some lists lack the extra fields or the PO number. When a store's lists do, its records that need them are read one by
# one for this long, and for as long as it is one of the store's facts.
LISTS_OFF_S = 3600.0


class CreatedRange(NamedTuple):
    """When a record may have been made, in Unix seconds on B2B Edition's clock."""

    earliest: float
    latest: float


class Part(StrEnum):
    """What a store's lists may leave out of every record."""

    PO_NUMBER = "poNumber"
    EXTRA_FIELDS = "extraFields"


@dataclass(slots=True)
class Records:
    """The result of a read. Orders that are in none of these are left to the next run."""

    found: dict[int, Record | None] = field(default_factory=dict)
    """Records by order; None where there is no record."""

    unreadable: set[int] = field(default_factory=set)
    """Orders whose single read failed."""

    undecided: dict[int, Record] = field(default_factory=dict)
    """Records whose row of a list does not show everything that was sent. Get an Order must decide."""

    shown: set[Part] = field(default_factory=set)
    """What the lists have shown on any record."""

    error: UpstreamError | None = None
    """The last error."""


class RecordLoader:
    """Reads the records of orders that were written."""

    def __init__(self, facts: Facts, *, clock: Callable[[], float]) -> None:
        self._facts = facts
        self._clock = clock
        self._lists_off_until: dict[tuple[str, Part], float] = {}

    async def read(
        self,
        api: StoreApi,
        entries: Collection[Entry],
        ranges: Mapping[int, CreatedRange],
        *,
        names_company: bool = False,
    ) -> Records:
        """Read the records of these orders. Orders with a range, in which their record was made, may be listed.

        A row of a list only confirms what was sent: where it does not, Get an Order decides. With ``names_company``
        it must show the record's Company, too.
        Raises CredentialsRefused. Other errors are in the result; without quota it has the records read so far.
        """
        api.timeout_s = TIMEOUT_S
        store, records = api.account.store_hash, Records()
        off = {part for part in Part if self._lists_off_until.get((store, part), 0.0) > self._clock()}
        if (await self._facts.of(store)).lists_lack_extra_fields:
            off.add(Part.EXTRA_FIELDS)
        listed = {entry.order_id: entry for entry in entries if not off & _sent_parts(entry)}
        try:
            await _list_clusters(api, listed, ranges, records, names_company=names_company)
            await _read_singles(api, entries, records)
        except WaitUntil as wait:
            records.error = wait
        missing = {
            part
            for order_id, row in records.undecided.items()
            if (record := records.found.get(order_id))
            for part in _parts(record) - _parts(row) - records.shown
        }
        for part in missing:
            self._lists_off_until[store, part] = self._clock() + LISTS_OFF_S
        if Part.EXTRA_FIELDS in records.shown:
            await self._facts.observe(store, Fact.LIST_EXTRA_FIELDS, "shown")
        elif _lacks_extra_fields(records):
            await self._facts.observe(store, Fact.LIST_EXTRA_FIELDS, "missing")
        return records


async def _list_clusters(
    api: StoreApi,
    wanted: Mapping[int, Entry],
    ranges: Mapping[int, CreatedRange],
    records: Records,
    *,
    names_company: bool,
) -> None:
    for cluster in _clusters(wanted.keys() & ranges.keys()):
        if cluster <= records.found.keys() | records.undecided.keys():  # the list of another cluster has shown them
            continue
        created = CreatedRange(
            min(ranges[order_id].earliest for order_id in cluster), max(ranges[order_id].latest for order_id in cluster)
        )
        try:
            await _list(api, cluster, created, wanted, records, names_company=names_company)
        except (WaitUntil, CredentialsRefused):
            raise
        except UpstreamError as error:  # single reads may succeed
            records.error = error
        else:
            # An order that waits for its record to come is not worth a call of its own each time.
            records.found |= {
                order_id: None for order_id in cluster - records.found.keys() if wanted[order_id].sent is None
            }


async def _list(
    api: StoreApi,
    cluster: set[int],
    created: CreatedRange,
    wanted: Mapping[int, Entry],
    records: Records,
    *,
    names_company: bool,
) -> None:
    """List the records made in this range, and keep the wanted ones.

    Newest first, because most wanted records are new. Records that are made in the meantime move others to a later
    page: these are seen twice, and none is missed.
    """
    offset: int | None = 0
    for _ in range(MAX_OTHER_PAGES + (len(wanted) - 1) // PER_PAGE):
        page = await api.b2b.orders(
            min_created=int(created.earliest), max_created=int(created.latest), offset=offset or 0, order_by="DESC"
        )
        for row in page.items:
            entry = wanted.get(to_int(row.get("bcOrderId")) or 0)
            if entry is None and len(records.shown) == len(Part):
                continue  # it has nothing more to say, and reading it costs CPU: a list may have 200 for one
            record = Record.model_validate(row)
            records.shown |= _parts(record)
            if entry is None:
                continue
            is_about_company = not names_company or bool(record.company_id)
            if is_about_company and _confirms(record, entry):
                records.found[record.order_id] = record
            else:
                records.undecided[record.order_id] = record
        offset = page.next_offset
        if offset is None or cluster <= records.found.keys() | records.undecided.keys():
            break


async def _read_singles(api: StoreApi, entries: Iterable[Entry], records: Records) -> None:
    missing = [entry.order_id for entry in entries if entry.order_id not in records.found]
    for order_id in missing[:MAX_SINGLE_READS]:
        try:
            records.found[order_id] = await api.b2b.order(order_id)
        except NotFound:
            records.found[order_id] = None
        except (WaitUntil, CredentialsRefused):
            raise
        except UpstreamError as error:
            records.unreadable.add(order_id)
            records.error = error
            if len(records.unreadable) == MAX_READ_ERRORS:
                break


def _lacks_extra_fields(records: Records) -> bool:
    """Whether the list lacked extra fields that Get an Order shows of the same version of a record."""
    return any(
        Part.EXTRA_FIELDS in _parts(record) - _parts(row) and row.updated_at == record.updated_at is not None
        for order_id, row in records.undecided.items()
        if (record := records.found.get(order_id))
    )


def _confirms(record: Record, entry: Entry) -> bool:
    """Whether the row shows everything that was sent."""
    return entry.sent is None or (shows_all(record, entry.sent) and not lost_carried(record, entry.sent))


def _sent_parts(entry: Entry) -> set[Part]:
    sent = entry.sent
    return _which(sent and sent.po_number, sent and (sent.extra_fields or sent.carried))


def _parts(record: Record) -> set[Part]:
    return _which(has_content(record.po_number), any(map(has_content, record.extra_fields.values())))


def _which(po_number: object, extra_fields: object) -> set[Part]:
    return {part for part, there in ((Part.PO_NUMBER, po_number), (Part.EXTRA_FIELDS, extra_fields)) if there}


def _clusters(order_ids: Iterable[int]) -> list[set[int]]:
    """Groups of orders whose records are close together in a list: new orders, or those of a backfill.

    An order without neighbours is in no group.
    """
    clusters: dict[range, set[int]] = {}
    for order_id, ids in id_ranges(order_ids).items():
        clusters.setdefault(ids, set()).add(order_id)
    return [cluster for cluster in clusters.values() if len(cluster) > 1]
