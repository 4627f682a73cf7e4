"""The life of an order as a state machine, told once: start reading here.

    _read_order ─────▶ _resolve_values ─────▶ _create_record ─────▶ Written, then verified: created
    GET the order      apply the rules        POST the record
                              │                 │          ▲
                 the window   │      the record │          │ no record yet,
                 is closed    │  exists already │          │ and the window
                              │   or no answer  │          │ is still open
                              ▼                 ▼          │
                            ┌──────────────────────────────┴─┐
                            │        _compare_record         │────▶ Finished: unchanged, or created or updated
                            │         GET the record         │      where an earlier write of ours succeeded
                            └───┬────────────────────────────┘
                   values       │               ▲  B2B Edition refuses a field
                   are missing  ▼               │  that we only carry along
                            _update_record ─────┴─────────────────▶ Written, then verified: updated
                            PUT the record

    Every state may also end the attempt with

        Finished             skipped or failed
        RetryLater           a transient error, no quota, or only the record can tell the Company: another attempt,
                             after the window in the recovery queue
        AwaitingValues       a rule's value may still come: another attempt, inside the window
        AwaitingRecord       a store that lets B2B Edition make the record first (``waiting/settling.py``)
        AwaitingRequired     a required rule has no value, and its time is over: the order waits until it has one
        AwaitingWrites       nothing may be written for the store now: the order is held
        AwaitingStatus       an incomplete order of a store that waits for the status to change
        AwaitingCredentials  BigCommerce refuses the store's access token: the order is parked

Where B2B Edition never makes a record, as of some orders made by API, ``_no_record`` sends Create after the window.

Each state is a method that returns the next state or the attempt's result. Both kinds of jobs for orders, window and
recover, enter here: the order's entry says what was sent so far, so an interrupted attempt continues where it stopped.
When B2B Edition refuses a write, ``steps/refused_values.py`` says what to do. ``attempts.py`` starts attempts and
applies their results; ``verification.py`` checks what was written.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any, Protocol

from service.bigcommerce import Api, StoreApi
from service.bigcommerce.clock import UpstreamClock
from service.bigcommerce.models import ExtraFieldConfig, Record
from service.configuration import ConfiguredStore
from service.errors import (
    AlreadyExists,
    CredentialsRefused,
    NotFound,
    Refused,
    TryAgain,
    Unsure,
    WaitUntil,
)
from service.orders.document.cache import Cache
from service.orders.document.loading import Document, NoCompanyUser
from service.orders.document.sources import read_sources
from service.orders.facts.fact import Fact
from service.orders.facts.learning import learn_from_update
from service.orders.facts.store_facts import Facts
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.store_history import StoreHistory
from service.orders.state.per_store.storefront.storefront_breaker import StorefrontBreaker
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.orders.state.queue import BACKFILL
from service.orders.state.transitions import Transitions
from service.orders.state.worklists.late_orders import LateOrders
from service.orders.values.before_rules import put_before_rules
from service.orders.values.given_values import given_of
from service.orders.values.merge import merge, shows_all, shows_any
from service.orders.values.skip import skip_reason
from service.orders.values.values_to_send import (
    ResolvedValues,
    duplicate_fields,
    required_defaults,
    resolve_values,
    validate_evaluation,
)
from service.process.gathering import gather_all
from service.rules import Evaluation, given_by, keep_earlier
from workers.orders.buyers.buyer import Buyer, Standing, says_no_company_user
from workers.orders.buyers.company_values import awaits_company, company_rules, note_company, values_of
from workers.orders.entry_notes import (
    note_answered,
    note_dropped,
    note_kept,
    note_order,
    note_right,
    note_shown,
    values_to_write,
)
from workers.orders.result_types import (
    AttemptResult,
    AwaitingCredentials,
    AwaitingRecord,
    AwaitingStatus,
    AwaitingValues,
    Finished,
    RetryLater,
    Written,
)
from workers.orders.steps.create_route import CreateRoute, OrdinaryWay
from workers.orders.steps.draft import Draft
from workers.orders.steps.invoice_payment import is_invoice_payment
from workers.orders.steps.missing_record import before_late_create, may_still_come, record_missing
from workers.orders.steps.order_configs import OrderConfigs
from workers.orders.steps.order_date import date_order
from workers.orders.steps.order_reading import OrderReader
from workers.orders.steps.refused_values import Next, after_refused_values
from workers.orders.steps.write_guard import WriteGuard, WritesPaused
from workers.orders.waiting.late_values import await_values
from workers.orders.waiting.required_values import without_value
from workers.orders.window_retry import WindowRetry

RECORD_AFTER_S = 1.0
"""B2B Edition makes its own record about when the window closes."""

RESOLVED_VALUES_MAX_AGE_S = 600.0
"""How long resolved values are reused: a backfilled order waits for quota many times."""


class State(Protocol):
    """A state of the order's life: returns the next state, or the result of the attempt."""

    def __call__(self) -> Awaitable["State | AttemptResult"]: ...


async def _no_lease() -> None:
    return


class Lifecycle:
    """One attempt at one order, from where its entry says it is to a result."""

    def __init__(
        self,
        entry: Entry,
        configured: ConfiguredStore,
        api: StoreApi,
        reader: OrderReader,
        transitions: Transitions,
        cache: Cache,
        upstream_clock: UpstreamClock,
        late: LateOrders,
        history: StoreHistory,
        buyer: Buyer,
        *,
        facts: Facts,
        tokens: StorefrontTokens,
        storefront: StorefrontBreaker,
        ensure_lease: Callable[[], Awaitable[None]] = _no_lease,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``ensure_lease`` is awaited before each call but those that only read ahead.

        It raises when another worker has the order now.
        """
        self.entry = entry
        self._configured = configured
        self._store = configured.store
        self._rules = configured.rules
        self._api = api
        self._reader = reader
        self._cache = cache
        self._upstream = upstream_clock
        self._late = late
        self._history = history
        self._facts = facts
        self._draft = Draft()
        self._buyer = buyer
        self._clock = clock
        self._retry = WindowRetry(entry, api, upstream_clock, ensure_lease)
        self._configs = OrderConfigs(entry, self._store, api, cache, facts, self._retry)
        self._route = CreateRoute(entry, self._store, api, self._retry, tokens, storefront, buyer)
        self._document: Document = {}
        self._creates_late = False  # Create is sent though the window has closed, or may have
        self._needs_company = False
        self._guard = WriteGuard(entry, self._store, self._draft, transitions, clock)

    async def run(self) -> AttemptResult:
        """Run the states until one gives a result. Upstream errors become results; they are never raised."""
        self._draft.naming.begin(await self._facts.of(self.entry.store))
        state: State | AttemptResult = self._first_state()
        try:
            while not isinstance(state, AttemptResult):
                state = await state()
        except WritesPaused:
            return self._guard.hold()
        except WaitUntil as wait:
            return RetryLater(str(wait), wait.seconds)
        except CredentialsRefused as refused:
            return AwaitingCredentials(refused)
        except TryAgain as error:
            return RetryLater(str(error))
        except Refused as refused:
            return Finished(Status.FAILED, str(refused))
        finally:
            self.entry.upstream_calls += self._api.calls
            self.entry.skew = self._upstream.now() - self._clock()
        return state

    def _first_state(self) -> State:
        sent = self.entry.sent
        if self._keeps_values:
            self._draft.values = values_to_write(self.entry)
            return self._compare_record
        if self._are_values_current():
            self._draft.values = values_of(self.entry)
            return self._compare_record
        is_unresolved = sent is not None and not self.entry.composed
        if self.entry.start_over or is_unresolved or Stage.CREATED not in self.entry.times:
            return self._read_order
        self._draft.values = values_to_write(self.entry)
        if sent is None:
            # Only quota was missing, and the window is short. After it there is time to resolve the values again.
            return self._create_record if self.entry.composed and self._retry.can_create() else self._read_order
        self.entry.exists |= sent.answered
        return self._compare_record

    def _are_values_current(self) -> bool:
        """Whether a backfilled order lacks only quota: its values were resolved since it was queued, and lately."""
        read_at, queued_at = (self.entry.times.get(stage) for stage in (Stage.READ, Stage.QUEUED))
        return (
            self.entry.source == BACKFILL
            and self.entry.composed
            and read_at is not None
            and (queued_at or 0.0) <= read_at
            and self._clock() - read_at < RESOLVED_VALUES_MAX_AGE_S
        )

    # ── read the order and resolve its values ───────────────────────────────────────────────────────────────

    async def _read_order(self) -> State | AttemptResult:
        self.entry.composed = False
        if self.entry.start_over and self.entry.sent:
            # What others have deleted since then is not put back.
            self.entry.sent = replace(self.entry.sent, carried={})
        self._configs.read_ahead()
        try:
            self._document, read_at = await self._reader.read(self.entry, self._api, self._configured, self._retry)
        except NotFound:
            return Finished(Status.FAILED, "order_not_found")
        order = self._document["order"]
        try:
            dated = await date_order(self.entry, order, self._history, self._upstream.now())
        except ValueError:
            return Finished(Status.FAILED, "the order has no date_created that can be read")
        self._retry.window = dated.window
        self._creates_late |= dated.is_open_perhaps
        self.entry.times[Stage.READ] = read_at
        note_order(self.entry, order, keeps_comment=self._store.order_comment)
        return await self._skip(order) or self._resolve_values

    async def _skip(self, order: dict[str, Any]) -> AttemptResult | None:
        reason = skip_reason(order, self._store)
        if reason == "incomplete" and self._store.incomplete_orders == "wait":
            return AwaitingStatus()
        if reason:
            return Finished(Status.SKIPPED, reason)
        if await self._buyer.is_remembered_as_nobody():
            return Finished(Status.SKIPPED, "not_a_company_user")
        if self.entry.sent is None and await self._is_invoice_payment():
            return Finished(Status.SKIPPED, "invoice_payment")
        return None

    async def _is_invoice_payment(self) -> bool:
        api, clock, window = self._api, self._upstream, self._retry.window
        return await is_invoice_payment(self._document, self.entry, api, self._history, clock, window)

    async def _resolve_values(self) -> State | AttemptResult:
        self.entry.composed = False  # until these are the values to send
        try:
            people, sources, self._draft.configs = await self._retry.call(self._read_beside_order)
        except NoCompanyUser:
            return await self._skip_no_company_user()
        except NotFound as missing:
            # The Company or the field configs are missing: that does not say that the buyer has no Company.
            return RetryLater(str(missing))
        self._document |= people | sources
        evaluation = self._rules.evaluate(self._document)
        if self.entry.rules_version == self._rules.version and self.entry.written:
            of_other = company_rules(self._rules) if self._buyer.company_id != self.entry.company_id else ()
            given = {name: value for name, value in given_of(self.entry).items() if name not in of_other}
            evaluation = keep_earlier(self._rules, evaluation, given)
        still_missing = tuple(name for name in evaluation.missing if name not in self._rules.from_record)
        evaluation = replace(evaluation, missing=still_missing)
        self.entry.given = {name: (given.text, given.place) for name, given in given_by(evaluation).items()}
        self.entry.rules_version = self._rules.version
        configs = self._draft.configs
        evaluation = put_before_rules(self._rules, evaluation, self.entry.values_by_hand, configs)
        awaiting = await self._await_values(evaluation) if self._retry.can_create() else None
        return awaiting or self._after_resolving(validate_evaluation(self._rules, evaluation, configs))

    async def _read_beside_order(self) -> tuple[Document, Document, list[ExtraFieldConfig]]:
        """The order's people and sources, as far as the rules name them, and the extra-field configs."""
        order, needs, made_at = self._document["order"], self._rules.needs, self.entry.made_at
        known = self._reader.sources(self.entry, needs)

        async def sources() -> Document:
            return await read_sources(self._api, self._cache, order, needs, made_at=made_at, known=known)

        if needs.is_order_enough:  # then there is hardly anything to wait for, and three tasks cost more
            return await self._buyer.people(), await sources(), await self._configs.get()
        # All of them end before an error is raised: their calls are spent, and what they read is kept.
        people, read, configs = await gather_all(self._buyer.people(), sources(), self._configs.get())
        return people, read, configs

    async def _await_values(self, evaluation: Evaluation) -> AwaitingValues | None:
        configured, window, transport = self._configured, self._retry.window, self._api.transport
        metafields = self._document["metafields"]
        return await await_values(
            evaluation, self.entry, configured, window, self._late, transport, metafields=metafields
        )

    def _after_resolving(self, resolved: ResolvedValues) -> State | AttemptResult:
        note_dropped(self.entry, resolved.dropped)
        note_company(self.entry, self._buyer.company_id, resolved, self._rules, self._draft.names)
        self.entry.po_number = resolved.values.po_number
        self.entry.fields = dict(resolved.values.extra_fields)
        self._draft.values = values_of(self.entry)
        self._needs_company = awaits_company(self._buyer, resolved, self._rules)
        if self._needs_company:
            return self._await_company() if self._retry.is_open() else self._compare_record
        if resolved.missing:
            now, follow_s = self._upstream.now(), self._store.follow_s
            return without_value(resolved.missing, self._retry.window, now=now, follow_s=follow_s)
        if resolved.failure:
            return Finished(Status.FAILED, resolved.failure)
        if self._draft.is_empty:
            return Finished(Status.SKIPPED, "no_values")
        self.entry.composed = True
        if self._store.strategy == "merge" and self.entry.sent is None and self._retry.can_create():
            self.entry.awaits_record = True
            return AwaitingRecord()
        return self._write_again() if self.entry.sent is None else self._compare_record

    # ── create, inside the window ───────────────────────────────────────────────────────────────────────────

    async def _create_record(self) -> State | AttemptResult:
        customer_id, sent_before, age_before = self.entry.customer_id or 0, self.entry.sent, self.entry.create_age
        values = self._draft.for_create()
        is_late, self._creates_late = self._creates_late, False
        await self._route.choose(is_late=is_late)
        # At the same time, so that they share one exchange with Redis.
        held, _ = await asyncio.gather(
            self._guard.save_create(values, via=self._route.via, is_late=is_late),
            self._route.take_call(is_late=is_late),
        )
        if held is not None:
            return held

        async def create() -> Record:
            self.entry.create_age = self._retry.window.age(self._upstream.now())
            return await self._route.create(self.entry.order_id, customer_id, values)

        try:
            created = await self._retry.call(self._guard.guarded(create))
        except Unsure as unsure:
            self.entry.trouble = str(unsure)
            if self._retry.is_open():
                await self._retry.back_off()
            return self._compare_record
        except OrdinaryWay:
            self.entry.sent, self.entry.create_age = sent_before, age_before
            return self._create_record
        except (TryAgain, WaitUntil) as error:
            # Nothing was sent, so the next attempt must not look for these values on the record.
            self.entry.sent, self.entry.create_age = sent_before, age_before
            self.entry.late_creates -= is_late
            if not is_late and self._route.may_go_elsewhere(error):
                return self._create_record
            raise
        except Refused as refused:
            if isinstance(refused, AlreadyExists) and not duplicate_fields(
                self._draft.configs, values, refused.message
            ):
                # Made by an earlier attempt of ours, by the storefront or by B2B Edition: compare it before deciding.
                self.entry.exists = True
                self.entry.sent = sent_before
                await self._note_record_was_there()
                return self._compare_record
            self._creates_late = is_late  # its values are refused, and may be mended
            self.entry.late_creates -= is_late
            return await self._after_refusal(refused)
        note_answered(self.entry, self._clock())
        return self._use_company() if self._buyer.note_record(created) else Written()

    async def _note_record_was_there(self) -> None:
        """Learn how early a record may be there that no Create of ours has made."""
        age = self.entry.create_age
        is_known = age is not None and self.entry.window_opened_at is None
        if self.entry.sent is None and age is not None and is_known and self._retry.is_open():
            store, order_id = self.entry.store, self.entry.order_id
            await self._facts.observe(store, Fact.RECORD_THERE_FROM, age, order_id=order_id)

    # ── compare and update the record ───────────────────────────────────────────────────────────────────────

    async def _compare_record(self) -> State | AttemptResult:
        if not self._draft.configs:
            # This attempt starts here. It must recognize a field under both of its names.
            try:
                self._draft.configs = await self._configs.get_for_record()
            except NotFound as missing:
                return RetryLater(str(missing))
        try:
            record = await self._retry.call(self._read_record)
        except NotFound:
            if not self._retry.is_open():
                return await self._no_record()
            if not self.entry.exists:
                return self._create_record  # no earlier Create succeeded
            await self._retry.back_off()  # it exists, but reads lag behind writes
            return self._compare_record
        await self._history.note_record(self.entry.store, self.entry.order_id)
        note_shown(self.entry, record)
        if record.is_invoice_order:
            return Finished(Status.SKIPPED, "invoice_payment")
        if (other := await self._check_company(record)) is not None:
            return other
        merged = merge(
            record,
            self._draft.values,
            self.entry.written,
            self._store.existing_values,
            names=self._draft.names,
            leave_out=self._draft.not_carried,
            restore=self._values_to_restore(),
            defaults=required_defaults(self._draft.configs, self._draft.values),
            settled=self.entry.settled,
            replace=self.entry.may_replace,
        )
        note_kept(self.entry, merged.kept)
        note_right(self.entry, self._draft.values, merged)
        if merged.values is not None:
            self._draft.update = merged.values
            return self._update_record
        self.entry.times[Stage.VERIFIED] = self._clock()
        self.entry.recorded_at = record.created_at
        return self._already_written(record)

    def _values_to_restore(self) -> dict[str, Any]:
        """Values that no rule gave and our last Update wrote: they are put back once if the record has lost them."""
        sent = self.entry.sent
        if sent is None or (sent.answered and not self.entry.repaired):
            return {}
        defaults = required_defaults(self._draft.configs, self._draft.values).keys() & sent.extra_fields.keys()
        carried = {
            name: value
            for name, value in sent.carried.items()
            if self._draft.names.field_name(name) not in self.entry.given_up
        }
        return {name: sent.extra_fields[name] for name in defaults} | carried

    async def _read_record(self) -> Record:
        if not self._retry.can_create():
            # An Update usually follows. Reserve quota for both calls: what was read must not grow old in between.
            await self._api.spend_ahead(Api.B2B, 2, operation="Get an Order")
        return await self._api.b2b.order(self.entry.order_id)

    def _already_written(self, record: Record) -> Finished:
        """The record needs no write: another app wrote the values, or a write of ours whose answer was lost."""
        sent = self.entry.sent
        if sent is None or not shows_any(record, sent):
            return Finished(Status.UNCHANGED, verified=True)
        return Finished(self.entry.written_status, verified=shows_all(record, sent))

    async def _no_record(self) -> State | AttemptResult:
        """B2B Edition makes the record of a Company user's order by itself, but not of every order made by API."""
        age_s = self._upstream.now() - self._retry.window.opened_at
        if self._buyer.is_tried_again:
            may_come = may_still_come(self.entry, order_age_s=age_s, now=self._clock())
            return record_missing() if may_come else await self._skip_no_company_user()
        if not await self._may_be_company_order():
            return await self._skip_no_company_user()
        if not self._creates_late:
            known, now = await self._facts.of(self.entry.store), self._clock()
            before = await before_late_create(self.entry, self._history, known, order_age_s=age_s, now=now)
            if before is not None:
                return before
        self._creates_late = True
        return self._create_record

    async def _update_record(self) -> State | AttemptResult:
        values, sent_before = self._draft.update, self.entry.sent
        if (held := await self._guard.save_update(values)) is not None:
            return held

        async def update() -> Record | None:
            return await self._api.b2b.update_order(self.entry.order_id, values)

        try:
            updated = await self._retry.call(self._guard.guarded(update))
        except NotFound:
            return record_missing() if await self._is_company_user() else await self._skip_no_company_user()
        except Refused as refused:
            return await self._after_refusal(refused, values.carried)
        except Unsure:
            raise
        except (TryAgain, WaitUntil):
            self.entry.sent = sent_before
            raise
        note_answered(self.entry, self._clock())
        await learn_from_update(self._facts, self.entry, updated, self._draft.not_carried)
        return Written()

    # ── refused writes ──────────────────────────────────────────────────────────────────────────────────────

    async def _after_refusal(self, refused: Refused, carried: Collection[str] = ()) -> State | AttemptResult:
        """B2B Edition refuses the values: because of the buyer, outdated field configs, or one bad field."""
        if not await self._is_company_user():
            return await self._skip_no_company_user()
        if self._buyer.is_company_open and says_no_company_user(refused):
            return self._await_company()
        after = await after_refused_values(
            refused.message,
            carried,
            self._draft,
            self.entry,
            self._rules,
            read_configs_again=self._configs.read_again,
            resolve_again=self._resolve_again,
        )
        match after:
            case ResolvedValues():
                return self._after_resolving(after)
            case Next.WRITE:
                return self._write_again()
            case Next.COMPARE:
                return self._compare_record
            case Next.READ_ORDER:
                return self._read_order
            case Finished():
                return after

    @property
    def _keeps_values(self) -> bool:
        """Whether the values are not resolved again: they are those of a later change, or wait for the record."""
        return self.entry.follows or self.entry.awaits_record

    def _resolve_again(self) -> ResolvedValues | None:
        if self._document:
            return resolve_values(self._rules, self._document, self._draft.configs, self.entry.values_by_hand)
        # This attempt started at the record; resolving needs the order.
        return ResolvedValues(self._draft.values, {}, None) if self._keeps_values else None

    def _write_again(self) -> State:
        can_create = self._retry.can_create() or self._creates_late
        return self._create_record if can_create else self._compare_record

    async def _may_be_company_order(self) -> bool:
        """Whether Create may be tried for this customer. If the rules name nobody, its refusal is the verdict."""
        names_people = self._rules.needs.user or self._rules.needs.company
        return not names_people or await self._is_company_user()

    # ── the buyer and the Company ───────────────────────────────────────────────────────────────────────────

    async def _check_company(self, record: Record) -> State | AttemptResult | None:
        """What follows from the Company that the record shows; None: the values are to be compared with the record."""
        if self._buyer.note_record(record) or (self._needs_company and record.company_id):
            return self._use_company()
        if not record.company_id and (self._buyer.is_tried_again or not await self._is_company_user()):
            return await self._skip_no_company_user()
        return RetryLater("the record of the order shows no Company yet") if self._needs_company else None

    def _use_company(self) -> State:
        """The record is of another Company than the values: those that depend on the Company are resolved anew."""
        self.entry.exists = True
        return self._resolve_values if self._document else self._read_order

    def _await_company(self) -> RetryLater:
        """Only the record can tell whose order it is, or B2B Edition takes no Create for this buyer."""
        left = self._retry.window.left(self._upstream.now())
        seconds = left + RECORD_AFTER_S if self._retry.is_open() else None
        return RetryLater("the record must show the order's Company", seconds)

    async def _is_company_user(self) -> bool:
        return await self._retry.call(self._buyer.standing) is Standing.COMPANY

    async def _skip_no_company_user(self) -> AttemptResult:
        await self._buyer.remember_as_nobody()
        return Finished(Status.SKIPPED, "not_a_company_user")
