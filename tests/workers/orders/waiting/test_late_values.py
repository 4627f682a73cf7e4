"""Values that apps write after the order was placed: they are in the Create, if they come in time."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from service.bigcommerce.clients.hooks import METAFIELD_WRITTEN
from service.orders.state.job_kinds import WINDOW
from service.orders.state.keys import late_misses_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import EnqueueResult, Webhook
from service.orders.state.worklists.late_orders import MAX_MISSES
from tests.fakes.stacks.job_stack import ORDER, JobStack
from tests.fakes.upstream import STORE_HASH

METAFIELDS = "GET /v3/orders/1/metafields"
LIST = "GET /v3/orders/metafields"
CREATE = "POST /api/v3/io/orders"
LATE = '"Late" = { from = "metafields.checkout.late"%s }'
PO = {"namespace": "checkout", "key": "late", "value": "A-26", "resource_id": str(ORDER)}


@pytest.fixture
def stack(job_stack: JobStack) -> JobStack:
    """A store whose field Late is in a metafield, which the order does not have yet."""
    configs = [{"fieldName": name, "fieldType": 0, "labelName": name} for name in ("F", "Late")]
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    job_stack.configure(fields=LATE % "")
    metafields_appear_at(job_stack, None)
    return job_stack


def metafields_appear_at(stack: JobStack, at_s: float | None) -> None:
    """From this age of the order on it has the metafield; None for never."""
    placed_at = stack.clock()

    def rows(_: Any) -> Any:
        is_there = at_s is not None and stack.clock() - placed_at >= at_s
        return {"data": [PO] if is_there else [], "meta": {"pagination": {"total_pages": 1}}}

    stack.upstream.on(METAFIELDS, rows)
    stack.upstream.on(LIST, rows)


async def enriched(stack: JobStack) -> Entry:
    await stack.webhook()
    return await stack.run_until_finished()


@pytest.mark.parametrize("at_s", [0.0, 1.5, 4.0, 5.4])
@pytest.mark.parametrize("more", ["", ', default = "NONE"', ", required = true"])
async def test_a_value_that_comes_in_time_is_in_the_create(stack: JobStack, at_s: float, more: str) -> None:
    stack.configure(fields=LATE % more)
    metafields_appear_at(stack, at_s)

    entry = await enriched(stack)

    assert (entry.status, entry.fields["Late"]) == (Status.CREATED, "A-26")
    (body,) = stack.upstream.bodies(CREATE)
    assert {"fieldName": "Late", "fieldValue": "A-26"} in body["extraFields"]
    assert entry.create_age is not None
    assert at_s <= entry.create_age < 10.0


@pytest.mark.parametrize(("more", "expected"), [("", {"F": "fv"}), (', default = "NONE"', {"F": "fv", "Late": "NONE"})])
async def test_without_a_value_the_create_goes_out_at_the_deadline(
    stack: JobStack, more: str, expected: dict[str, str]
) -> None:
    stack.configure(fields=LATE % more)

    entry = await enriched(stack)

    assert (entry.status, entry.fields) == (Status.CREATED, expected)
    assert entry.create_age is not None
    assert 6.0 <= entry.create_age <= 7.0


@pytest.mark.parametrize(
    ("keys", "more"),
    [('late_values = "0s"', ""), ("", ", wait = false"), ("", ', value = "x"')],
)
async def test_a_store_or_a_rule_may_not_wait_at_all(stack: JobStack, keys: str, more: str) -> None:
    stack.configure(keys=keys, fields='"Late" = { value = "x" }' if "value = " in more else LATE % more)

    entry = await enriched(stack)

    assert entry.status is Status.CREATED
    assert entry.create_age is not None
    assert entry.create_age < 2.0


async def test_waiting_costs_one_list_call_a_second_and_no_call_to_b2b_edition(stack: JobStack) -> None:
    await enriched(stack)

    assert 4 <= stack.upstream.asked.count(LIST) <= 7
    before_create = stack.upstream.asked[: stack.upstream.asked.index(CREATE)]
    assert before_create.count("GET /v2/orders/1") == 2
    assert [route for route in before_create if route.startswith("GET /api/v3/io/orders/1")] == []


async def test_a_metafield_that_no_rule_names_wakes_nobody_twice(stack: JobStack) -> None:
    other = {**PO, "key": "other"}
    stack.upstream.on(METAFIELDS, {"data": [other], "meta": {"pagination": {"total_pages": 1}}})
    stack.upstream.on(LIST, {"data": [other], "meta": {"pagination": {"total_pages": 1}}})

    await enriched(stack)

    assert stack.upstream.asked.count("GET /v2/orders/1") <= 3


async def test_the_job_comes_back_by_itself_when_the_poll_is_lost(stack: JobStack) -> None:
    """As after the death of the worker that polls: nothing waits past its deadline."""
    metafields_appear_at(stack, 2.0)
    await stack.webhook()
    await stack.run_next()
    await stack.redis.delete("enrich:queue:late-values")

    entry = await stack.run_until_finished()

    assert (entry.status, entry.fields["Late"]) == (Status.CREATED, "A-26")


@pytest.mark.parametrize("scope", METAFIELD_WRITTEN)
async def test_an_order_is_woken_by_the_metafields_own_webhook(stack: JobStack, scope: str) -> None:
    await stack.webhook()
    await stack.run_next()
    metafields_appear_at(stack, 0.0)
    stack.clock.tick(0.5)
    now = stack.clock()
    webhook = Webhook(STORE_HASH, ORDER, "msg_2", scope, float(int(now)), now)

    assert await stack.resources.queue.accept(webhook) is EnqueueResult.QUEUED
    assert await stack.resources.queue.accept(webhook) is EnqueueResult.IGNORED
    await stack.run_next()

    (body,) = stack.upstream.bodies(CREATE)
    assert {"fieldName": "Late", "fieldValue": "A-26"} in body["extraFields"]


async def test_a_store_whose_waits_bring_nothing_stops_waiting(stack: JobStack) -> None:
    await stack.redis.set(late_misses_key(STORE_HASH), MAX_MISSES)
    entry = await enriched(stack)
    assert entry.create_age is not None
    assert entry.create_age < 2.0


async def test_a_wait_that_brings_a_value_is_a_reason_to_wait_again(stack: JobStack) -> None:
    await stack.redis.set(late_misses_key(STORE_HASH), MAX_MISSES - 1)
    metafields_appear_at(stack, 3.0)
    await enriched(stack)
    assert await stack.redis.get(late_misses_key(STORE_HASH)) is None


async def test_a_wait_that_brings_nothing_is_counted(stack: JobStack) -> None:
    await enriched(stack)
    assert await stack.redis.get(late_misses_key(STORE_HASH)) == b"1"


async def order_is_placed(stack: JobStack, *, told: bool, comes: bool = True) -> list[float]:
    """A new order whose value comes after 0.6 s, with its webhook or without; returns when the list was read (s)."""
    await stack.redis.delete(f"enrich:order:{STORE_HASH}:{ORDER}")
    stack.record.po_number = None
    stack.order["date_created"] = format_datetime(datetime.fromtimestamp(stack.clock(), UTC))
    metafields_appear_at(stack, 0.6 if comes else None)
    await stack.webhook()
    began, read = stack.clock(), list[float]()
    await stack.run_next()
    if told:
        stack.clock.tick(0.7)
        now = stack.clock()
        await stack.resources.queue.accept(Webhook(STORE_HASH, ORDER, "m", METAFIELD_WRITTEN[0], float(int(now)), now))
    for _ in range(100):
        if (await stack.entry()).status.is_final:
            break
        before = stack.upstream.asked.count(LIST)
        await stack.run_next()
        read += [round(stack.clock() - began)] * (stack.upstream.asked.count(LIST) - before)
    stack.clock.tick(100.0)
    while await stack.queued():
        await stack.run_next()
    return read


@pytest.mark.parametrize(
    ("told", "reads"),
    [
        ([], [1, 2, 3, 4, 5]),
        ([True, True], [1, 2, 3, 4, 5]),
        ([True, True, True], [3]),
        ([True, True, True, True], [3]),
        ([True, True, False], [1, 2, 3, 4, 5]),
        ([True, True, True, False], [1, 2, 3, 4, 5]),
        ([False, True, True, True], [3]),
    ],
)
async def test_the_list_is_read_seldom_where_webhooks_have_told_of_each_value_first(
    stack: JobStack, told: list[bool], reads: list[int]
) -> None:
    for each in told:
        await order_is_placed(stack, told=each)

    found = await order_is_placed(stack, told=False, comes=False)

    assert [second for second in found if second < 6] == reads


async def test_a_value_that_came_counts_though_another_rule_never_gets_one(stack: JobStack) -> None:
    configs = [{"fieldName": name, "fieldType": 0, "labelName": name} for name in ("F", "Late", "Opt")]
    stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    stack.configure(fields=LATE % "" + '\n"Opt" = "metafields.checkout.optional"')
    metafields_appear_at(stack, 2.0)

    entry = await enriched(stack)

    assert entry.fields == {"F": "fv", "Late": "A-26"}
    assert await stack.redis.get(late_misses_key(STORE_HASH)) is None


async def test_rules_that_read_no_metafields_are_not_polled_for(stack: JobStack) -> None:
    stack.configure(fields='"Late" = { from = "order.external_id", wait = true }')

    entry = await enriched(stack)

    assert entry.status is Status.CREATED
    assert stack.upstream.asked.count(LIST) == 0
    assert stack.upstream.asked.count("GET /v2/orders/1") == 2


async def test_a_woken_order_goes_before_younger_ones(stack: JobStack) -> None:
    await stack.webhook()
    await stack.run_next()
    stack.clock.tick(4.0)
    assert await stack.resources.late.wake(STORE_HASH, ORDER, source="list")
    due = await stack.redis.zscore(WINDOW.queue, WINDOW.id(STORE_HASH, ORDER))
    assert due is not None
    assert due / 1000 < stack.clock() - 3.0
