"""Later changes of an order are carried to its record; what is right there survives."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from service.bigcommerce import Account, Api, Priority, Transport
from service.bigcommerce.clients.hooks import METAFIELD_WRITTEN, ORDER_UPDATED
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import EnqueueResult
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack

METAFIELDS = "GET /v3/orders/1/metafields"
GET_RECORD, UPDATE, CREATE = f"GET {RECORD}", f"PUT {RECORD}", "POST /api/v3/io/orders"
SEVERAL = '"Many" = { from = ["metafields.checkout.many", "order.external_id", "order.staff_notes"], default = "NONE" }'


@dataclass
class Shop:
    """The store as its staff and apps see it, with the order enriched and verified."""

    stack: JobStack

    async def staff_change(self, **fields: Any) -> EnqueueResult:
        self.stack.order |= fields
        return await self.tell(ORDER_UPDATED)

    async def app_writes(self, value: str | None) -> EnqueueResult:
        write_metafield(self.stack, value)
        return await self.tell(METAFIELD_WRITTEN[1])

    async def tell(self, scope: str) -> EnqueueResult:
        self.stack.clock.tick(10.0)
        return await self.stack.event(scope)

    async def settle(self) -> Entry:
        """Run all jobs that are due within two minutes."""
        until = self.stack.clock() + 120.0
        while (due := await self.stack._due()) and due[0][2] / 1000 <= until:
            await self.stack.run_next()
        return await self.stack.entry()

    def calls(self, request: str) -> int:
        return self.stack.upstream.asked.count(request)


def write_metafield(stack: JobStack, value: str | None) -> None:
    rows = [{"namespace": "checkout", "key": "many", "value": value, "resource_id": str(ORDER)}] if value else []
    answer = {"data": rows, "meta": {"pagination": {"total_pages": 1}}}
    stack.upstream.on(METAFIELDS, answer)
    stack.upstream.on("GET /v3/orders/metafields", answer)


async def enriched(stack: JobStack, *, fields: str = "", keys: str = "") -> Shop:
    names = ("F", "Acc", "Many", "Kept")
    configs = [{"fieldName": name, "fieldType": 0, "labelName": name} for name in names]
    stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    stack.configure(fields=fields, keys=f'late_values = "0s"\n{keys}')
    shop = Shop(stack)
    await stack.webhook()
    entry = await shop.settle()
    assert (entry.status, entry.verified) == (Status.CREATED, True)
    return shop


async def test_a_value_that_staff_change_is_carried_to_the_record(job_stack: JobStack) -> None:
    shop = await enriched(job_stack)

    assert await shop.staff_change(customer_message="PO2") is EnqueueResult.QUEUED
    entry = await shop.settle()

    assert (entry.status, entry.verified, entry.source) == (Status.CREATED, True, "order_updated")
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO2", {"F": "fv"})


async def test_a_change_of_something_else_costs_no_call_of_b2b_edition(job_stack: JobStack) -> None:
    shop = await enriched(job_stack)
    before = shop.calls(GET_RECORD), shop.calls(UPDATE)

    await shop.staff_change(status_id=2)
    entry = await shop.settle()

    assert (shop.calls(GET_RECORD), shop.calls(UPDATE)) == before
    assert entry.status is Status.CREATED


async def test_changes_are_read_at_the_lowest_class_and_written_at_that_of_updates(
    job_stack: JobStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await enriched(job_stack)
    spend, asked = Transport.spend, set[tuple[str, Priority]]()

    async def spent(self: Transport, account: Account, api: Api, priority: Priority, **rest: Any) -> Any:
        asked.add((rest["operation"], priority))
        return await spend(self, account, api, priority, **rest)

    monkeypatch.setattr(Transport, "spend", spent)
    await shop.staff_change(status_id=2)
    await shop.settle()
    assert asked == {("Get an Order", Priority.BACKGROUND)}, "nothing else, and no call of B2B Edition"

    await shop.staff_change(customer_message="PO2")
    await shop.settle()
    # The read before the Update reserves the quota of both.
    assert {priority for _, priority in asked} == {Priority.BACKGROUND, Priority.RECOVER, Priority.VERIFY}
    assert job_stack.record.po_number == "PO2"


async def test_a_late_metafield_takes_the_place_of_the_default(job_stack: JobStack) -> None:
    write_metafield(job_stack, None)
    job_stack.order["staff_notes"] = ""
    shop = await enriched(job_stack, fields=SEVERAL)
    assert job_stack.record.fields["Many"] == "NONE"

    await shop.app_writes("M-1")
    entry = await shop.settle()

    assert job_stack.record.fields["Many"] == "M-1"
    assert (entry.source, entry.verified) == ("metafield", True)


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ({"external_id": "E-1"}, {"external_id": "E-2"}, "E-2"),
        ({"external_id": "E-1"}, {"external_id": ""}, "E-1"),  # a source that is gone keeps what it gave
        ({"external_id": "E-1"}, {"external_id": "", "staff_notes": "later"}, "E-1"),
        ({"external_id": ""}, {"external_id": "E-2"}, "E-2"),  # an earlier source than staff_notes
    ],
)
async def test_a_value_is_replaced_by_the_same_or_an_earlier_source_only(
    job_stack: JobStack, first: dict[str, str], then: dict[str, str], expected: str
) -> None:
    write_metafield(job_stack, None)
    job_stack.order |= first
    shop = await enriched(job_stack, fields=SEVERAL)

    await shop.staff_change(**then)
    await shop.settle()

    assert job_stack.record.fields["Many"] == expected


@pytest.mark.parametrize("existing_values", ["keep", "replace"])
async def test_what_staff_put_on_the_record_is_theirs(job_stack: JobStack, existing_values: str) -> None:
    shop = await enriched(job_stack, keys=f'existing_values = "{existing_values}"')
    job_stack.record.po_number = "TYPED"

    await shop.staff_change(customer_message="PO2")
    entry = await shop.settle()

    assert job_stack.record.po_number == "TYPED"
    assert entry.kept == ["po_number"]


async def test_an_earlier_value_of_ours_that_staff_set_back_is_theirs(job_stack: JobStack) -> None:
    shop = await enriched(job_stack)
    await shop.staff_change(customer_message="PO2")
    await shop.settle()
    job_stack.record.po_number = "PO1"

    await shop.staff_change(customer_message="PO3")
    await shop.settle()

    assert job_stack.record.po_number == "PO1"


async def test_an_order_is_followed_with_the_rules_that_it_was_written_with(job_stack: JobStack) -> None:
    shop = await enriched(job_stack)
    job_stack.configure(fields='"Kept" = "order.customer_message"', keys='late_values = "0s"')

    await shop.staff_change(customer_message="PO2")
    await shop.settle()

    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO2", {"F": "fv"})


async def test_a_burst_of_events_is_one_reading_now_and_one_after_five_seconds(job_stack: JobStack) -> None:
    shop = await enriched(job_stack)
    before = shop.calls("GET /v2/orders/1")
    await shop.staff_change(customer_message="PO2")
    await job_stack.run_next()
    for number in range(3, 10):
        job_stack.clock.tick(0.1)
        job_stack.order["customer_message"] = f"PO{number}"
        await job_stack.event(ORDER_UPDATED)
    await shop.settle()

    assert shop.calls("GET /v2/orders/1") == before + 2
    assert job_stack.record.po_number == "PO9"


async def test_a_mark_survives_a_worker_that_is_killed_while_it_reads(job_stack: JobStack) -> None:
    shop = await enriched(job_stack)
    await shop.staff_change(customer_message="PO2")
    assert await job_stack.resources.changed.take("abc123", most=10), "taken, and never finished"

    await shop.settle()

    assert job_stack.record.po_number == "PO2"


async def test_after_ten_updates_an_order_is_no_longer_followed(job_stack: JobStack) -> None:
    shop = await enriched(job_stack)
    for number in range(2, 20):
        await shop.staff_change(customer_message=f"PO{number}")
        entry = await shop.settle()

    assert job_stack.record.po_number == "PO11"
    assert (shop.calls(UPDATE), entry.updates) == (10, 10)


@pytest.mark.parametrize(("keys", "age_s"), [('follow = "0s"', 0.0), ('follow = "1h"', 3700.0)])
async def test_changes_are_followed_as_long_as_the_stores_file_says(
    job_stack: JobStack, keys: str, age_s: float
) -> None:
    shop = await enriched(job_stack, keys=keys)
    job_stack.clock.tick(age_s)

    assert await shop.staff_change(customer_message="PO2") is EnqueueResult.IGNORED
    await shop.settle()

    assert job_stack.record.po_number == "PO1"


async def test_a_retry_does_not_take_a_value_off_whose_source_is_gone(job_stack: JobStack) -> None:
    write_metafield(job_stack, "M-1")
    shop = await enriched(job_stack, fields=SEVERAL)
    assert job_stack.record.fields["Many"] == "M-1"
    write_metafield(job_stack, None)

    await job_stack.retry()
    await shop.settle()

    assert job_stack.record.fields["Many"] == "M-1"


async def test_a_retry_applies_changed_rules(job_stack: JobStack) -> None:
    shop = await enriched(job_stack, fields='"Many" = { value = "old" }')
    job_stack.configure(fields='"Many" = { value = "new" }')

    await job_stack.retry()
    await shop.settle()

    assert job_stack.record.fields["Many"] == "new"


async def test_an_order_without_values_is_taken_up_when_it_gets_one(job_stack: JobStack) -> None:
    job_stack.order |= {"customer_message": "", "staff_notes": ""}
    stack, shop = job_stack, Shop(job_stack)
    await stack.webhook()
    assert (await shop.settle()).reason == "no_values"

    await shop.staff_change(customer_message="PO2")
    job_stack.record.make()
    entry = await shop.settle()

    assert (entry.status, entry.verified, job_stack.record.po_number) == (Status.UPDATED, True, "PO2")


async def test_a_value_is_put_back_at_most_once(job_stack: JobStack) -> None:
    shop = Shop(job_stack)
    await job_stack.webhook()
    await job_stack.run_until_finished()
    del job_stack.record.fields["F"]
    await shop.settle()
    assert job_stack.record.fields == {"F": "fv"}, "put back once"
    del job_stack.record.fields["F"]

    await shop.staff_change(customer_message="PO2")
    entry = await shop.settle()

    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO2", {})
    assert entry.verified


async def test_a_value_that_was_put_back_is_written_again_when_it_changes(job_stack: JobStack) -> None:
    shop = Shop(job_stack)
    await job_stack.webhook()
    await job_stack.run_until_finished()
    del job_stack.record.fields["F"]
    await shop.settle()
    del job_stack.record.fields["F"]

    await shop.staff_change(staff_notes="new")
    await shop.settle()

    assert job_stack.record.fields == {"F": "new"}


async def test_a_rule_that_reads_the_record_is_resolved_after_the_create(job_stack: JobStack) -> None:
    job_stack.record.make("TYPED", Many="M-7")
    rule = '"Kept" = { from = "record.extraFields.Many", required = true }'
    configs = [{"fieldName": name, "fieldType": 0, "labelName": name} for name in ("F", "Many", "Kept")]
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    job_stack.configure(fields=rule, keys='late_values = "0s"')
    await job_stack.webhook()

    entry = await Shop(job_stack).settle()

    assert job_stack.record.po_number == "TYPED"
    assert job_stack.record.fields == {"Many": "M-7", "F": "fv", "Kept": "M-7"}
    assert (entry.verified, entry.source) == (True, "record")


class Course:
    """A random course of changes, with a simple model of what the record must show at its end."""

    def __init__(self, stack: JobStack, seed: int) -> None:
        self.random = random.Random(seed)
        self.shop, self.stack = Shop(stack), stack
        self.many = Model([None, stack.order["external_id"], stack.order["staff_notes"]])
        self.po_number = Model([stack.order["customer_message"]])
        self.theirs: dict[str, str] = {}
        self.shown: dict[str, None] = {}
        self.fresh = (f"V{number}" for number in count())

    async def step(self) -> None:
        await self.random.choice([self.staff, self.staff, self.app, self.somebody_writes, self.rules_change])()
        assert (await self.shop.settle()).status.is_final

    async def staff(self) -> None:
        field = self.random.choice(["customer_message", "external_id", "staff_notes"])
        value = self.random.choice(["", next(self.fresh)])
        await self.shop.staff_change(**{field: value})
        self.po_number.change([self.stack.order["customer_message"]], [0])
        self.many.change([None, self.stack.order["external_id"], self.stack.order["staff_notes"]], [1, 2])

    async def app(self) -> None:
        value = self.random.choice([None, next(self.fresh)])
        await self.shop.app_writes(value)
        self.many.change([value], [0])

    async def somebody_writes(self) -> None:
        record, value = self.stack.record, self.random.choice([next(self.fresh), *self.shown])
        name = self.random.choice(["po_number", "Many"])
        if value in (await self.stack.entry()).written.get(name, ()):
            return  # the record says nothing about who wrote it
        self.theirs[name] = value
        if name == "po_number":
            record.po_number = value
        else:
            record.fields[name] = value

    async def rules_change(self) -> None:
        rules = self.random.choice([SEVERAL, '"Many" = { value = "other rules" }'])
        self.stack.configure(fields=rules, keys='late_values = "0s"\nexisting_values = "replace"')

    def check(self) -> None:
        record = self.stack.record
        assert record.po_number == self.theirs.get("po_number", self.po_number.value)
        assert record.fields["Many"] == self.theirs.get("Many", self.many.value)
        self.shown |= {str(record.po_number): None, record.fields["Many"]: None}


class Model:
    """The value of one rule: the first source that gave one, and what replaced it."""

    def __init__(self, sources: list[str | None]) -> None:
        self.value, self.place = "NONE", len(sources)
        self.change(sources, range(len(sources)))

    def change(self, sources: list[str | None], read: Iterable[int]) -> None:
        """These sources were read again: the first of them that gives a value counts, if it is no later one."""
        found = next((place for place in read if sources[place]), None)
        if found is not None and found <= self.place:
            self.value, self.place = str(sources[found]), found


@pytest.mark.parametrize("seed", range(30))
async def test_in_any_course_no_right_value_is_lost(job_stack: JobStack, seed: int) -> None:
    write_metafield(job_stack, None)
    job_stack.order["external_id"] = "E-1" if seed % 2 else ""
    await enriched(job_stack, fields=SEVERAL, keys=f'existing_values = "{"keep" if seed % 3 else "replace"}"')
    course = Course(job_stack, seed)

    for _ in range(8):  # less than ten Updates
        await course.step()
        course.check()
