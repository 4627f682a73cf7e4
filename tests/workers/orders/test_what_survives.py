"""A value that is right survives: what somebody else wrote, and a better one of ours."""

from typing import Any

import httpx
import pytest

from service.orders.facts.fact import Fact
from service.orders.state.order_entry import Entry, Status
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH

CART = "GET /v3/carts/c-1/metafields"
CREATE, UPDATE = "POST /api/v3/io/orders", f"PUT {RECORD}"
NO_WAIT = 'late_values = "0s"\nfollow = "24h"'


def configure(stack: JobStack, fields: str, keys: str = NO_WAIT) -> None:
    configs = [{"fieldName": name, "fieldType": 0, "labelName": name} for name in ("F", "Many", "Acc")]
    stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    stack.configure(fields=fields, keys=keys)


async def settle(stack: JobStack, within_s: float = 120.0) -> Entry:
    """Run all jobs that are due within this time."""
    until = stack.clock() + within_s
    while (due := await stack.due_at()) is not None and due <= until:
        await stack.run_next()
    return await stack.entry()


async def changed(stack: JobStack, **fields: Any) -> Entry:
    """Staff, or an ERP, change the order; its webhook arrives."""
    stack.order |= fields
    stack.clock.tick(10.0)
    await stack.event("store/order/updated")
    return await settle(stack)


def cart_has(stack: JobStack, value: str | None) -> None:
    """The cart's metafield; None: the cart is gone."""
    stack.order["cart_id"] = "c-1"
    rows = [{"namespace": "checkout", "key": "many", "value": value}]
    answer = {"data": rows, "meta": {"pagination": {"total_pages": 1}}}
    stack.upstream.on(CART, (404, {"title": "gone"}) if value is None else answer)


@pytest.mark.parametrize("again", ["retry", "order/updated", "both parts changed"])
@pytest.mark.parametrize(
    "rule",
    [
        '"Many" = { from = "cart.metafields.checkout.many", default = "NONE" }',
        '"Many" = { from = ["cart.metafields.checkout.many", "order.external_id"] }',
        '"Many" = { from = "cart.metafields.checkout.many || order.external_id", default = "NONE" }',
    ],
    ids=["default", "later source", "one expression"],
)
async def test_value_of_a_cart_that_is_gone_is_not_replaced_by_a_default_or_a_later_source(
    job_stack: JobStack, rule: str, again: str
) -> None:
    configure(job_stack, rule)
    cart_has(job_stack, "A-26")
    await job_stack.webhook()
    await settle(job_stack)
    assert job_stack.record.fields["Many"] == "A-26"
    cart_has(job_stack, None)

    if again == "retry":
        job_stack.order["external_id"] = "E-1"
        await job_stack.retry()
        await settle(job_stack)
    else:
        await changed(job_stack, external_id="E-1", **({"customer_message": "PO2"} if "both" in again else {}))

    if "||" not in rule or again != "retry":
        assert job_stack.record.fields["Many"] == "A-26"


async def test_rules_are_edited_and_then_an_erp_touches_the_order(job_stack: JobStack) -> None:
    configure(job_stack, '"Many" = { value = "old" }')
    await job_stack.webhook()
    before = (await settle(job_stack)).updates
    configure(job_stack, '"Many" = { from = "order.staff_notes", default = "new" }')

    entry = await changed(job_stack, status_id=2, external_id="exported")

    assert (job_stack.record.fields["Many"], entry.updates - before) == ("old", 0)


@pytest.mark.parametrize("existing_values", ["keep", "replace"])
async def test_rule_that_reads_its_own_target_never_writes_over_it(job_stack: JobStack, existing_values: str) -> None:
    rule = '"Many" = { from = ["record.extraFields.Many", "order.external_id"] }'
    configure(job_stack, rule, f'{NO_WAIT}\nexisting_values = "{existing_values}"')
    job_stack.record.make("", Many="THEIRS")
    await job_stack.webhook()
    await settle(job_stack)
    assert job_stack.record.fields == {"F": "fv", "Many": "THEIRS"}

    job_stack.record.fields["Many"] = "THEIRS-2"
    await changed(job_stack, status_id=2)
    await changed(job_stack, customer_message="PO2")

    assert (job_stack.record.po_number, job_stack.record.fields["Many"]) == ("PO2", "THEIRS-2")


async def test_rule_that_reads_its_own_target_does_not_take_our_value_for_somebody_elses(job_stack: JobStack) -> None:
    configure(job_stack, '"Many" = { from = ["record.extraFields.Many", "order.external_id"] }')
    job_stack.order["external_id"] = "E-1"
    await job_stack.webhook()
    await settle(job_stack)

    entry = await changed(job_stack, external_id="E-2")

    assert (job_stack.record.fields["Many"], entry.verified) == ("E-2", True)


@pytest.mark.parametrize("comes_at_s", [20.5, 45.0, 100.0])
async def test_platform_that_is_merely_slow_makes_the_record_under_merge(
    job_stack: JobStack, comes_at_s: float
) -> None:
    job_stack.configure(keys='strategy = "merge"')
    placed_at = job_stack.clock()

    def read(request: httpx.Request) -> Any:
        if job_stack.record.po_number is None and job_stack.clock() - placed_at >= comes_at_s:
            job_stack.record.make("TYPED", Other="o")
        return job_stack.record.read(request)

    job_stack.upstream.on(f"GET {RECORD}", read)
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert CREATE not in job_stack.upstream.asked
    assert (job_stack.record.po_number, job_stack.record.fields) == ("TYPED", {"Other": "o", "F": "fv"})
    assert (entry.status, entry.kept, entry.verified) == (Status.UPDATED, ["po_number"], True)


@pytest.mark.parametrize("answer", ["X", ""])
@pytest.mark.parametrize("existing_values", ["keep", "replace"])
async def test_no_two_programs_write_in_turns(job_stack: JobStack, existing_values: str, answer: str) -> None:
    """The other one sets F to its value, or empties it, after each write of ours; staff change another value."""
    configure(job_stack, "", f'{NO_WAIT}\nexisting_values = "{existing_values}"')
    await job_stack.webhook()
    await settle(job_stack)
    wrote_f = []
    for number in range(6):
        job_stack.record.fields["F"] = answer
        before = len(job_stack.upstream.bodies(UPDATE))
        await settle(job_stack)
        await changed(job_stack, customer_message=f"PO-{number}")
        bodies = job_stack.upstream.bodies(UPDATE)[before:]
        wrote_f += [
            field
            for body in bodies
            for field in body.get("extraFields", [])
            if field["fieldName"] == "F" and field["fieldValue"] == "fv"
        ]

    assert len(wrote_f) <= 1, "put back at most once"
    assert job_stack.record.fields["F"] == answer
    assert job_stack.record.po_number == "PO-5"


@pytest.mark.parametrize("odd", [1, 2])
async def test_one_odd_answer_teaches_nothing_that_the_next_order_goes_by(job_stack: JobStack, odd: int) -> None:
    """Up to two records show a field by its label; the third order is still written by fieldName."""
    configs = [{"fieldName": "F", "fieldType": 0, "labelName": "Label of F"}]
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    facts = job_stack.resources.facts
    for number in range(odd):
        facts._observed_at.clear()  # as if a minute had passed
        await facts.observe(STORE_HASH, Fact.FIELD_NAME, "label", order_id=ORDER + 1 + number)
    await job_stack.webhook()
    await job_stack.run_until_finished()

    (body,) = job_stack.upstream.bodies(CREATE)
    assert [field["fieldName"] for field in body["extraFields"]] == ["F"]


async def test_one_odd_answer_about_a_record_costs_no_value(job_stack: JobStack) -> None:
    """One answer to Get an Order says that there is no record, after the Create was taken."""
    answers = iter([failure(404, "Order Does Not Exist.")])
    job_stack.upstream.on(f"GET {RECORD}", lambda request: next(answers, None) or job_stack.record.read(request))
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert len(job_stack.upstream.bodies(CREATE)) == 1
    assert job_stack.upstream.bodies(UPDATE) == []
