"""Payments of invoices: orders with one digital line item, told apart by the platform's metafield ``orderType``."""

from typing import Any

import httpx
import pytest

from service.orders.state.keys import order_type_misses_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.store_history import MAX_TYPE_MISSES, SAMPLE
from service.orders.state.queue import Webhook
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH
from tests.workers.stacks.stack import OpenStack
from workers.orders.result_types import Finished
from workers.orders.steps.invoice_payment import MAX_WAIT_S

METAFIELDS = "GET /v3/orders/1/metafields"
CREATE = "POST /api/v3/io/orders"
INVOICE, ONLINE = "invoice payment", "online order"


@pytest.fixture
def stack(job_stack: JobStack) -> JobStack:
    """A store whose order has one digital line item."""
    job_stack.order |= {"order_is_digital": True, "items_total": 1}
    type_appears_at(job_stack, None)
    return job_stack


def type_appears_at(stack: JobStack, at_s: float | None, value: str = INVOICE) -> None:
    """From this age of the order on it has the metafield; None for never."""
    placed_at = stack.clock()

    def rows(_: httpx.Request) -> Any:
        is_there = at_s is not None and stack.clock() - placed_at >= at_s
        found = [{"namespace": "any", "key": "orderType", "value": value, "resource_id": str(ORDER)}]
        return {"data": found if is_there else [], "meta": {"pagination": {"total_pages": 1}}}

    stack.upstream.on(METAFIELDS, rows)
    stack.upstream.on("GET /v3/orders/metafields", rows)


async def finished(stack: JobStack) -> Entry:
    await stack.webhook()
    return await stack.run_until_finished()


async def misses(stack: JobStack) -> int:
    return int(await stack.redis.get(order_type_misses_key(STORE_HASH)) or 0)


def writes(stack: JobStack) -> list[str]:
    return [route for route in stack.upstream.asked if not route.startswith("GET")]


def age_of(entry: Entry) -> float:
    assert entry.create_age is not None
    return entry.create_age


# ── what is seen ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("at_s", [0.0, 1.0, 1.9])
@pytest.mark.parametrize("value", [INVOICE, "Invoice Payment "])
async def test_a_payment_of_an_invoice_is_skipped_and_nothing_is_written(
    stack: JobStack, at_s: float, value: str
) -> None:
    type_appears_at(stack, at_s, value)

    entry = await finished(stack)

    assert (entry.status, entry.reason) == (Status.SKIPPED, "invoice_payment")
    assert writes(stack) == []


@pytest.mark.parametrize(("at_s", "latest_age_s"), [(0.0, 1.0), (1.0, 2.2), (None, 0.5 + MAX_WAIT_S + 0.6)])
async def test_another_digital_order_is_created_as_soon_as_its_type_is_seen(
    stack: JobStack, at_s: float | None, latest_age_s: float
) -> None:
    type_appears_at(stack, at_s, ONLINE)

    entry = await finished(stack)

    assert entry.status is Status.CREATED
    assert (at_s or 0.0) <= age_of(entry) <= latest_age_s
    assert 1 <= stack.upstream.asked.count(METAFIELDS) <= 8


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"order_is_digital": False, "items_total": 1},
        {"order_is_digital": True, "items_total": 2},
        {"order_is_digital": None},
    ],
)
async def test_other_orders_do_not_wait_and_cost_no_call(job_stack: JobStack, order: dict[str, Any]) -> None:
    job_stack.order |= order

    entry = await finished(job_stack)

    assert entry.status is Status.CREATED
    assert METAFIELDS not in job_stack.upstream.asked
    assert age_of(entry) < 1.0


@pytest.mark.parametrize(("items", "waits"), [(1, True), (2, False)])
async def test_line_items_count_where_the_rules_read_them(stack: JobStack, items: int, waits: bool) -> None:
    stack.configure(fields='"Acc" = "products[0].sku"')
    line_items = [{"sku": "X", "quantity": 3, "type": "digital"}] * items
    stack.order |= {"items_total": 3 * items, "consignments": {"downloads": [{"line_items": line_items}]}}

    await finished(stack)

    assert (METAFIELDS in stack.upstream.asked) is waits


async def test_metafields_that_the_rules_need_are_not_read_twice_to_see_the_type(stack: JobStack) -> None:
    stack.configure(keys='late_values = "0s"', fields='"Acc" = "metafields.any.other"')
    type_appears_at(stack, 0.0)

    assert (await finished(stack)).reason == "invoice_payment"
    assert stack.upstream.asked.count(METAFIELDS) == 1


# ── how long it waits ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("webhook_at_s", [6.0, 8.5])
async def test_the_wait_does_not_let_the_window_pass(stack: JobStack, webhook_at_s: float) -> None:
    created_at = stack.clock()
    stack.clock.tick(webhook_at_s)
    await stack.resources.queue.accept(
        Webhook(STORE_HASH, ORDER, "msg_1", "store/order/created", float(int(created_at)), stack.clock())
    )

    entry = await stack.run_until_finished()

    assert entry.in_window is True
    assert age_of(entry) < max(8.0, webhook_at_s + 1.0)


async def test_the_wait_is_a_part_of_the_wait_for_late_values(stack: JobStack) -> None:
    stack.configure(fields='"Acc" = "metafields.any.other"')

    entry = await finished(stack)

    assert entry.in_window is True
    assert 6.0 <= age_of(entry) <= 7.0


async def test_metafields_that_cannot_be_read_do_not_let_the_window_pass(stack: JobStack) -> None:
    stack.upstream.on(METAFIELDS, (503, {"title": "Oops."}))

    entry = await finished(stack)

    assert entry.in_window is True
    assert await misses(stack) == 0, "what cannot be read says nothing"


async def test_a_token_that_may_not_read_metafields_does_not_park_the_order(stack: JobStack) -> None:
    stack.upstream.on(METAFIELDS, (403, {"title": "You don't have a required scope"}))
    assert (await finished(stack)).status is Status.CREATED


async def test_an_order_of_hours_ago_is_asked_once_before_its_late_create(stack: JobStack) -> None:
    created_at = stack.clock()
    type_appears_at(stack, 1.0)
    stack.clock.tick(7200.0)
    await stack.resources.queue.accept(
        Webhook(STORE_HASH, ORDER, "msg_1", "store/order/created", float(int(created_at)), stack.clock())
    )

    entry = await stack.run_until_finished()

    assert (entry.status, entry.reason) == (Status.SKIPPED, "invoice_payment")
    assert stack.upstream.asked.count(METAFIELDS) == 1
    assert writes(stack) == []


async def test_after_a_wait_in_vain_a_retry_does_not_wait_again(stack: JobStack) -> None:
    stack.upstream.on(CREATE, failure(503, "Oops."), failure(503, "Oops."), stack.record.create)
    stack.upstream.on(f"GET {RECORD}", failure(503, "Oops."), stack.record.read)

    entry = await finished(stack)

    assert (entry.status, entry.order_type) == (Status.CREATED, "")
    assert stack.upstream.asked.count(METAFIELDS) <= 8


# ── stores that show no such metafields ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("counted", "waits"), [(MAX_TYPE_MISSES - 1, True), (MAX_TYPE_MISSES, False)])
async def test_a_store_that_has_shown_none_for_long_is_not_waited_for(
    stack: JobStack, counted: int, waits: bool
) -> None:
    await stack.redis.set(order_type_misses_key(STORE_HASH), counted)

    entry = await finished(stack)

    assert entry.status is Status.CREATED
    assert (age_of(entry) > MAX_WAIT_S) is waits
    assert (METAFIELDS in stack.upstream.asked) is waits
    assert await misses(stack) == MAX_TYPE_MISSES


async def test_a_sample_of_its_orders_still_waits(stack: JobStack) -> None:
    await stack.redis.set(order_type_misses_key(STORE_HASH), MAX_TYPE_MISSES)
    history = stack.resources.history
    expected = [
        number for number in range(1, 2 * SAMPLE + 1) if await history.is_order_type_expected(STORE_HASH, number)
    ]
    assert expected == [SAMPLE, 2 * SAMPLE]


@pytest.mark.parametrize("value", [INVOICE, ONLINE])
async def test_the_count_starts_again_when_a_type_shows_up(stack: JobStack, value: str) -> None:
    await stack.redis.set(order_type_misses_key(STORE_HASH), MAX_TYPE_MISSES - 1)
    type_appears_at(stack, 1.0, value)
    await finished(stack)
    assert await misses(stack) == 0


async def test_a_type_among_metafields_that_the_rules_read_ends_the_pause(job_stack: JobStack) -> None:
    await job_stack.redis.set(order_type_misses_key(STORE_HASH), MAX_TYPE_MISSES)
    job_stack.configure(keys='late_values = "0s"', fields='"Acc" = "metafields.any.other"')
    type_appears_at(job_stack, 0.0, ONLINE)

    assert (await finished(job_stack)).status is Status.CREATED
    assert await misses(job_stack) == 0


# ── in the sandbox ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("order_type", "expected"),
    [
        (INVOICE, Finished(Status.SKIPPED, "invoice_payment")),
        (ONLINE, Finished(Status.CREATED, verified=True)),
        (None, Finished(Status.CREATED, verified=True)),
    ],
)
async def test_digital_orders_of_the_sandbox(open_stack: OpenStack, order_type: str | None, expected: Finished) -> None:
    stack = await open_stack()
    order_id = await stack.place(digital=True, order_type=order_type, order_type_after=1.0)

    assert await stack.finish(stack.entry(order_id)) == expected
    assert await stack.writes(order_id) == ((1, 0) if expected.status is Status.CREATED else (0, 0))
