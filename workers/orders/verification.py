"""Verification: compares records with what was sent, soon after the write and once more about 45 s later.

Public examples show records that are written a second time some 15 s after their creation, so values may get lost
after the first verification. One call reads many records.
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
from service.orders.facts.learning import learn_from_record
from service.orders.state.order_entry import Entry, Sent, Stage, Status
from service.orders.state.transitions import StaleAttempt
from service.orders.values.merge import lost_carried, lost_values, shows_all
from service.process.gathering import gather_all
from workers.backoff import requeue
from workers.orders import completion
from workers.orders.attempt_history import note_verification
from workers.orders.entry_notes import note_lost, note_shown, note_verified
from workers.orders.record_loader import CreatedRange, RecordLoader, Records
from workers.orders.result_types import Finished
from workers.orders.waiting import settling
from workers.resources import Resources

log = structlog.get_logger()

# From the write to the verification. In a flood, one call verifies the orders of the moments that the last one took.
VERIFY_AFTER_S = 0.25
# Reads may lag behind writes: the delay before each further read.
READ_LAG_BACKOFF_S = (0.5, 1.0, 2.0, 4.0)
# Orders are re-verified up to so much before they are due, so that one call serves many.
REVERIFY_AHEAD_S = 20.0

MAX_ORDERS_AT_ONCE = 1000
"""Orders of one run. Lists begin with the newest record: all that are due together need no page twice."""
SAVED_AT_ONCE = 50
"""Orders whose results are written to Redis together."""
LARGE_BATCH = 20
"""A list call that verifies at least this many orders gets a higher priority in the quota."""

# How far the clocks of B2B Edition, the store and this machine may differ on when a record was made.
CLOCK_TOLERANCE_S = 180.0
# The limits of a list are exclusive.
EXCLUSIVE_S = 1
# The record of an order that is older than this was made with the order, not by a late write of ours.
OLD_ORDER_S = 12 * 3600.0
ERROR_RETRY_S = 5.0
CREDENTIALS_RETRY_S = 60.0
# How long an unreadable record is retried here: after the write, and after the order is finished.
VERIFY_TIMEOUT_S = 60.0
REVERIFY_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """The record does not show what was sent yet: read it again in ``seconds``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Repair:
    """The values are not on the record: write them again."""


@dataclass(frozen=True, slots=True)
class OtherCompany:
    """The record is of another Company than the values: those that depend on the Company are resolved anew."""

    company_id: int


def compare(
    entry: Entry, record: Record | None, *, names_company: bool = False
) -> Finished | ReadAgain | Repair | OtherCompany:
    """Compare the record (None if there is none) with what was sent; counts failed checks on the entry.

    Where rules name the Company (``names_company``), the record must also show the Company that the values came from.
    """
    sent = entry.sent
    assert sent is not None, "only a write can be verified"
    if record:
        note_shown(entry, record)
    verified = Finished(entry.written_status, verified=True)
    if names_company and record and record.company_id and record.company_id != entry.company_id:
        return OtherCompany(record.company_id)
    is_shown = record is not None and shows_all(record, sent)
    is_unsure = names_company and not (record and record.company_id)
    has_lost = record is not None and bool(lost_carried(record, sent, given_up=entry.given_up))
    if is_shown and not is_unsure and not has_lost:
        return verified
    entry.checks += 1
    if entry.checks <= len(READ_LAG_BACKOFF_S):
        return ReadAgain(READ_LAG_BACKOFF_S[entry.checks - 1])
    if is_shown and is_unsure and not has_lost:
        return Finished(verified.status, verified=False)
    if entry.repaired:
        return verified if is_shown else Finished(Status.FAILED, "not_persisted", verified=False)
    return Repair()


class Verifier:
    """The jobs that verify and re-verify a store's orders."""

    def __init__(self, resources: Resources, *, clock: Callable[[], float]) -> None:
        self._resources = resources
        self._clock = clock
        self._loader = RecordLoader(resources.facts, clock=clock)

    async def verify(self, ctx: dict[str, Any], store: str) -> None:
        """Verify the orders that are due; several are read in one call."""
        async with self._open_api(ctx, store) as api:
            due = await self._resources.to_verify.due(store, most=MAX_ORDERS_AT_ONCE)
            entries = [
                entry for entry in await self._resources.ledger.get_many(store, due) if not entry.status.is_final
            ]
            # Orders that have finished or expired in the meantime need no verification.
            await self._resources.to_verify.done(store, *(set(due) - {entry.order_id for entry in entries}))
            if api is None:
                # The store is not configured any more: its orders wait in recovery in case it comes back.
                await self._each(entries, lambda entry: self._resources.transitions.to_recovery(entry, 0.0))
            elif entries:
                await self._verify_all(api, entries)

    async def reverify(self, ctx: dict[str, Any], store: str) -> None:
        """Re-verify finished orders, and repair records that have lost our values."""
        async with self._open_api(ctx, store) as api:
            due_orders = self._resources.to_reverify
            due = await due_orders.due(store, ahead_s=REVERIFY_AHEAD_S, most=MAX_ORDERS_AT_ONCE)
            entries = [entry for entry in await self._resources.ledger.get_many(store, due) if _is_repairable(entry)]
            # A retried order is scheduled again when it finishes. Orders of a removed store are not repaired.
            await due_orders.done(store, *(set(due) - {entry.order_id for entry in entries if api}))
            if api and entries:
                await self._reverify_all(api, entries)

    async def _verify_all(self, api: StoreApi, entries: list[Entry]) -> None:
        api.priority = Priority.VERIFY_MANY if len(entries) >= LARGE_BATCH else Priority.VERIFY
        ranges = {entry.order_id: created for entry in entries if (created := self._created_range(entry))}
        try:
            records = await self._loader.read(api, entries, ranges, names_company=self._names_company(api))
        except CredentialsRefused as refused:
            await completion.open_breaker(self._resources, api.account.store_hash, refused)
            await self._each(entries, lambda entry: completion.park(self._resources, entry))
            return

        async def verify_one(entry: Entry) -> None:
            if entry.order_id in records.found:
                await self._apply(entry, records.found[entry.order_id], names_company=self._names_company(api))
            elif entry.order_id in records.unreadable and self._clock() - _written_at(entry) > VERIFY_TIMEOUT_S:
                # Recovery retries it with backoff and a time limit. Here it would delay others.
                entry.trouble = str(records.error)
                await self._resources.transitions.to_recovery(entry, ERROR_RETRY_S)

        # At the same time, so that they share exchanges with Redis.
        await gather_all(self._note_seen(api, records), self._each(entries, verify_one))
        if records.error:
            raise records.error

    async def _note_seen(self, api: StoreApi, records: Records) -> None:
        if seen := [order_id for order_id, record in records.found.items() if record]:
            await self._resources.history.note_record(api.account.store_hash, max(seen))

    async def _reverify_all(self, api: StoreApi, entries: list[Entry]) -> None:
        api.priority = Priority.BACKGROUND
        ranges = {
            entry.order_id: CreatedRange(entry.recorded_at - EXCLUSIVE_S, entry.recorded_at + EXCLUSIVE_S)
            for entry in entries
            if entry.recorded_at is not None
        }
        names_company = self._names_company(api)
        records = await self._loader.read(api, entries, ranges, names_company=names_company)

        async def reverify_one(entry: Entry) -> None:
            record = records.found.get(entry.order_id)
            if names_company and record and record.company_id and is_company_unproven(entry, record.company_id):
                await self._use_company(entry, record.company_id)
            elif record and entry.sent and _is_worth_putting_back(entry, record, entry.sent):
                log.warning(Event.VALUES_LOST, outcome=entry.status.value)
                await self._repair(entry, record)

        await self._each(entries, reverify_one)
        given_up = [
            entry.order_id
            for entry in entries
            if entry.order_id in records.unreadable and self._clock() - (entry.ended_at or 0.0) > REVERIFY_TIMEOUT_S
        ]
        await self._resources.to_reverify.done(api.account.store_hash, *records.found, *given_up)
        if records.error:
            raise records.error

    async def _each(self, entries: list[Entry], do: Callable[[Entry], Awaitable[object]]) -> None:
        """Do it for each order, except those that a newer attempt has taken: it schedules its own verification."""

        async def do_one(entry: Entry) -> None:
            with (
                structlog.contextvars.bound_contextvars(order_id=entry.order_id, webhook_id=entry.webhook_id),
                suppress(StaleAttempt),
            ):
                await do(entry)

        for start in range(0, len(entries), SAVED_AT_ONCE):
            await gather_all(*map(do_one, entries[start : start + SAVED_AT_ONCE]))

    @asynccontextmanager
    async def _open_api(self, ctx: dict[str, Any], store: str) -> AsyncIterator[StoreApi | None]:
        """The store's API for one run; None if the store is not configured. Errors requeue the job."""
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                configured = self._resources.configuration.stores.get(store)
                if configured and await self._resources.breaker.is_open(store):
                    raise Retry(defer=CREDENTIALS_RETRY_S)
                tokens = configured.store.access_tokens if configured else ()
                yield StoreApi(self._resources.transport, Account(store, tokens)) if configured else None
            except WaitUntil as wait:
                raise Retry(defer=max(wait.seconds, VERIFY_AFTER_S)) from wait
            except UpstreamError as error:
                log.info(Event.CHECK_POSTPONED, trouble=str(error))
                is_refused = isinstance(error, CredentialsRefused)
                raise Retry(defer=CREDENTIALS_RETRY_S if is_refused else ERROR_RETRY_S) from error
            except Retry:
                raise
            except Exception as error:
                raise requeue(ctx, error) from error

    def _created_range(self, entry: Entry) -> CreatedRange | None:
        """When the record of an order that we wrote may have been made; None if unknown."""
        created, now = entry.times.get(Stage.CREATED), self._clock()
        if created is None:
            return None
        # The record existed when our write was answered. After an outage it may be hours younger than its order.
        answered = entry.times.get(Stage.ANSWERED, now) + entry.skew
        latest = created if created < now - OLD_ORDER_S else answered
        return CreatedRange(created - CLOCK_TOLERANCE_S, latest + CLOCK_TOLERANCE_S)

    def _names_company(self, api: StoreApi) -> bool:
        configured = self._resources.configuration.stores.get(api.account.store_hash)
        return configured is not None and configured.rules.needs.company

    async def _apply(self, entry: Entry, record: Record | None, *, names_company: bool) -> None:
        entry.upstream_calls += 1
        if entry.sent is None:
            await self._settle(entry, record)
            return
        found = compare(entry, record, names_company=names_company)
        note_verification(entry, _in_words(found), at=self._clock())
        match found:
            case Finished() as finished:
                if record and (lost := lost_carried(record, entry.sent, given_up=entry.given_up)):
                    log.warning(Event.VALUES_LOST, outcome=finished.status.value, carried=lost)
                if finished.verified:
                    note_verified(entry)
                entry.times[Stage.VERIFIED] = self._clock()
                entry.recorded_at = record.created_at if record else None
                await completion.finish(self._resources, entry, finished)
                if record:
                    await learn_from_record(self._resources.facts, entry, record)
            case ReadAgain(seconds):
                await self._resources.transitions.to_verification(entry, seconds)
            case Repair():
                await self._repair(entry, record)
            case OtherCompany(company_id):
                await self._use_company(entry, company_id)

    async def _use_company(self, entry: Entry, company_id: int) -> None:
        entry.record_company_id, entry.checks = company_id, 0
        await self._resources.transitions.to_recovery(entry, 0.0)

    async def _settle(self, entry: Entry, record: Record | None) -> None:
        """Let the order wait for its record to settle; recovery then fills it in."""
        now = self._resources.transport.upstream_clock.now()
        age = now - entry.times.get(Stage.CREATED, now)
        if settling.is_settled(record, order_age_s=age, now=now):
            await self._resources.transitions.to_recovery(entry, 0.0)
        else:
            await self._resources.transitions.to_verification(entry, settling.LOOK_EVERY_S)

    async def _repair(self, entry: Entry, record: Record | None) -> None:
        if record:
            note_lost(entry, record)
        entry.repaired, entry.checks = True, 0
        await self._resources.transitions.to_recovery(entry, 0.0)


def _in_words(found: Finished | ReadAgain | Repair | OtherCompany) -> str:
    match found:
        case Finished(verified=True):
            return "verified: the record shows what was sent"
        case Finished(status, reason):
            return f"{status}, not verified" + (f": {reason}" if reason else "")
        case ReadAgain():
            return "the record does not show it yet"
        case Repair():
            return "the record does not show it: to be written again"
        case OtherCompany():
            return "the record is of another Company"


def is_company_unproven(entry: Entry, company_id: int) -> bool:
    """Whether a finished order's values came from another Company than this one, or that was never verified."""
    if entry.verified is False and entry.record_company_id != company_id:
        return True  # not verified for want of a Company; what else is not as sent stays so, and is not tried again
    # An order that was written by an older version has no Company noted.
    return entry.company_id not in (None, company_id)


def _is_repairable(entry: Entry) -> bool:
    """Whether we wrote values on the order's record and have not repaired them yet."""
    return entry.status.is_written and entry.sent is not None and not entry.repaired


def _is_worth_putting_back(entry: Entry, record: Record, sent: Sent) -> bool:
    """Whether the record has lost a value that was not put back before: no two programs write in turns."""
    put_back = set(entry.put_back)
    return bool(set(lost_values(record, sent)) - put_back or lost_carried(record, sent, given_up=put_back))


def _written_at(entry: Entry) -> float:
    return entry.times.get(Stage.ANSWERED) or entry.times.get(Stage.SENT) or 0.0
