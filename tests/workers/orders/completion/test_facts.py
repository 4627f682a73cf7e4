"""A store's facts choose names and reads, and ordinary orders teach them. They change no value and no outcome."""

import json
from typing import Any

import httpx
import pytest

from service.bigcommerce.models import Record
from service.orders.facts.fact import Fact, Value
from service.orders.state.order_entry import Status
from tests.fakes.stacks.job_stack import RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH
from tests.workers.stacks.stack import OpenStack
from tests.workers.stacks.verifier_stack import VerifierStack
from workers.orders.record_loader import Records, _lacks_extra_fields

CONFIGS = "GET /api/v3/io/orders/extra-fields"
COST_CENTER = {"fieldName": "erp_cost_center", "labelName": "Cost Center"}
RULE = '"Cost Center" = { value = "CC-1" }'
OTHERS = (101, 102)
"""Two other orders, which have shown the same before."""


def set_up(job_stack: JobStack) -> None:
    del job_stack.order["staff_notes"]
    job_stack.configure(fields=RULE)
    job_stack.upstream.on(CONFIGS, {"code": 200, "data": [COST_CENTER], "meta": {}})


async def keep(job_stack: JobStack, fact: Fact, value: Value) -> None:
    await job_stack.resources.facts.keep(STORE_HASH, {fact: value})


async def observed(job_stack: JobStack, fact: Fact, value: Value) -> None:
    """Two other orders have shown this."""
    for order_id in OTHERS:
        await job_stack.resources.facts.observe(STORE_HASH, fact, value, order_id=order_id)
        job_stack.resources.facts._observed_at.clear()


async def value_of(job_stack: JobStack, fact: Fact) -> Value | None:
    return (await job_stack.resources.facts.of(STORE_HASH)).value(fact)


def created_fields(job_stack: JobStack) -> list[list[str]]:
    """The names of the extra fields in each Create."""
    bodies = job_stack.upstream.bodies("POST /api/v3/io/orders")
    return [[row["fieldName"] for row in body.get("extraFields", [])] for body in bodies]


def takes_only(job_stack: JobStack, name: str) -> None:
    """BigCommerce refuses extra fields under any other name."""

    def create(request: httpx.Request) -> Any:
        for row in json.loads(request.content).get("extraFields", []):
            if row["fieldName"] != name:
                return failure(400, f"Extra field {row['fieldName']} does not exist.")
        return job_stack.record.create(request)

    job_stack.upstream.on("POST /api/v3/io/orders", create)


@pytest.mark.parametrize(
    ("fact", "sent"), [(None, "erp_cost_center"), ("fieldName", "erp_cost_center"), ("label", "Cost Center")]
)
async def test_a_record_is_created_under_the_name_that_the_store_answers_with(
    job_stack: JobStack, fact: str | None, sent: str
) -> None:
    set_up(job_stack)
    if fact:
        await keep(job_stack, Fact.FIELD_NAME, fact)
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified, entry.fields) == (Status.CREATED, True, {"erp_cost_center": "CC-1"})
    assert created_fields(job_stack) == [[sent]]


@pytest.mark.parametrize(
    ("fact", "taken"), [("label", "erp_cost_center"), (None, "Cost Center"), ("fieldName", "Cost Center")]
)
async def test_a_refused_name_is_answered_by_the_other_one_and_no_field_is_left_out(
    job_stack: JobStack, fact: str | None, taken: str
) -> None:
    set_up(job_stack)
    if fact:
        await keep(job_stack, Fact.FIELD_NAME, fact)
    takes_only(job_stack, taken)
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified, entry.dropped) == (Status.CREATED, True, {})
    assert job_stack.record.fields == {taken: "CC-1"}
    assert len(created_fields(job_stack)) == 2


async def test_a_refused_value_is_no_reason_to_try_the_other_name(job_stack: JobStack) -> None:
    set_up(job_stack)

    def create(request: httpx.Request) -> Any:
        if json.loads(request.content).get("extraFields"):
            return failure(422, "erp_cost_center is not one of the listed values")
        return job_stack.record.create(request)

    job_stack.upstream.on("POST /api/v3/io/orders", create)
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, list(entry.dropped)) == (Status.CREATED, ["erp_cost_center"])
    assert created_fields(job_stack) == [["erp_cost_center"], []]


async def test_a_field_that_is_refused_by_both_names_is_left_out(job_stack: JobStack) -> None:
    set_up(job_stack)
    takes_only(job_stack, "none")
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.po_number, list(entry.dropped)) == (Status.CREATED, "PO1", ["erp_cost_center"])
    assert created_fields(job_stack) == [["erp_cost_center"], ["Cost Center"], []]


@pytest.mark.parametrize("fact", [None, "fieldName", "label"])
@pytest.mark.parametrize("taken_by", ["fieldName", "label"])
async def test_a_bad_value_costs_no_other_field_whatever_a_fact_says(
    job_stack: JobStack, taken_by: str, fact: str | None
) -> None:
    if fact:
        await keep(job_stack, Fact.FIELD_NAME, fact)
    del job_stack.order["staff_notes"]
    job_stack.configure(fields=f'{RULE}\n"dept" = {{ value = "bad" }}')
    dept = {"fieldName": "dept", "labelName": "Department"}
    job_stack.upstream.on(CONFIGS, {"code": 200, "data": [COST_CENTER, dept], "meta": {}})
    key = "fieldName" if taken_by == "fieldName" else "labelName"

    def create(request: httpx.Request) -> Any:
        for row in json.loads(request.content).get("extraFields", []):
            if row["fieldName"] not in (COST_CENTER[key], dept[key]):
                return failure(400, f"Extra field {row['fieldName']} does not exist.")
            if row["fieldValue"] == "bad":
                return failure(422, f"{row['fieldName']} is not valid")
        return job_stack.record.create(request)

    job_stack.upstream.on("POST /api/v3/io/orders", create)
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, list(entry.dropped)) == (Status.CREATED, ["dept"])
    assert job_stack.record.fields == {COST_CENTER[key]: "CC-1"}


def show_as(job_stack: JobStack, *names: str) -> None:
    """The record shows the field under these names."""

    def read(request: httpx.Request) -> Any:
        answer = job_stack.record.read(request)
        if isinstance(answer, dict):
            answer["data"]["extraFields"] = [{"fieldName": name, "fieldValue": "CC-1"} for name in names]
        return answer

    job_stack.upstream.on(f"GET {RECORD}", read)


@pytest.mark.parametrize(
    ("names", "learnt"),
    [
        (("Cost Center",), "label"),
        (("erp_cost_center",), None),
        (("Cost Center", "erp_cost_center"), None),
    ],
)
async def test_verification_teaches_the_name(job_stack: JobStack, names: tuple[str, ...], learnt: str | None) -> None:
    set_up(job_stack)
    await observed(job_stack, Fact.FIELD_NAME, "label")
    show_as(job_stack, *names)
    await job_stack.webhook()

    await job_stack.run_until_finished()

    assert await value_of(job_stack, Fact.FIELD_NAME) == learnt


async def test_one_record_by_another_name_ends_the_fact(job_stack: JobStack) -> None:
    set_up(job_stack)
    await keep(job_stack, Fact.FIELD_NAME, "label")
    show_as(job_stack, "erp_cost_center")
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert await value_of(job_stack, Fact.FIELD_NAME) is None


async def test_an_order_teaches_how_long_webhooks_take_and_when_create_was_taken(job_stack: JobStack) -> None:
    await observed(job_stack, Fact.WEBHOOK_DELAY, 9.0)
    await observed(job_stack, Fact.CREATE_TAKEN_UNTIL, 9.0)
    job_stack.clock.tick(1.5)
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert entry.create_age is not None
    assert await value_of(job_stack, Fact.CREATE_TAKEN_UNTIL) == pytest.approx(entry.create_age)
    assert await value_of(job_stack, Fact.WEBHOOK_DELAY) == 9.0, "the one in the middle"


async def test_a_record_that_was_there_inside_the_window_teaches_from_when_on(job_stack: JobStack) -> None:
    await observed(job_stack, Fact.RECORD_THERE_FROM, 0.1)
    job_stack.record.make("THEIRS")
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.kept) == (Status.UPDATED, ["po_number"])
    assert await value_of(job_stack, Fact.RECORD_THERE_FROM) == pytest.approx(entry.create_age)


async def test_a_lost_answer_of_ours_does_not_teach_that_somebody_else_made_the_record(job_stack: JobStack) -> None:
    await observed(job_stack, Fact.RECORD_THERE_FROM, 0.1)

    def create(request: httpx.Request) -> Any:
        answer = job_stack.record.create(request)
        return httpx.ReadTimeout("lost") if isinstance(answer, dict) else answer

    job_stack.upstream.on("POST /api/v3/io/orders", create)
    await job_stack.webhook()

    assert (await job_stack.run_until_finished()).status is Status.CREATED
    assert await value_of(job_stack, Fact.RECORD_THERE_FROM) is None


@pytest.mark.parametrize("kind", [None, "merge", "replace"])
async def test_whatever_is_known_of_updates_the_whole_set_is_sent(job_stack: JobStack, kind: str | None) -> None:
    if kind:
        await keep(job_stack, Fact.UPDATE_EXTRA_FIELDS, kind)
    job_stack.record.make("", Theirs="x")
    job_stack.clock.tick(60)
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    (body,) = job_stack.upstream.bodies(f"PUT {RECORD}")
    assert {row["fieldName"]: row["fieldValue"] for row in body["extraFields"]} == {"Theirs": "x", "F": "fv"}
    assert (entry.status, entry.verified) == (Status.UPDATED, True)


@pytest.mark.parametrize("kind", ["merge", "replace"])
async def test_an_update_that_had_to_leave_a_field_out_teaches_what_becomes_of_it(
    job_stack: JobStack, kind: str
) -> None:
    await observed(job_stack, Fact.UPDATE_EXTRA_FIELDS, kind)
    job_stack.record.make("", Gone="x")

    def update(request: httpx.Request) -> Any:
        names = [row["fieldName"] for row in json.loads(request.content)["extraFields"]]
        if "Gone" in names:
            return failure(400, "Extra field Gone does not exist.")
        if kind == "replace":
            job_stack.record.fields = {}
        job_stack.record.update(request)
        return job_stack.record.read(request)

    job_stack.upstream.on(f"PUT {RECORD}", update)
    job_stack.clock.tick(60)
    await job_stack.webhook()

    assert (await job_stack.run_until_finished()).status is Status.UPDATED
    assert await value_of(job_stack, Fact.UPDATE_EXTRA_FIELDS) == kind


async def test_a_marked_test_order_is_skipped_at_its_first_read(job_stack: JobStack) -> None:
    job_stack.order["external_source"] = "enrich rehearse"
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.reason) == (Status.SKIPPED, "rehearsal")
    assert job_stack.upstream.asked == ["GET /v2/orders/1", CONFIGS], "the configs, as of any order, meanwhile"


# ── lists ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def write_many(verifier: VerifierStack) -> None:
    for number in range(4):
        await verifier.write(po_number=f"A-{number}")


async def listed(verifier: VerifierStack) -> int:
    return (await verifier.calls()).get("Get All Orders", {}).get("200", 0)


async def test_where_lists_are_known_to_lack_fields_none_is_read(open_stack: OpenStack) -> None:
    verifier = VerifierStack(await open_stack(list_extra_fields="missing"))
    facts = verifier.resources.facts
    await facts.keep("sandbox", {Fact.LIST_EXTRA_FIELDS: "missing"})
    await write_many(verifier)

    await verifier.verify()

    assert await listed(verifier) == 0


@pytest.mark.parametrize(("option", "learnt"), [("missing", "missing"), ("empty", "missing"), ("shown", "shown")])
async def test_three_lists_teach_what_lists_show(open_stack: OpenStack, option: str, learnt: str) -> None:
    verifier = VerifierStack(await open_stack(list_extra_fields=option))
    facts = verifier.resources.facts
    known = []
    for _ in range(3):
        await write_many(verifier)
        await verifier.verify()
        known.append((await facts.of("sandbox")).value(Fact.LIST_EXTRA_FIELDS))
        verifier.stack.clock.tick(3601.0)
        facts._observed_at.clear()
        facts._read.clear()
    assert known == [None, None, learnt]


@pytest.mark.parametrize(("listed_at", "is_told"), [(20, True), (19, False), (None, False)])
def test_only_a_row_of_the_same_version_tells_that_lists_lack_fields(listed_at: int | None, is_told: bool) -> None:
    fields = {"extraFields": [{"fieldName": "F", "fieldValue": "x"}]}
    records = Records(
        found={1: Record.model_validate({"bcOrderId": 1, "updatedAt": 20} | fields)},
        undecided={1: Record.model_validate({"bcOrderId": 1, "updatedAt": listed_at, "extraFields": []})},
    )
    assert _lacks_extra_fields(records) is is_told
