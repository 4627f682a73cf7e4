"""The measurements of a rehearsal, on three test orders at the same time.

    left alone   does its record come by itself, and when; then the webhooks of a change and of a metafield
    early        Create an Order after a second; then Get, Get All Orders, Update an Order, and a last look
    late         Create an Order after 15 seconds

What cannot be measured is said, with the reason; it never ends the rehearsal. Only refused credentials do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from redis.exceptions import RedisError

from service.bigcommerce import Api, StoreApi
from service.bigcommerce.clients.hooks import METAFIELD_WRITTEN, ORDER_CREATED, read_hooks
from service.bigcommerce.models import ExtraFieldConfig, Record, Values, has_content
from service.errors import AlreadyExists, CredentialsRefused, NotFound, Refused, TryAgain, UpstreamError
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.facts.fact import Fact, Value
from service.orders.facts.learning import options_place, shown_name
from service.orders.rehearsal.marked_orders import MarkedOrder, MarkedOrders, Sleep
from service.orders.rehearsal.measurement import Measurement, Verdict, compared, not_measured
from service.orders.rehearsal.sample_values import Samples, sample_values
from service.orders.rehearsal.webhook_watch import WebhookWatch
from service.orders.state.order_entry import Sent
from service.orders.values.field_names import FieldNames

T = TypeVar("T")

ORDER_UPDATED = "store/order/updated"

Line = tuple[str, str]
"""What is measured, and what is documented about it."""

_RECORD: Line = ("record of an order made by API", f"comes by itself after about {WINDOW_LENGTH_S:.0f} s")
_LAST_LOOK: Line = ("what was written, at the end", "still there")
_UPDATE: Line = ("Update an Order with some of the extra fields", "—")
_NAMES: Line = ("names of extra fields", "fieldName")
_LIST: Line = ("extra fields in Get All Orders", "shown with showExtra")
_OPTIONS: Line = ("options of dropdowns in the extra-field configs", "listOfValues")
_QUOTAS: Mapping[Api, Line] = {
    Api.CORE: ("quota headers of the core API", "limit, what is left, when it resets"),
    Api.B2B: ("quota headers of B2B Edition", "limit, what is left, when it resets"),
}
_NEW_ORDER: Line = ("webhook of a new order", "—")
_CHANGED_ORDER: Line = ("webhook of a changed order", "—")
_METAFIELD: Line = ("webhook of a new metafield", "—")

ORDERS = 3
"""How many test orders a rehearsal places."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When things are done, in seconds after the order, and how long is waited for answers. In all two minutes."""

    early_s: float = 1.0
    late_s: float = 15.0
    watch_s: float = 30.0
    """How long the platform has time to make a record: three times as long as it usually takes."""
    last_look_s: float = 25.0
    """Public examples show records that the platform writes again 15 s after the first time."""
    webhook_s: float = 20.0
    read_lag_s: float = 8.0
    poll_s: float = 1.0

    @property
    def total_s(self) -> float:
        """About how long all of it takes."""
        return max(self.watch_s + self.webhook_s, self.last_look_s) + self.read_lag_s


Report = Callable[[str], None]


class Rehearsal:
    """One run. An interrupted one has measured something, too."""

    def __init__(
        self,
        api: StoreApi,
        orders: MarkedOrders,
        *,
        watch: WebhookWatch | None,
        no_watch: str = "",
        schedule: Schedule | None = None,
        sleep: Sleep = asyncio.sleep,
        report: Report = lambda _: None,
    ) -> None:
        """``watch`` is None where no webhook can be observed; ``no_watch`` says why."""
        self._api = api
        self._orders = orders
        self._watch = watch
        self._no_watch = no_watch
        self._schedule = schedule or Schedule()
        self._sleep = sleep
        self._report = report
        self._configs: list[ExtraFieldConfig] = []
        self._early = (f"Create an Order, {self._schedule.early_s:g} s after the order", "taken")
        self._late = (f"Create an Order, {self._schedule.late_s:g} s after the order", "refused")
        of_record = (_RECORD, self._early, self._late, _LAST_LOOK, _UPDATE, _NAMES, _LIST, _OPTIONS)
        self._lines: tuple[Line, ...] = (*of_record, *_QUOTAS.values(), _NEW_ORDER, _CHANGED_ORDER, _METAFIELD)
        self._measured: dict[str, Measurement] = {}
        self._trouble = "BigCommerce did not answer"

    @property
    def measurements(self) -> list[Measurement]:
        """What was measured so far, in a fixed order."""
        return [self._measured[subject] for subject, _ in self._lines if subject in self._measured]

    async def measure(self) -> None:
        """Place the orders and measure. Raises UpstreamError where that is not possible at all."""
        alone = await self._orders.place()  # where this token may not, nothing more is tried
        self._report("placing test orders")
        self._configs = await self._read(self._api.b2b.extra_field_configs)
        self._add(_dropdown_options(self._configs))
        early, late = [await self._orders.place() for _ in range(ORDERS - 1)]
        try:
            async with asyncio.TaskGroup() as group:
                for work in (
                    self._measure_alone(alone),
                    self._measure_early(early),
                    self._measure_late(late),
                    self._measure_new_order_webhook(alone),
                ):
                    group.create_task(self._guard(work))
        except* CredentialsRefused as refused:
            raise refused.exceptions[0] from None
        for api, line in _QUOTAS.items():
            self._add(self._quota(api, line))
        for line in self._lines:
            if line[0] not in self._measured:
                self._add(not_measured(*line, self._trouble))

    async def _guard(self, work: Awaitable[None]) -> None:
        """Let a call that fails for good cost its own lines only, but not refused credentials."""
        try:
            await work
        except CredentialsRefused:
            raise
        except UpstreamError as error:
            self._trouble = str(error)

    # ── an order that is left alone ─────────────────────────────────────────────────────────────────────────────

    async def _measure_alone(self, order: MarkedOrder) -> None:
        self._report("waiting for a record that comes by itself")
        age = await self._first_record(order)
        if age is None:
            found = f"none within {self._schedule.watch_s:.0f} s"
            self._add(Measurement(*_RECORD, found, Verdict.DIFFERS, {Fact.API_ORDER_RECORD: "none"}))
        else:
            facts: dict[Fact, Value] = {Fact.API_ORDER_RECORD: "by_itself", Fact.RECORD_THERE_FROM: age}
            self._add(Measurement(*_RECORD, f"came after {age:.1f} s", Verdict.AS_DOCUMENTED, facts))
        await self._measure_other_webhooks(order)

    async def _first_record(self, order: MarkedOrder) -> float | None:
        while self._age(order) < self._schedule.watch_s:
            if await self._record(order):
                return round(self._age(order), 1)
            await self._sleep(self._schedule.poll_s)
        return None

    async def _record(self, order: MarkedOrder) -> Record | None:
        try:
            return await self._read(lambda: self._api.b2b.order(order.order_id))
        except NotFound:
            return None

    # ── Create an Order within its window, and what follows ─────────────────────────────────────────────────────

    async def _measure_early(self, order: MarkedOrder) -> None:
        samples = sample_values(self._configs, self._orders.run, order="a")
        created = Values(self._po(), samples.created)
        if not await self._create_early(order, created):
            self._cannot_follow("no record was created")
            return
        record = await self._read_until(order, lambda record: record.po_number == created.po_number)
        if record is None:
            self._cannot_follow(f"the record did not show its PO number within {self._schedule.read_lag_s:.0f} s")
            return
        self._add(self._names(record, created))
        self._add(await self._list(order, record))
        expected = await self._measure_update(order, record, samples)
        await self._until(order, self._schedule.last_look_s)
        self._add(await self._last_look(order, created, expected))

    async def _create_early(self, order: MarkedOrder, values: Values) -> bool:
        await self._until(order, self._schedule.early_s)
        self._report("creating a record in its window")
        age = round(self._age(order), 1)
        try:
            await self._api.b2b.create_order(order.order_id, self._orders.customer_id, values)
        except AlreadyExists:
            found = f"refused after {age:.1f} s: a record was there"
            facts = {Fact.RECORD_THERE_FROM: age} if await self._record(order) else {}
            self._add(Measurement(*self._early, found, Verdict.DIFFERS, facts))
        except CredentialsRefused:
            raise
        except Refused as refused:
            self._add(Measurement(*self._early, f"refused: {refused.message}", Verdict.DIFFERS))
        except UpstreamError as error:
            self._add(not_measured(*self._early, str(error)))
        else:
            facts = {Fact.CREATE_TAKEN_UNTIL: age}
            self._add(Measurement(*self._early, f"taken after {age:.1f} s", Verdict.AS_DOCUMENTED, facts))
            return True
        return False

    def _cannot_follow(self, why: str) -> None:
        for subject in (_NAMES, _LIST, _UPDATE, _LAST_LOOK):
            self._add(not_measured(*subject, why))

    def _names(self, record: Record, created: Values) -> Measurement:
        labels = FieldNames.of(self._configs).only(created.extra_fields).labels
        if not labels:
            return not_measured(*_NAMES, "no extra field has a label that differs from its fieldName")
        name = shown_name(record, Sent("create", None, created.extra_fields, labels=labels))
        if name is None:
            return not_measured(*_NAMES, "the record shows such fields by both names, or none of them")
        verdict = compared(as_documented=name == "fieldName")
        return Measurement(*_NAMES, f"by {name}", verdict, {Fact.FIELD_NAME: name})

    async def _list(self, order: MarkedOrder, record: Record) -> Measurement:
        if not _has_fields(record):
            return not_measured(*_LIST, "the store has no order extra field that can be filled")
        ends_at, row = self._now() + self._schedule.read_lag_s, None
        while True:
            try:
                page = await self._read(lambda: self._api.b2b.orders(order_id=order.order_id))
            except NotFound:
                page = None
            row = next((each for each in (page.items if page else ()) if each.order_id == order.order_id), row)
            if (row and _has_fields(row)) or self._now() >= ends_at:
                break
            await self._sleep(self._schedule.poll_s)
        if row is None:
            return not_measured(*_LIST, "the list did not show the order")
        if _has_fields(row):
            return Measurement(*_LIST, "shown", Verdict.AS_DOCUMENTED, {Fact.LIST_EXTRA_FIELDS: "shown"})
        return Measurement(*_LIST, "missing", Verdict.DIFFERS, {Fact.LIST_EXTRA_FIELDS: "missing"})

    async def _measure_update(self, order: MarkedOrder, record: Record, samples: Samples) -> Mapping[str, str]:
        """Send some of the fields; returns those that the record must show from now on."""
        if samples.changed is None or samples.left_out is None:
            self._add(not_measured(*_UPDATE, "this needs two order extra fields that are not required"))
            return samples.created
        name, value = samples.changed
        sent = {**samples.required, name: value}
        names = FieldNames.of(self._configs)
        shown = {each: names.name_to_write(record, each) for each in sent}
        self._report("updating some of its extra fields")
        try:
            await self._api.b2b.update_order(order.order_id, Values(None, sent, names=shown))
        except CredentialsRefused:
            raise
        except UpstreamError as error:
            self._add(not_measured(*_UPDATE, str(error)))
            return samples.created
        updated = await self._read_until(order, lambda record: value in names.values_on(record, name))
        if updated is None:
            self._add(not_measured(*_UPDATE, f"{name} did not show its new value"))
            return {}
        is_kept = bool(names.values_on(updated, samples.left_out))
        found, kind = ("keeps the others", "merge") if is_kept else ("deletes the others", "replace")
        self._add(Measurement(*_UPDATE, found, Verdict.NOT_DOCUMENTED, {Fact.UPDATE_EXTRA_FIELDS: kind}))
        return {**samples.created, **sent} if is_kept else sent

    async def _last_look(self, order: MarkedOrder, created: Values, expected: Mapping[str, str]) -> Measurement:
        record, names = await self._record(order), FieldNames.of(self._configs)
        if record is None:
            return Measurement(*_LAST_LOOK, "the record is gone", Verdict.DIFFERS)
        lost = [name for name, value in expected.items() if value not in names.values_on(record, name)]
        lost += ["the PO number"] if record.po_number != created.po_number else []
        if lost:
            return Measurement(*_LAST_LOOK, f"something else wrote: lost {', '.join(lost)}", Verdict.DIFFERS)
        return Measurement(*_LAST_LOOK, "still there", Verdict.AS_DOCUMENTED)

    async def _read_until(self, order: MarkedOrder, is_shown: Callable[[Record], bool]) -> Record | None:
        """The record once it shows what was written; None if it does not in time. Reads may lag behind writes."""
        ends_at = self._now() + self._schedule.read_lag_s
        while True:
            record = await self._record(order)
            if record and is_shown(record):
                return record
            if self._now() >= ends_at:
                return None
            await self._sleep(self._schedule.poll_s / 2)

    # ── Create an Order after its window ────────────────────────────────────────────────────────────────────────

    async def _measure_late(self, order: MarkedOrder) -> None:
        await self._until(order, self._schedule.late_s)
        self._report("creating a record after its window")
        age = round(self._age(order), 1)
        values = Values(self._po(), sample_values(self._configs, self._orders.run, order="b").created)
        try:
            await self._api.b2b.create_order(order.order_id, self._orders.customer_id, values)
        except AlreadyExists:
            is_there = await self._record(order) is not None
            found = "refused: a record was there" if is_there else "refused, and there is no record"
            self._add(Measurement(*self._late, found, Verdict.AS_DOCUMENTED))
        except CredentialsRefused:
            raise
        except Refused as refused:
            self._add(Measurement(*self._late, f"refused: {refused.message}", Verdict.AS_DOCUMENTED))
        except UpstreamError as error:
            self._add(not_measured(*self._late, str(error)))
        else:
            found, facts = f"taken after {age:.1f} s", {Fact.CREATE_TAKEN_UNTIL: age}
            self._add(Measurement(*self._late, found, Verdict.DIFFERS, facts))

    # ── webhooks ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _measure_new_order_webhook(self, order: MarkedOrder) -> None:
        watch, why = await self._watching(ORDER_CREATED)
        if watch is None:
            self._add(not_measured(*_NEW_ORDER, why))
            return
        age = await self._wait_for(lambda: watch.new_order_age(order.order_id))
        if age is None:
            found = f"none within {self._schedule.webhook_s:.0f} s"
            self._add(Measurement(*_NEW_ORDER, found, Verdict.DIFFERS))
        else:
            facts = {Fact.WEBHOOK_DELAY: round(age, 1)}
            self._add(Measurement(*_NEW_ORDER, f"after {age:.1f} s", Verdict.NOT_DOCUMENTED, facts))

    async def _measure_other_webhooks(self, order: MarkedOrder) -> None:
        order_id, core = order.order_id, self._api.core
        note = f"Test order of `enrich rehearse`, run {self._orders.run}: changed."
        await self._measure_event(
            _CHANGED_ORDER,
            order,
            ORDER_UPDATED,
            lambda: core.update_order(order_id, staff_notes=note),
        )
        await self._measure_event(
            _METAFIELD,
            order,
            METAFIELD_WRITTEN[0],
            lambda: core.create_metafield(order_id, "enrich_rehearse", "run", self._orders.run),
        )

    async def _measure_event(
        self, line: Line, order: MarkedOrder, scope: str, cause: Callable[[], Awaitable[None]]
    ) -> None:
        watch, why = await self._watching(scope)
        if watch is None:
            self._add(not_measured(*line, why))
            return
        self._report(f"waiting for the {line[0]}")
        began_at = self._now()
        try:
            await cause()
        except UpstreamError as error:
            self._add(not_measured(*line, str(error)))
            return
        received = await self._wait_for(lambda: watch.received_at(order.order_id, scope))
        if received is None:
            found = f"none within {self._schedule.webhook_s:.0f} s"
            self._add(Measurement(*line, found, Verdict.DIFFERS))
        else:
            seconds = max(0.0, received + self._skew() - began_at)
            self._add(Measurement(*line, f"after {seconds:.1f} s", Verdict.NOT_DOCUMENTED))

    async def _watching(self, scope: str) -> tuple[WebhookWatch | None, str]:
        """The watch, or None and the reason why events of this scope cannot be observed."""
        if self._watch is None:
            return None, self._no_watch
        try:
            hooks = await self._read(lambda: read_hooks(self._api.core))
        except UpstreamError as error:
            return None, str(error)
        is_registered = any(hook.is_active and hook.covers(scope) for hook in hooks)
        return (self._watch, "") if is_registered else (None, f"no active webhook for {scope}")

    async def _wait_for(self, look: Callable[[], Awaitable[float | None]]) -> float | None:
        ends_at = self._now() + self._schedule.webhook_s
        while True:
            try:
                found = await look()
            except RedisError:
                found = None
            if found is not None or self._now() >= ends_at:
                return found
            await self._sleep(self._schedule.poll_s / 2)

    # ── what they share ─────────────────────────────────────────────────────────────────────────────────────────

    def _quota(self, api: Api, line: Line) -> Measurement:
        quota = self._api.quotas.get(api)
        if quota is None:
            return Measurement(*line, "none", Verdict.DIFFERS)
        parts = {"limit": quota.limit, "left": quota.left, "window": quota.window_s, "reset": quota.resets_in_s}
        missing = [part for part, value in parts.items() if value is None]
        if missing:
            return Measurement(*line, f"without {', '.join(missing)}", Verdict.DIFFERS)
        return Measurement(*line, f"{quota.limit} calls in {quota.window_s:g} s", Verdict.AS_DOCUMENTED)

    async def _read(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that changes nothing, again where it fails for now. Raises the last error."""
        for pause_s in (0.5, 1.0, 2.0):
            try:
                return await call()
            except TryAgain:
                await self._sleep(pause_s)
        return await call()

    async def _until(self, order: MarkedOrder, age_s: float) -> None:
        while (left := age_s - self._age(order)) > 0:
            await self._sleep(left)

    def _age(self, order: MarkedOrder) -> float:
        return self._now() - order.opened_at

    def _now(self) -> float:
        return self._api.transport.upstream_clock.now()

    def _skew(self) -> float:
        return self._api.transport.upstream_clock.skew

    def _po(self) -> str:
        return f"REHEARSE-{self._orders.run}"

    def _add(self, measurement: Measurement) -> None:
        self._measured[measurement.subject] = measurement
        self._report(f"{measurement.subject}: {measurement.found}")


def _has_fields(record: Record) -> bool:
    return any(map(has_content, record.extra_fields.values()))


def _dropdown_options(configs: Sequence[ExtraFieldConfig]) -> Measurement:
    place = options_place(configs)
    if place is None:
        return not_measured(*_OPTIONS, "no dropdown, or each has them elsewhere")
    verdict = compared(as_documented=place == "listOfValues")
    return Measurement(*_OPTIONS, place, verdict, {Fact.DROPDOWN_OPTIONS: place})
