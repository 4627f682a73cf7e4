"""Measures what becomes of B2B Edition's records: by themselves, and after Create and Update."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from service.bigcommerce.models import Record, Values, has_content
from service.errors import AlreadyExists, CredentialsRefused, NotFound, Refused, UpstreamError
from service.orders.facts.fact import Fact, Value
from service.orders.facts.learning import shown_name
from service.orders.rehearsal.lines import LAST_LOOK, LIST, NAMES, RECORD, UPDATE
from service.orders.rehearsal.marked_orders import MarkedOrder
from service.orders.rehearsal.measurement import Measurement, Verdict, compared, not_measured
from service.orders.rehearsal.run import Run
from service.orders.rehearsal.sample_values import Samples, sample_values
from service.orders.state.order_entry import Sent
from service.orders.values.field_names import FieldNames


class RecordMeasurements:
    """Each method measures on an order of its own."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._wants_labels = False

    # ── an order that is left alone ─────────────────────────────────────────────────────────────────────────────

    async def measure_alone(self, order: MarkedOrder) -> None:
        """Whether the record of an order comes by itself, and when."""
        self._run.report("waiting for a record that comes by itself")
        age = await self._first_record(order)
        if age is None:
            found = f"none within {self._run.schedule.watch_s:.0f} s"
            self._run.add(Measurement(*RECORD, found, Verdict.DIFFERS, {Fact.API_ORDER_RECORD: "none"}))
        else:
            facts: dict[Fact, Value] = {Fact.API_ORDER_RECORD: "by_itself", Fact.RECORD_THERE_FROM: age}
            self._run.add(Measurement(*RECORD, f"came after {age:.1f} s", Verdict.AS_DOCUMENTED, facts))

    async def _first_record(self, order: MarkedOrder) -> float | None:
        while self._run.age(order) < self._run.schedule.watch_s:
            if await self._run.record(order):
                return round(self._run.age(order), 1)
            await self._run.sleep(self._run.schedule.poll_s)
        return None

    # ── Create an Order within its window, and what follows ─────────────────────────────────────────────────────

    async def measure_early(self, order: MarkedOrder) -> None:
        """Create an Order within its window, and what follows."""
        samples = sample_values(self._run.configs, self._run.orders.run, order="a")
        created = Values(self._run.po(), samples.created)
        if not await self._create_early(order, created):
            self._cannot_follow("no record was created")
            return
        record = await self._read_until(order, lambda record: record.po_number == created.po_number)
        if record is None:
            self._cannot_follow(f"the record did not show its PO number within {self._run.schedule.read_lag_s:.0f} s")
            return
        self._run.add(self._shown_names(record, created))
        self._run.add(await self._list(order, record))
        expected = await self._measure_update(order, record, samples)
        await self._run.until(order, self._run.schedule.last_look_s)
        self._run.add(await self._last_look(order, created, expected))

    async def _create_early(self, order: MarkedOrder, values: Values) -> bool:
        line = self._run.schedule.early
        await self._run.until(order, self._run.schedule.early_s)
        self._run.report("creating a record in its window")
        age = round(self._run.age(order), 1)
        try:
            await self._create(order, values)
        except AlreadyExists:
            found = f"refused after {age:.1f} s: a record was there"
            facts = {Fact.RECORD_THERE_FROM: age} if await self._run.record(order) else {}
            self._run.add(Measurement(*line, found, Verdict.DIFFERS, facts))
        except CredentialsRefused:
            raise
        except Refused as refused:
            self._run.add(Measurement(*line, f"refused: {refused.message}", Verdict.DIFFERS))
        except UpstreamError as error:
            self._run.add(not_measured(*line, str(error)))
        else:
            facts = {Fact.CREATE_TAKEN_UNTIL: age}
            self._run.add(Measurement(*line, f"taken after {age:.1f} s", Verdict.AS_DOCUMENTED, facts))
            return True
        return False

    async def _create(self, order: MarkedOrder, values: Values) -> None:
        """Create the record by fieldNames; where they are refused, by labels: people report that stores want those."""
        by_label = FieldNames(self._names().labels, writes_labels=True).renamed(values.extra_fields)

        async def create(names: Mapping[str, str]) -> None:
            customer_id = self._run.orders.customer_id
            await self._run.api.b2b.create_order(order.order_id, customer_id, replace(values, names=names))

        try:
            await create(by_label if self._wants_labels else {})
        except AlreadyExists:
            raise
        except Refused:
            if self._wants_labels or not by_label:
                raise
            await create(by_label)
            self._wants_labels = True

    def _names(self) -> FieldNames:
        return FieldNames.of(self._run.configs)

    def _cannot_follow(self, why: str) -> None:
        for subject in (NAMES, LIST, UPDATE, LAST_LOOK):
            self._run.add(not_measured(*subject, why))

    def _shown_names(self, record: Record, created: Values) -> Measurement:
        if self._wants_labels:
            found = "by label only: fieldNames are refused"
            return Measurement(*NAMES, found, Verdict.DIFFERS, {Fact.FIELD_NAME: "label"})
        labels = self._names().only(created.extra_fields).labels
        if not labels:
            return not_measured(*NAMES, "no extra field has a label that differs from its fieldName")
        name = shown_name(record, Sent("create", None, created.extra_fields, labels=labels))
        if name is None:
            return not_measured(*NAMES, "the record shows such fields by both names, or none of them")
        verdict = compared(as_documented=name == "fieldName")
        return Measurement(*NAMES, f"by {name}", verdict, {Fact.FIELD_NAME: name})

    async def _list(self, order: MarkedOrder, record: Record) -> Measurement:
        if not _has_fields(record):
            return not_measured(*LIST, "the store has no order extra field that can be filled")
        ends_at, row = self._run.now() + self._run.schedule.read_lag_s, None
        while True:
            try:
                page = await self._run.read(lambda: self._run.api.b2b.orders(order_id=order.order_id))
            except NotFound:
                page = None
            listed = map(Record.model_validate, page.items if page else ())
            row = next((each for each in listed if each.order_id == order.order_id), row)
            if (row and _has_fields(row)) or self._run.now() >= ends_at:
                break
            await self._run.sleep(self._run.schedule.poll_s)
        if row is None:
            return not_measured(*LIST, "the list did not show the order")
        if _has_fields(row):
            return Measurement(*LIST, "shown", Verdict.AS_DOCUMENTED, {Fact.LIST_EXTRA_FIELDS: "shown"})
        return Measurement(*LIST, "missing", Verdict.DIFFERS, {Fact.LIST_EXTRA_FIELDS: "missing"})

    async def _measure_update(self, order: MarkedOrder, record: Record, samples: Samples) -> Mapping[str, str]:
        """Send some of the fields; returns those that the record must show from now on."""
        if samples.changed is None or samples.left_out is None:
            self._run.add(not_measured(*UPDATE, "this needs two order extra fields that are not required"))
            return samples.created
        name, value = samples.changed
        sent = {**samples.required, name: value}
        names = self._names()
        shown = {each: names.name_to_write(record, each) for each in sent}
        self._run.report("updating some of its extra fields")
        try:
            await self._run.api.b2b.update_order(order.order_id, Values(None, sent, names=shown))
        except CredentialsRefused:
            raise
        except UpstreamError as error:
            self._run.add(not_measured(*UPDATE, str(error)))
            return samples.created
        updated = await self._read_until(order, lambda record: value in names.values_on(record, name))
        if updated is None:
            self._run.add(not_measured(*UPDATE, f"{name} did not show its new value"))
            return {}
        is_kept = bool(names.values_on(updated, samples.left_out))
        found, kind = ("keeps the others", "merge") if is_kept else ("deletes the others", "replace")
        self._run.add(Measurement(*UPDATE, found, Verdict.NOT_DOCUMENTED, {Fact.UPDATE_EXTRA_FIELDS: kind}))
        return {**samples.created, **sent} if is_kept else sent

    async def _last_look(self, order: MarkedOrder, created: Values, expected: Mapping[str, str]) -> Measurement:
        record, names = await self._run.record(order), self._names()
        if record is None:
            return Measurement(*LAST_LOOK, "the record is gone", Verdict.DIFFERS)
        lost = [name for name, value in expected.items() if value not in names.values_on(record, name)]
        lost += ["the PO number"] if record.po_number != created.po_number else []
        if lost:
            return Measurement(*LAST_LOOK, f"something else wrote: lost {', '.join(lost)}", Verdict.DIFFERS)
        return Measurement(*LAST_LOOK, "still there", Verdict.AS_DOCUMENTED)

    async def _read_until(self, order: MarkedOrder, is_shown: Callable[[Record], bool]) -> Record | None:
        """The record once it shows what was written; None if it does not in time. Reads may lag behind writes."""
        ends_at = self._run.now() + self._run.schedule.read_lag_s
        while True:
            record = await self._run.record(order)
            if record and is_shown(record):
                return record
            if self._run.now() >= ends_at:
                return None
            await self._run.sleep(self._run.schedule.poll_s / 2)

    # ── Create an Order after its window ────────────────────────────────────────────────────────────────────────

    async def measure_late(self, order: MarkedOrder) -> None:
        """Create an Order after its window."""
        line = self._run.schedule.late
        await self._run.until(order, self._run.schedule.late_s)
        self._run.report("creating a record after its window")
        age = round(self._run.age(order), 1)
        values = Values(self._run.po(), sample_values(self._run.configs, self._run.orders.run, order="b").created)
        try:
            await self._create(order, values)
        except AlreadyExists:
            is_there = await self._run.record(order) is not None
            found = "refused: a record was there" if is_there else "refused, and there is no record"
            self._run.add(Measurement(*line, found, Verdict.AS_DOCUMENTED))
        except CredentialsRefused:
            raise
        except Refused as refused:
            self._run.add(Measurement(*line, f"refused: {refused.message}", Verdict.AS_DOCUMENTED))
        except UpstreamError as error:
            self._run.add(not_measured(*line, str(error)))
        else:
            found, facts = f"taken after {age:.1f} s", {Fact.CREATE_TAKEN_UNTIL: age}
            self._run.add(Measurement(*line, found, Verdict.DIFFERS, facts))


def _has_fields(record: Record) -> bool:
    return any(map(has_content, record.extra_fields.values()))
