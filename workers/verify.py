"""The record against what was sent: soon after the write, and once more when the platform has settled.

Public examples show records that are written a second time some 15 s after their creation, so what was right at
first may get lost. Many records are looked at in one call.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from arq import Retry

from service.bigcommerce import Account, Priority, StoreApi
from service.bigcommerce.models import Record
from service.errors import CredentialsRefused, NotFound, UpstreamError, WaitUntil
from service.logs import Event
from service.orders.entry import Entry, Stage, Status
from service.orders.merge import holds, is_lost
from service.orders.places import Superseded
from service.orders.reading import id_ranges
from workers import outcomes
from workers.pauses import put_back
from workers.resources import Resources
from workers.verdicts import Ended

log = structlog.get_logger()

# Before the first look. Verifying is not urgent, and a moment later there are often more records to look at.
FIRST_LOOK_S = 0.5
# A read may lag behind a write: how long to wait before each further look.
LAG_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
# Second looks may come so much earlier than they are due, so that one call serves many.
SECOND_LOOK_AHEAD_S = 20.0

MOST_AT_ONCE = 200
"""Get All Orders shows so many a page."""
LOOK_THROUGH = 5_000
"""So many that are due are looked through for those that are looked at first."""
MANY = 20
"""So many in one call are worth being a little more generous with the quota."""
MOST_PAGES = 5
MOST_SINGLES = 10
"""Records that the list did not show are asked for one by one; the rest waits for the next turn."""

# B2B Edition's clock need not agree with the store's on when an order was created.
CREATED_MARGIN_S = 60
OLD_S = 12 * 3600.0
TROUBLE_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Recheck:
    """The record does not yet show what was sent: look again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Repair:
    """The values are not on the record: they have to be put back."""


def judge(entry: Entry, record: Record | None) -> Ended | Recheck | Repair:
    """Hold the record, None when there is none to be seen, against what was sent; counts the look on the entry."""
    sent = entry.sent
    assert sent is not None, "only what was sent can be checked"
    if record is not None and holds(record, sent):
        return Ended(Status.CREATED if sent.by == "create" else Status.UPDATED, verified=True)
    entry.checks += 1
    if entry.checks <= len(LAG_PAUSES_S):
        return Recheck(LAG_PAUSES_S[entry.checks - 1])
    if entry.repaired:
        return Ended(Status.FAILED, "not_persisted", verified=False)
    return Repair()


class Verifier:
    """The job that works off a store's checks."""

    def __init__(self, resources: Resources, *, clock: Callable[[], float]) -> None:
        self._resources = resources
        self._clock = clock

    async def check(self, ctx: dict[str, Any], store: str) -> None:
        """Look at the records that are due, in one call where there are several."""
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                await self._check(store)
            except CredentialsRefused as refused:
                await outcomes.refuse(self._resources, store, refused)
                raise Retry(defer=TROUBLE_PAUSE_S) from refused
            except WaitUntil as wait:
                raise Retry(defer=max(wait.seconds, FIRST_LOOK_S)) from wait
            except UpstreamError as trouble:
                log.info(Event.CHECK_POSTPONED, trouble=str(trouble))
                raise Retry(defer=TROUBLE_PAUSE_S) from trouble
            except Retry:
                raise
            except Exception as error:
                raise put_back(ctx, error) from error

    async def _check(self, store: str) -> None:
        configured = self._resources.configuration.stores.get(store)
        if configured and await self._resources.breaker.is_open(store):
            raise Retry(defer=60.0)
        due = await self._resources.checks.due(store, ahead_s=SECOND_LOOK_AHEAD_S, most=LOOK_THROUGH)
        chosen = list(due) if len(due) <= MOST_AT_ONCE else await self._choose(store, due)
        entries = await self._resources.ledger.get_many(store, chosen)
        # Entries that have expired meanwhile need no look.
        await self._resources.checks.done(store, *(set(chosen) - {entry.order_id for entry in entries}))
        if configured is None:
            await self._hand_over(entries)
            return
        api = StoreApi(self._resources.transport, Account(store, configured.store.access_tokens))
        now = self._clock()
        first = [entry for entry in entries if not entry.status.is_final and due[entry.order_id] <= now]
        second = [entry for entry in entries if entry.status.is_final]
        if first or any(due[entry.order_id] <= now for entry in second):
            await self._look(api, first, second)

    async def _choose(self, store: str, due: Mapping[int, float]) -> list[int]:
        """Which of many are looked at now: second looks wait long when quota is short, and stand before first ones."""
        statuses = await self._resources.ledger.statuses(store, due)
        first: list[int] = []
        second: list[int] = []
        for order_id in due:
            status = statuses.get(order_id)
            (second if status is None or status.is_final else first).append(order_id)
        return first[:MOST_AT_ONCE] + second[:MOST_AT_ONCE]

    async def _hand_over(self, entries: list[Entry]) -> None:
        """The store is gone from the stores file: what was not verified waits in recovery for it to come back."""
        for entry in entries:
            if entry.status.is_final:
                await self._resources.checks.done(entry.store, entry.order_id)
            else:
                with suppress(Superseded):
                    await self._resources.places.recover(entry, 0.0)

    async def _look(self, api: StoreApi, first: list[Entry], second: list[Entry]) -> None:
        if first:
            api.priority = Priority.VERIFY_MANY if len(first) >= MANY else Priority.VERIFY
            records = await self._read(api, first)
            for entry in first:
                if entry.order_id in records:
                    # Superseded: the order is being looked at anew, and will come back here if need be.
                    with suppress(Superseded):
                        await self._verify(entry, records[entry.order_id])
            # Those of the second look that the list happened to show cost nothing.
            second = [entry for entry in second if records.get(entry.order_id)]
        else:
            api.priority = Priority.BACKGROUND
            records = await self._read(api, second)
        for entry in second:
            if entry.order_id in records:
                with suppress(Superseded):
                    await self._second_look(entry, records[entry.order_id])

    async def _read(self, api: StoreApi, entries: list[Entry]) -> dict[int, Record | None]:
        """The entries' records, None for one that is not there; some may be left for the next turn."""
        found: dict[int, Record | None] = {}
        try:
            wanted = {entry.order_id: entry for entry in entries}
            for crowd in _crowds(entries):
                if crowd.keys() - found.keys():  # a list of others may have shown them
                    found |= await self._list(api, crowd, wanted)
            missing = [entry.order_id for entry in entries if entry.order_id not in found]
            for order_id in missing[:MOST_SINGLES]:
                try:
                    found[order_id] = await api.b2b.order(order_id)
                except NotFound:
                    found[order_id] = None
        except WaitUntil:
            if not found:
                raise
        return found

    async def _list(self, api: StoreApi, crowd: dict[int, Entry], wanted: dict[int, Entry]) -> dict[int, Record]:
        """Those of the wanted records that a list from the crowd's last order back to its first shows.

        What was written a moment ago is looked for most often, so the newest come first. Records that are made
        meanwhile push others to a later page, where they are seen twice, never out of sight.
        """
        created = [int(entry.times[Stage.CREATED]) for entry in crowd.values()]
        # After an outage of B2B Edition a record may be hours younger than its order.
        is_old = max(created) < self._clock() - OLD_S
        min_created = min(created) - CREATED_MARGIN_S
        max_created = max(created) + CREATED_MARGIN_S if is_old else None
        found: dict[int, Record] = {}
        offset: int | None = 0
        for _ in range(MOST_PAGES):
            page = await api.b2b.orders(
                min_created=min_created, max_created=max_created, offset=offset or 0, order_by="DESC"
            )
            for record in page.items:
                entry = wanted.get(record.order_id)
                # One store's list was seen without extra fields: then Get an Order has to tell.
                if entry and entry.sent and (record.has_extra_fields or not entry.sent.extra_fields):
                    found[record.order_id] = record
            offset = page.next_offset
            if offset is None or crowd.keys() <= found.keys():
                break
        return found

    async def _verify(self, entry: Entry, record: Record | None) -> None:
        with structlog.contextvars.bound_contextvars(order_id=entry.order_id, webhook_id=entry.webhook_id):
            entry.upstream_calls += 1
            match judge(entry, record):
                case Ended() as ended:
                    entry.times[Stage.VERIFIED] = self._clock()
                    await outcomes.end(self._resources, entry, ended)
                case Recheck(seconds):
                    await self._resources.places.check(entry, seconds)
                case Repair():
                    await self._repair(entry)

    async def _second_look(self, entry: Entry, record: Record | None) -> None:
        if record is None or entry.sent is None or not is_lost(record, entry.sent) or entry.repaired:
            await self._resources.checks.done(entry.store, entry.order_id)
            return
        with structlog.contextvars.bound_contextvars(order_id=entry.order_id, webhook_id=entry.webhook_id):
            log.warning(Event.VALUES_LOST, outcome=entry.status.value)
            await self._repair(entry)

    async def _repair(self, entry: Entry) -> None:
        entry.repaired, entry.checks = True, 0
        await self._resources.places.recover(entry, 0.0)


def _crowds(entries: Iterable[Entry]) -> list[dict[int, Entry]]:
    """Those whose records stand close together in a list: fresh orders, and the old ones that a backfill is at.

    Who stands alone is in none.
    """
    wanted = {entry.order_id: entry for entry in entries if Stage.CREATED in entry.times}
    crowds: dict[range, dict[int, Entry]] = {}
    for order_id, ids in id_ranges(wanted).items():
        crowds.setdefault(ids, {})[order_id] = wanted[order_id]
    return [crowd for crowd in crowds.values() if len(crowd) > 1]
