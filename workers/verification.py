"""The record against what was sent: soon after the write, and once more when the platform has settled.

Public examples show records that are written a second time some 15 s after their creation, so what was right at
first may get lost. Many records are looked at in one call.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from arq import Retry

from service.bigcommerce import Account, Priority, StoreApi
from service.bigcommerce.models import Record
from service.errors import CredentialsRefused, UpstreamError, WaitUntil
from service.logs import Event
from service.orders.state.entry import Entry, Stage, Status
from service.orders.state.transitions import StaleAttempt
from service.orders.values.merge import holds, is_lost
from workers import outcomes
from workers.backoff import requeue
from workers.record_loader import CreatedRange, RecordLoader
from workers.resources import Resources
from workers.results import Finished

log = structlog.get_logger()

# Before the first look. Verifying is not urgent, and a moment later there are often more records to look at.
VERIFY_AFTER_S = 0.5
# A read may lag behind a write: how long to wait before each further look.
LAG_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
# Second looks may come so much earlier than they are due, so that one call serves many.
REVERIFY_AHEAD_S = 20.0

MOST_AT_ONCE = 200
"""Get All Orders shows so many a page."""
MANY = 20
"""So many in one call are worth being a little more generous with the quota."""

# B2B Edition's clock need not agree with the store's, nor with ours, on when a record was made.
CLOCKS_DIFFER_S = 180.0
# A list's limits are no part of what it shows.
EXCLUSIVE_S = 1
OLD_S = 12 * 3600.0
TROUBLE_PAUSE_S = 5.0
REFUSED_PAUSE_S = 60.0
# A record that cannot be read is asked for here for so long: after the write, after the order's end.
VERIFY_FOR_S = 60.0
REVERIFY_FOR_S = 600.0


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """The record does not yet show what was sent: look again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Repair:
    """The values are not on the record: they have to be put back."""


def judge(entry: Entry, record: Record | None) -> Finished | ReadAgain | Repair:
    """Hold the record, None when there is none to be seen, against what was sent; counts the look on the entry."""
    sent = entry.sent
    assert sent is not None, "only what was sent can be checked"
    if record is not None and holds(record, sent):
        return Finished(Status.CREATED if sent.by == "create" else Status.UPDATED, verified=True)
    entry.checks += 1
    if entry.checks <= len(LAG_PAUSES_S):
        return ReadAgain(LAG_PAUSES_S[entry.checks - 1])
    if entry.repaired:
        return Finished(Status.FAILED, "not_persisted", verified=False)
    return Repair()


class Verifier:
    """The jobs that work off a store's checks and its second looks."""

    def __init__(self, resources: Resources, *, clock: Callable[[], float]) -> None:
        self._resources = resources
        self._clock = clock
        self._reader = RecordLoader(clock=clock)

    async def check(self, ctx: dict[str, Any], store: str) -> None:
        """Hold the records that are due against what was sent, in one call where there are several."""
        async with self._turn(ctx, store) as api:
            due = await self._resources.to_verify.due(store, most=MOST_AT_ONCE)
            entries = [
                entry for entry in await self._resources.ledger.get_many(store, due) if not entry.status.is_final
            ]
            # Of an order that has ended or expired meanwhile there is nothing to verify.
            await self._resources.to_verify.done(store, *(set(due) - {entry.order_id for entry in entries}))
            if api is None:
                # The store is gone from the stores file: its orders wait in recovery for it to come back.
                await self._each(entries, lambda entry: self._resources.transitions.to_recovery(entry, 0.0))
            elif entries:
                await self._verify_all(api, entries)

    async def reverify(self, ctx: dict[str, Any], store: str) -> None:
        """Look once more at the records of orders that have ended, and put back what got lost."""
        async with self._turn(ctx, store) as api:
            looks = self._resources.to_reverify
            due = await looks.due(store, ahead_s=REVERIFY_AHEAD_S, most=MOST_AT_ONCE)
            entries = [entry for entry in await self._resources.ledger.get_many(store, due) if _may_be_lost(entry)]
            # An order that is looked at anew comes back when it ends; and of a store that is gone nothing is put back.
            await looks.done(store, *(set(due) - {entry.order_id for entry in entries if api}))
            if api and entries:
                await self._look_again_at_all(api, entries)

    async def _verify_all(self, api: StoreApi, entries: list[Entry]) -> None:
        api.priority = Priority.VERIFY_MANY if len(entries) >= MANY else Priority.VERIFY
        spans = {entry.order_id: span for entry in entries if (span := self._span_of(entry))}
        try:
            records = await self._reader.read(api, entries, spans)
        except CredentialsRefused as refused:
            await outcomes.refuse(self._resources, api.account.store_hash, refused)
            await self._each(entries, lambda entry: outcomes.park(self._resources, entry))
            return

        async def verify(entry: Entry) -> None:
            if entry.order_id in records.found:
                await self._verify(entry, records.found[entry.order_id])
            elif entry.order_id in records.unreadable and self._clock() - _written_at(entry) > VERIFY_FOR_S:
                # There it is tried with growing pauses, and given up in the end; here it would stand before others.
                entry.trouble = str(records.trouble)
                await self._resources.transitions.to_recovery(entry, TROUBLE_PAUSE_S)

        await self._each(entries, verify)
        if records.trouble:
            raise records.trouble

    async def _look_again_at_all(self, api: StoreApi, entries: list[Entry]) -> None:
        api.priority = Priority.BACKGROUND
        spans = {
            entry.order_id: CreatedRange(entry.recorded_at - EXCLUSIVE_S, entry.recorded_at + EXCLUSIVE_S)
            for entry in entries
            if entry.recorded_at is not None
        }
        records = await self._reader.read(api, entries, spans)

        async def reverify(entry: Entry) -> None:
            record = records.found.get(entry.order_id)
            if record and entry.sent and is_lost(record, entry.sent):
                log.warning(Event.VALUES_LOST, outcome=entry.status.value)
                await self._repair(entry)

        await self._each(entries, reverify)
        given_up = [
            entry.order_id
            for entry in entries
            if entry.order_id in records.unreadable and self._clock() - (entry.ended_at or 0.0) > REVERIFY_FOR_S
        ]
        await self._resources.to_reverify.done(api.account.store_hash, *records.found, *given_up)
        if records.trouble:
            raise records.trouble

    async def _each(self, entries: list[Entry], do: Callable[[Entry], Awaitable[object]]) -> None:
        """Do it for each, but for those that are being looked at anew: they will come back here if need be."""
        for entry in entries:
            with (
                structlog.contextvars.bound_contextvars(order_id=entry.order_id, webhook_id=entry.webhook_id),
                suppress(StaleAttempt),
            ):
                await do(entry)

    @asynccontextmanager
    async def _turn(self, ctx: dict[str, Any], store: str) -> AsyncIterator[StoreApi | None]:
        """A turn at a store's records, with its API; None when the store is gone from the stores file."""
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                configured = self._resources.configuration.stores.get(store)
                if configured and await self._resources.breaker.is_open(store):
                    raise Retry(defer=REFUSED_PAUSE_S)
                tokens = configured.store.access_tokens if configured else ()
                yield StoreApi(self._resources.transport, Account(store, tokens)) if configured else None
            except WaitUntil as wait:
                raise Retry(defer=max(wait.seconds, VERIFY_AFTER_S)) from wait
            except UpstreamError as trouble:
                log.info(Event.CHECK_POSTPONED, trouble=str(trouble))
                is_refused = isinstance(trouble, CredentialsRefused)
                raise Retry(defer=REFUSED_PAUSE_S if is_refused else TROUBLE_PAUSE_S) from trouble
            except Retry:
                raise
            except Exception as error:
                raise requeue(ctx, error) from error

    def _span_of(self, entry: Entry) -> CreatedRange | None:
        """When the record of an order that we wrote may have been made."""
        created, now = entry.times.get(Stage.CREATED), self._clock()
        if created is None:
            return None
        # It was there when our write was answered; after an outage it may be hours younger than its order.
        answered = entry.times.get(Stage.ANSWERED, now) + entry.skew
        latest = created if created < now - OLD_S else answered
        return CreatedRange(created - CLOCKS_DIFFER_S, latest + CLOCKS_DIFFER_S)

    async def _verify(self, entry: Entry, record: Record | None) -> None:
        entry.upstream_calls += 1
        match judge(entry, record):
            case Finished() as ended:
                entry.times[Stage.VERIFIED] = self._clock()
                entry.recorded_at = record.created_at if record else None
                await outcomes.end(self._resources, entry, ended)
            case ReadAgain(seconds):
                await self._resources.transitions.to_verification(entry, seconds)
            case Repair():
                await self._repair(entry)

    async def _repair(self, entry: Entry) -> None:
        entry.repaired, entry.checks = True, 0
        await self._resources.transitions.to_recovery(entry, 0.0)


def _may_be_lost(entry: Entry) -> bool:
    """Whether there are values of ours on the order's record that were not put back before."""
    return entry.status.is_written and entry.sent is not None and not entry.repaired


def _written_at(entry: Entry) -> float:
    return entry.times.get(Stage.ANSWERED) or entry.times.get(Stage.SENT) or 0.0
