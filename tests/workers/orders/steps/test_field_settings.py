"""What the settings of a store's extra fields decide: options, limits, unique values, required fields."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.orders.state.order_entry import Entry, Status
from tests.fakes.stacks.job_stack import RECORD, JobStack, failure

CONFIGS = "GET /api/v3/io/orders/extra-fields"
CREATE = "POST /api/v3/io/orders"
UPDATE = f"PUT {RECORD}"


def set_up(job_stack: JobStack, config: dict[str, Any], rule: str, *others: dict[str, Any]) -> None:
    """A store whose field "P" has these settings, and one rule besides the PO number's."""
    del job_stack.order["staff_notes"]  # the field F has no value
    job_stack.configure(fields=rule)
    configs = [{"fieldName": "P", "labelName": "Priority", **config}, {"fieldName": "F"}, *others]
    job_stack.upstream.on(CONFIGS, {"code": 200, "data": configs, "meta": {}})


async def run(job_stack: JobStack, *, late: bool = False) -> Entry:
    if late:
        job_stack.record.make("")
        job_stack.clock.tick(60)
    await job_stack.webhook()
    return await job_stack.run_until_finished()


# ── options and limits ────────────────────────────────────────────────────────────────────────────────────────────────

OPTIONS = ["Standard", "Rush"]
WITH_OPTIONS = [
    {"listOfValues": OPTIONS},
    {"listOfValue": OPTIONS},
    {"listOfValues": [], "listOfValue": OPTIONS},
    {"listOfValues": None, "valueConfig": {"listOfValue": OPTIONS}},
    {"valueConfig": {"listOfValues": OPTIONS}},
    {"valueConfigs": {"listOfValue": OPTIONS}},
    {"valueConfigs": [{"listOfValues": OPTIONS}]},
    {"valueConfigs": None, "valueConfig": [], "listOfValue": OPTIONS},
]


@pytest.mark.parametrize("settings", WITH_OPTIONS, ids=json.dumps)
async def test_options_are_found_wherever_they_are(job_stack: JobStack, settings: dict[str, Any]) -> None:
    dropdown = {"fieldType": 3, "isRequired": True, "maximumLength": "", **settings}
    set_up(job_stack, dropdown, '"Priority" = { value = "rush" }')

    entry = await run(job_stack)

    assert (entry.status, entry.verified, job_stack.record.fields) == (Status.CREATED, True, {"P": "Rush"})


@pytest.mark.parametrize("settings", [{}, {"listOfValue": None}, {"listOfValues": []}, {"valueConfig": {}}], ids=str)
async def test_without_a_list_the_text_is_sent_as_it_is(job_stack: JobStack, settings: dict[str, Any]) -> None:
    set_up(job_stack, {"fieldType": 3, "isRequired": True, **settings}, '"Priority" = { value = "rush" }')

    entry = await run(job_stack)

    assert (entry.status, entry.dropped, job_stack.record.fields) == (Status.CREATED, {}, {"P": "rush"})


@pytest.mark.parametrize(
    ("settings", "value", "fits"),
    [
        ({"maximumLength": "4"}, "rush", True),
        ({"maximumLength": "3"}, "rush", False),
        ({"maximumLength": ""}, "rush", True),
        ({"maximumLength": "", "valueConfig": {"maximumLength": "3"}}, "rush", False),
        ({"fieldType": "2", "maximumValue": "12"}, "12", True),
        ({"fieldType": "2", "maximumValue": "12"}, "13", False),
        ({"fieldType": "2", "maximumValue": "", "maximumLength": ""}, "13", True),
    ],
)
async def test_limits_may_be_text(job_stack: JobStack, settings: dict[str, Any], value: str, fits: bool) -> None:
    set_up(job_stack, settings, f'"Priority" = {{ value = "{value}" }}')

    entry = await run(job_stack)

    assert (entry.status, entry.po_number) == (Status.CREATED, "PO1")
    assert job_stack.record.fields == ({"P": value} if fits else {})
    assert bool(entry.dropped) is not fits


# ── unique values ─────────────────────────────────────────────────────────────────────────────────────────────────────

DUPLICATE = "another order has this value already, and BigCommerce takes each value of this field only once."
REFUSALS = [
    failure(422, "P must be unique"),
    failure(422, "Priority must be unique"),
    failure(400, "[P] value already exists."),
    failure(400, "Duplicate value."),
    failure(422, "Extra field value has already been used; it must be unique."),
    failure(400, "The value of Priority is already taken."),
]


def refuse(job_stack: JobStack, refusal: Any, name: bytes = b'"P"') -> Callable[[httpx.Request], Any]:
    def answer(request: httpx.Request) -> Any:
        if name in request.content:
            return refusal
        return job_stack.record.update(request) if request.method == "PUT" else job_stack.record.create(request)

    return answer


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_a_value_that_another_order_has_is_left_out(job_stack: JobStack, refusal: Any, late: bool) -> None:
    rules = '"Priority" = { value = "S-1" }\n"Note" = { value = "n" }'
    set_up(job_stack, {"isUnique": True}, rules, {"fieldName": "Note"})
    for route in (CREATE, UPDATE):
        job_stack.upstream.on(route, refuse(job_stack, refusal))

    entry = await run(job_stack, late=late)

    assert (entry.status, entry.verified) == (Status.UPDATED if late else Status.CREATED, True)
    assert entry.dropped == {"P": DUPLICATE}
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO1", {"Note": "n"})
    assert len(job_stack.upstream.bodies(UPDATE if late else CREATE)) == 2


async def test_a_required_value_that_another_order_has_fails_the_order(job_stack: JobStack) -> None:
    set_up(job_stack, {"isUnique": True, "isRequired": True}, '"Priority" = { value = "S-1" }')
    job_stack.upstream.on(CREATE, refuse(job_stack, REFUSALS[0]))

    entry = await run(job_stack)

    assert (entry.status, entry.reason) == (Status.FAILED, f"P: {DUPLICATE}")


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_a_duplicate_value_is_not_blamed_on_the_fields_of_others(job_stack: JobStack, refusal: Any) -> None:
    set_up(job_stack, {"isUnique": True}, '"Priority" = { value = "S-1" }')
    job_stack.upstream.on(UPDATE, refuse(job_stack, refusal))
    job_stack.record.make("", theirs="x")
    job_stack.clock.tick(60)
    await job_stack.webhook()

    assert (await job_stack.run_until_finished()).dropped == {"P": DUPLICATE}
    assert job_stack.upstream.bodies(UPDATE)[-1]["extraFields"] == [{"fieldName": "theirs", "fieldValue": "x"}]


async def test_an_existing_record_is_no_duplicate_value(job_stack: JobStack) -> None:
    set_up(job_stack, {"isUnique": True}, '"Priority" = { value = "S-1" }')
    job_stack.record.make("")
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.dropped, job_stack.record.fields) == (Status.UPDATED, {}, {"P": "S-1"})


# ── required fields that no rule fills ────────────────────────────────────────────────────────────────────────────────

REQUIRED = failure(422, "[Must] is a required extra field")
MUST = {"fieldName": "Must", "labelName": "Must have", "isRequired": True}


def require(job_stack: JobStack, refusal: Any = REQUIRED) -> None:
    def answer(request: httpx.Request) -> Any:
        if b'"Must"' not in request.content:
            return refusal
        return job_stack.record.update(request) if request.method == "PUT" else job_stack.record.create(request)

    for route in (CREATE, UPDATE):
        job_stack.upstream.on(route, answer)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("refusal", [REQUIRED, failure(422, "[Must have] is a required extra field")], ids=str)
async def test_the_default_of_a_required_field_is_sent(job_stack: JobStack, late: bool, refusal: Any) -> None:
    set_up(job_stack, {}, '"Priority" = { value = "rush" }', {**MUST, "defaultValue": "web"})
    require(job_stack, refusal)

    entry = await run(job_stack, late=late)

    assert (entry.status, entry.verified) == (Status.UPDATED if late else Status.CREATED, True)
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO1", {"P": "rush", "Must": "web"})


@pytest.mark.parametrize("existing_values", ["keep", "replace"])
async def test_the_default_of_a_required_field_overwrites_nothing(job_stack: JobStack, existing_values: str) -> None:
    set_up(job_stack, {}, '"Priority" = { value = "rush" }', {**MUST, "defaultValue": "web"})
    job_stack.configure(keys=f'existing_values = "{existing_values}"', fields='"Priority" = { value = "rush" }')
    require(job_stack)
    job_stack.record.make("", Must="phone")
    job_stack.clock.tick(60)
    await job_stack.webhook()

    assert (await job_stack.run_until_finished()).status is Status.UPDATED
    assert job_stack.record.fields == {"P": "rush", "Must": "phone"}


@pytest.mark.parametrize("late", [False, True])
async def test_without_a_default_the_order_fails_with_the_fields_name(job_stack: JobStack, late: bool) -> None:
    set_up(job_stack, {}, '"Priority" = { value = "rush" }', MUST)
    require(job_stack)

    entry = await run(job_stack, late=late)

    assert (entry.status, entry.reason) == (Status.FAILED, "Must")


@pytest.mark.parametrize("late", [False, True])
async def test_a_required_field_matters_to_a_store_without_rules_for_fields(job_stack: JobStack, late: bool) -> None:
    path = job_stack.folder / "po_only.toml"
    path.write_text(
        '[stores.abc123]\naccess_token="access-token"\nclient_secret="s"\npo_number="order.customer_message"'
    )
    configs = [{**MUST, "defaultValue": "web"}]
    job_stack.upstream.on(CONFIGS, {"code": 200, "data": configs, "meta": {}})
    job_stack.use(path)
    require(job_stack)

    entry = await run(job_stack, late=late)

    assert (entry.status, entry.verified) == (Status.UPDATED if late else Status.CREATED, True)
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO1", {"Must": "web"})


# ── an answer without a body ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"code": 200, "data": null, "meta": {}}'])
async def test_a_write_that_is_answered_without_a_record_is_verified(
    job_stack: JobStack, body: bytes, late: bool
) -> None:
    set_up(job_stack, {}, '"Priority" = { value = "rush" }')

    def written(request: httpx.Request) -> Any:
        answer = job_stack.record.update(request) if request.method == "PUT" else job_stack.record.create(request)
        return httpx.Response(200, content=body) if isinstance(answer, dict) else answer

    for route in (CREATE, UPDATE):
        job_stack.upstream.on(route, written)

    entry = await run(job_stack, late=late)

    assert (entry.status, entry.verified) == (Status.UPDATED if late else Status.CREATED, True)
    assert len(job_stack.upstream.bodies(UPDATE if late else CREATE)) == 1
