"""The life of an order, told once.

    read ─▶ compose ─▶ create ─▶ written, to be verified ─▶ created
      │        │          │ already exists, or no answer
      │        │          ▼
      │        ├──────▶ settle ─▶ update ─▶ written, to be verified ─▶ updated
      │        │          └─▶ unchanged
      ▼        ▼
    skipped, failed, waiting until its status changes, or looked at again later

Each step returns the next one or a verdict. Enriching, recovering and retrying are entries into this machine: what
was sent so far stands in the order's entry, so a run that was cut off is taken up where it stood.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar

import structlog

from service.bigcommerce import Api, Priority, StoreApi
from service.bigcommerce.clock import UpstreamClock
from service.bigcommerce.models import ExtraFieldConfig, Record, Values, to_int
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
from service.logs import Event
from service.orders.create_window import Window
from service.orders.document.batch_loader import OrderLoader
from service.orders.document.cache import Cache
from service.orders.document.loading import Document, NoCompanyUser, read_people, read_user
from service.orders.state.entry import Entry, Sent, Stage, Status
from service.orders.state.queue import BACKFILL
from service.orders.state.transitions import Transitions
from service.orders.values.merge import PO_NUMBER, holds, merge, shows_any
from service.orders.values.resolution import (
    ResolvedValues,
    culprits,
    droppable,
    missing_required_field,
    read_configs,
    resolve_values,
)
from service.orders.values.skip import skip_reason
from service.retry import call_with_retry
from workers.results import AttemptResult, AwaitingCredentials, AwaitingStatus, Finished, RetryLater, Written

log = structlog.get_logger()
T = TypeVar("T")

SHORT_WAIT_S = 0.25

WORKED_OUT_S = 600.0
"""An old order waits for quota again and again: so long the values that were worked out for it hold."""

RECORD_AFTER_S = 3600.0
"""An order that has no record so long after its creation will not get one by itself."""

# Who tells of orders that were there before: how many seconds a record that is missing is waited for nevertheless.
_RECORD_WITHIN_S = {BACKFILL: 0.0, "retry": 0.0, "assign": 30.0, "reassign": 30.0}


class Step(Protocol):
    """A step of an order's life: the next one, or how the look ends."""

    def __call__(self) -> Awaitable["Step | AttemptResult"]: ...


async def _nothing() -> None:
    return


class Lifecycle:
    """One look at one order: from where its entry says it stands to a verdict."""

    def __init__(
        self,
        entry: Entry,
        configured: ConfiguredStore,
        api: StoreApi,
        reader: OrderLoader,
        transitions: Transitions,
        cache: Cache,
        upstream_clock: UpstreamClock,
        *,
        ensure_lease: Callable[[], Awaitable[None]] = _nothing,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``ensure_lease`` is awaited before each call: it raises when the order is another worker's by now."""
        self.entry = entry
        self._store = configured.store
        self._rules = configured.rules
        self._api = api
        self._reader = reader
        self._transitions = transitions
        self._cache = cache
        self._upstream = upstream_clock
        self._ensure_lease = ensure_lease
        self._clock = clock
        self._window = _expected_window(entry)
        self._document: Document = {}
        self._wanted = Values(None, {})
        self._pauses = 0
        self._configs: list[ExtraFieldConfig] = []
        self._refused_before = False
        self._update_with = self._wanted
        self._left_out: set[str] = set()

    async def run(self) -> AttemptResult:
        """Follow the order until it has ended, must wait, or needs another look later. Never raises for upstream."""
        step: Step | AttemptResult = self._first_step()
        try:
            while not isinstance(step, AttemptResult):
                step = await step()
        except WaitUntil as wait:
            return RetryLater(str(wait), wait.seconds)
        except CredentialsRefused as refused:
            return AwaitingCredentials(refused)
        except TryAgain as trouble:
            return RetryLater(str(trouble))
        except Refused as refused:
            return Finished(Status.FAILED, str(refused))
        finally:
            self.entry.upstream_calls += self._api.calls
            self.entry.skew = self._upstream.skew
        return step

    def _first_step(self) -> Step:
        sent = self.entry.sent
        if self._is_worked_out():
            self._wanted = Values(self.entry.po_number, self.entry.fields)
            return self._settle
        if self.entry.start_over or Stage.CREATED not in self.entry.times:
            return self._read
        self._wanted = Values(self.entry.po_number, self.entry.fields)
        if sent is None:
            # Only the quota was missing: every moment counts. Later there is time to work the values out anew.
            return self._create if self.entry.composed and self._can_create() else self._read
        self.entry.exists |= sent.answered
        return self._settle

    def _is_worked_out(self) -> bool:
        """Whether all that a backfilled order lacks is quota: what was read since it was queued is not read again."""
        read_at, queued_at = (self.entry.times.get(stage) for stage in (Stage.READ, Stage.QUEUED))
        return (
            self.entry.source == BACKFILL
            and self.entry.composed
            and read_at is not None
            and (queued_at or 0.0) <= read_at
            and self._clock() - read_at < WORKED_OUT_S
        )

    # ── what the order says ─────────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> Step | AttemptResult:
        self.entry.composed = False
        try:
            self._document = await self._call_with_retry(
                lambda: self._reader.read(
                    self._api, self.entry.order_id, self._rules.needs, created_hint=self._window.opened_at or None
                ),
                passing=(TryAgain, NotFound),
            )
        except NotFound:
            # BigCommerce may tell of an order before it can be read.
            return Finished(Status.FAILED, "order_not_found")
        order = self._document["order"]
        try:
            self._window = Window.of_order(str(order.get("date_created")))
        except ValueError:
            return Finished(Status.FAILED, "the order has no date_created that can be read")
        self.entry.times[Stage.CREATED] = self._window.opened_at
        self.entry.times[Stage.READ] = self._clock()
        self.entry.customer_id = to_int(order.get("customer_id"))
        return await self._skip(order) or self._compose

    async def _skip(self, order: dict[str, Any]) -> AttemptResult | None:
        reason = skip_reason(order, self._store)
        if reason == "incomplete" and self._store.incomplete_orders == "wait":
            return AwaitingStatus()
        if reason:
            return Finished(Status.SKIPPED, reason)
        if await self._cache.is_no_company_user(self.entry.customer_id or 0):
            return Finished(Status.SKIPPED, "not_a_company_user")
        return None

    async def _compose(self) -> Step | AttemptResult:
        customer_id = self.entry.customer_id or 0
        try:
            people, self._configs = await self._call_with_retry(
                lambda: asyncio.gather(
                    read_people(self._api, self._cache, customer_id, self._rules.needs),
                    read_configs(self._api, self._cache, self._store),
                )
            )
        except NoCompanyUser:
            return await self._no_company_user()
        except NotFound as missing:
            # The user's Company, or the configs: what a rule needs is not to be had, which says nothing of the buyer.
            return RetryLater(str(missing))
        self._document |= people
        return self._take(resolve_values(self._rules, self._document, self._configs))

    def _take(self, composed: ResolvedValues) -> Step | AttemptResult:
        self._note_dropped(composed.dropped)
        self._wanted = composed.values
        self.entry.po_number = composed.values.po_number
        self.entry.fields = dict(composed.values.extra_fields)
        if composed.failure:
            return Finished(Status.FAILED, composed.failure)
        if composed.values.po_number is None and not composed.values.extra_fields:
            return Finished(Status.SKIPPED, "no_values")
        self.entry.composed = True
        return self._create if self.entry.sent is None and self._can_create() else self._settle

    # ── inside the window ───────────────────────────────────────────────────────────────────────────────────

    async def _create(self) -> Step | AttemptResult:
        customer_id, earlier = self.entry.customer_id or 0, self.entry.sent
        self._intend("create", self._wanted)
        await self._transitions.save(self.entry)

        async def create() -> Record:
            self.entry.times[Stage.SENT] = self._clock()
            self.entry.create_age = self._upstream.now() - self._window.opened_at
            return await self._api.b2b.create_order(self.entry.order_id, customer_id, self._wanted)

        try:
            await self._call_with_retry(create)
        except AlreadyExists:
            # Not a verdict: an earlier try of ours, the storefront's own call, or B2B Edition by itself.
            self.entry.exists = True
            self.entry.sent = earlier
            return self._settle
        except Unsure as unsure:
            self.entry.trouble = str(unsure)
            return await self._pause_for(self._settle) if self._is_open() else self._settle
        except (TryAgain, WaitUntil):
            # Nothing was sent: the next look must not search for what cannot be there.
            self.entry.sent = earlier
            raise
        except Refused as refused:
            return await self._refused(refused)
        self._answered()
        return Written()

    # ── a record is there, or may be ────────────────────────────────────────────────────────────────────────

    async def _settle(self) -> Step | AttemptResult:
        """Read the record and decide by what it holds."""
        try:
            record = await self._call_with_retry(self._record)
        except NotFound:
            if self._is_open():
                # Known to exist but not yet to be seen: reads lag behind. Otherwise no try got through.
                return await self._pause_for(self._settle) if self.entry.exists else self._create
            return await self._no_record(will_come=not self._is_without_record())
        if record.is_invoice_order:
            return Finished(Status.SKIPPED, "invoice_payment")
        if not record.company_id and not await self._is_company_user():
            return await self._no_company_user()
        merged = merge(
            record,
            self._wanted,
            self.entry.written,
            self._store.existing_values,
            leave_out=self._left_out,
        )
        self._note_kept(merged.kept)
        if merged.values is not None:
            self._update_with = merged.values
            return self._update
        self.entry.times[Stage.VERIFIED] = self._clock()
        self.entry.recorded_at = record.created_at
        return self._there(record)

    async def _record(self) -> Record:
        if not self._can_create():
            # An Update mostly follows, and what was read for it must not grow old while it waits for the quota.
            await self._api.spend_ahead(Api.B2B, 2, operation="Get an Order")
        return await self._api.b2b.order(self.entry.order_id)

    def _there(self, record: Record) -> Finished:
        """The record needs nothing: an earlier try of ours whose answer was lost did it, or somebody else."""
        sent = self.entry.sent
        if sent is None or not shows_any(record, sent):
            return Finished(Status.UNCHANGED, verified=True)
        status = Status.CREATED if sent.by == "create" else Status.UPDATED
        return Finished(status, verified=holds(record, sent))

    async def _update(self) -> Step | AttemptResult:
        values, earlier = self._update_with, self.entry.sent
        self._intend("update", values)
        await self._transitions.save(self.entry)

        async def update() -> Record | None:
            self.entry.times[Stage.SENT] = self._clock()
            return await self._api.b2b.update_order(self.entry.order_id, values)

        try:
            await self._call_with_retry(update)
        except NotFound:
            return await self._no_record()
        except Refused as refused:
            return await self._refused(refused, values.carried)
        except Unsure:
            raise
        except (TryAgain, WaitUntil):
            self.entry.sent = earlier
            raise
        self._answered()
        return Written()

    # ── refusals ────────────────────────────────────────────────────────────────────────────────────────────

    async def _refused(self, refused: Refused, carried: Collection[str] = ()) -> Step | AttemptResult:
        """B2B Edition will not take the values: because of who ordered, of a stale config, or of one bad field."""
        if not await self._is_company_user():
            return await self._no_company_user()
        if others := culprits(carried, self._configs, refused.message):
            # A field that somebody else left on the record must not cost the order its own values.
            self._left_out |= others
            return self._settle
        if not self._refused_before and self._wanted.extra_fields:
            self._refused_before = True
            self._configs = await self._call_with_retry(
                lambda: read_configs(self._api, self._cache, self._store, refresh=True)
            )
            if not self._document:
                # This run began at the record; the values have to be worked out anew.
                return self._read
            composed = resolve_values(self._rules, self._document, self._configs)
            if composed.failure or composed.values != self._wanted:
                return self._take(composed)
        if field := missing_required_field(refused.message):
            return Finished(Status.FAILED, field)
        bad = droppable(self._rules, self._configs, self._wanted, refused.message)
        if not bad:
            return Finished(Status.FAILED, refused.message)
        self._note_dropped(dict.fromkeys(bad, f"BigCommerce refused it: {refused.message}"))
        left = {name: value for name, value in self._wanted.extra_fields.items() if name not in bad}
        self._wanted = replace(self._wanted, extra_fields=left)
        self.entry.fields = left
        return self._create if self._can_create() else self._settle

    async def _is_company_user(self) -> bool:
        try:
            await self._call_with_retry(lambda: read_user(self._api, self._cache, self.entry.customer_id or 0))
        except NoCompanyUser:
            return False
        return True

    async def _no_company_user(self) -> AttemptResult:
        await self._cache.remember_no_company_user(self.entry.customer_id or 0)
        return Finished(Status.SKIPPED, "not_a_company_user")

    async def _no_record(self, *, will_come: bool = True) -> AttemptResult:
        """B2B Edition makes the record of a Company user's order by itself; nobody else's has one to wait for."""
        if not await self._is_company_user():
            return await self._no_company_user()
        if will_come:
            return RetryLater("B2B Edition has no record of the order yet")
        assign = f"enrich orders assign --customer {self.entry.customer_id}"
        return Finished(
            Status.FAILED, f"B2B Edition has no record of this order; if its buyer joined the Company later: `{assign}`"
        )

    def _is_without_record(self) -> bool:
        """Whether there is none to wait for. For a fresh order B2B Edition may be slow, or down for hours."""
        within_s = _RECORD_WITHIN_S.get(self.entry.source or "")
        if within_s is None:
            return False
        known_for = self._clock() - self.entry.times.get(Stage.QUEUED, 0.0)
        return known_for >= within_s and self._upstream.now() - self._window.opened_at > RECORD_AFTER_S

    # ── small things ────────────────────────────────────────────────────────────────────────────────────────

    def _intend(self, by: Literal["create", "update"], values: Values) -> None:
        """Note what is about to be sent: from here on it counts as ours, wherever it turns up."""
        self.entry.sent = Sent(by, values.po_number, values.extra_fields)
        self.entry.start_over = False
        ours = {**values.extra_fields, **({PO_NUMBER: values.po_number} if values.po_number is not None else {})}
        for name, value in ours.items():
            earlier = self.entry.written.setdefault(name, [])
            if value not in earlier:
                earlier.append(value)

    def _answered(self) -> None:
        assert self.entry.sent is not None
        self.entry.sent = replace(self.entry.sent, answered=True)
        self.entry.times[Stage.ANSWERED] = self._clock()

    def _note_dropped(self, dropped: dict[str, str]) -> None:
        for name, reason in dropped.items():
            if name not in self.entry.dropped:
                log.warning(Event.FIELD_DROPPED, field=name, reason=reason)
            self.entry.dropped[name] = reason

    def _note_kept(self, kept: tuple[str, ...]) -> None:
        if fresh := [name for name in kept if name not in self.entry.kept]:
            log.warning(Event.VALUES_KEPT, kept=fresh)
        self.entry.kept = list(kept)

    def _is_open(self) -> bool:
        return self._window.is_open(self._upstream.now())

    def _can_create(self) -> bool:
        return self._is_open() and not self.entry.exists

    async def _pause_for(self, step: Step) -> Step:
        """Wait a little, longer each time, but not beyond the window."""
        self._pauses += 1
        pause = min(1.0, 0.05 * 2**self._pauses) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        await asyncio.sleep(min(pause, self._window.left(self._upstream.now())))
        return step

    async def _call_with_retry(
        self, call: Callable[[], Awaitable[T]], *, passing: tuple[type[Exception], ...] = (TryAgain,)
    ) -> T:
        """Make a call; while the window is open, try again what may pass. After it, the first trouble is raised."""

        def tell(error: Exception) -> bool | float:
            left = self._window.left(self._upstream.now())
            if isinstance(error, WaitUntil):
                # Longer waits are not for here: they would keep a worker from other orders.
                return error.seconds if error.seconds < min(left, SHORT_WAIT_S) else False
            # A write that may have got through is read back first, not sent again.
            return isinstance(error, passing) and not isinstance(error, Unsure) and left > 0

        async def held() -> T:
            await self._ensure_lease()
            self._api.priority = self._priority()
            return await call()

        return await call_with_retry(held, on=tell, wait_initial=0.05, wait_max=1.0, wait_jitter=0.1)

    def _priority(self) -> Priority:
        """Nothing goes before an order that can still be created; for all else there is time."""
        if self._can_create():
            return Priority.CREATE
        return Priority.BACKGROUND if self.entry.source == BACKFILL else Priority.RECOVER


def _expected_window(entry: Entry) -> Window:
    """The order's window; before it was read, what the webhook's own time or its arrival suggests."""
    for stage in (Stage.CREATED, Stage.WEBHOOK_SENT, Stage.RECEIVED):
        if stage in entry.times:
            return Window(entry.times[stage])
    return Window(0.0)
