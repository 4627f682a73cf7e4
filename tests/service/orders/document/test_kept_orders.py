"""What is kept of orders that are attempted again, and reading many of them in one call."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from service.bigcommerce import Priority, StoreApi
from service.errors import TryAgain
from service.orders.document.kept_orders import MOST_ORDERS, KeptOrders, OrderParts
from service.orders.document.metafield_lists import AGE_PER_ORDER_S, LONGEST_AGE_S, MAX_AGE_S
from tests.fakes.stacks.loader_stack import (
    CONSIGNMENTS,
    LIST,
    LIST_METAFIELDS,
    METAFIELDS,
    NOTHING,
    SINGLE,
    SINGLE_METAFIELDS,
    LoaderStack,
)

ORDER, OTHER = {"id": 1}, {"id": 1, "status_id": 5}


# ── the parts of one order ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_document_is_as_old_as_its_oldest_part() -> None:
    parts = OrderParts(1, METAFIELDS)
    parts.fill(10.0, order=ORDER)
    assert parts.document() is None
    parts.fill(12.0, metafields={"a": {"b": "c"}})

    document = parts.document()
    assert document
    assert (document["order"], document["metafields"], parts.read_at) == (ORDER, {"a": {"b": "c"}}, 10.0)


def test_an_older_answer_that_comes_later_changes_nothing() -> None:
    parts = OrderParts(1, NOTHING)
    parts.fill(12.0, order=OTHER)
    parts.fill(10.0, order=ORDER)
    assert (parts.order, parts.order_at) == (OTHER, 12.0)


def test_what_is_too_old_is_dropped_and_not_taken_again() -> None:
    parts = OrderParts(1, METAFIELDS, sources={"cart": {}, "transactions": []}, sources_at=10.0)
    parts.fill(10.0, order=ORDER, metafields={})
    parts.drop_before(10.0)
    assert parts.document()

    parts.drop_before(10.1)
    assert (parts.order, parts.metafields, parts.sources) == (None, None, {"cart": {}})
    parts.fill(10.0, order=ORDER, metafields={})  # the answer to a call that began before
    assert (parts.order, parts.metafields) == (None, None)


# ── the orders of a process ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_orders_that_were_used_longest_ago_are_forgotten() -> None:
    kept = KeptOrders()
    first = kept.of("abc123", 0, NOTHING, now=0.0)
    for order_id in range(1, MOST_ORDERS):
        kept.of("abc123", order_id, NOTHING, now=0.0)
    assert kept.of("abc123", 0, NOTHING, now=1.0) is first
    kept.of("def456", 1, NOTHING, now=1.0)

    assert len(kept) == MOST_ORDERS
    assert kept.of("abc123", 0, NOTHING, now=2.0) is first
    assert {parts.order_id for parts in kept.others("abc123", first, since=0.0)} == set(range(2, MOST_ORDERS))


@pytest.mark.parametrize(
    "needs", [METAFIELDS, CONSIGNMENTS, replace(METAFIELDS, metafield_namespaces=frozenset({"checkout"}))]
)
def test_rules_that_need_other_calls_get_nothing_of_it(needs: Any) -> None:
    kept = KeptOrders()
    before = kept.of("abc123", 1, NOTHING, now=0.0)
    before.fill(0.0, order=ORDER)

    assert kept.of("abc123", 1, replace(NOTHING, company=True), now=0.0) is before, "the same calls read the order"
    assert kept.of("abc123", 1, needs, now=0.0).order is None


def test_orders_that_were_not_attempted_lately_are_not_read_with_others() -> None:
    kept = KeptOrders()
    old, new, own = (kept.of("abc123", number, NOTHING, now=float(number)) for number in (1, 2, 3))
    assert kept.others("abc123", own, since=2.0) == [new]
    assert kept.others("abc123", own, since=1.0) == [old, new]


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def parts_of(stack: LoaderStack, ids: list[int], needs: Any = METAFIELDS) -> list[OrderParts]:
    return [OrderParts(order_id, needs, stack.clock()) for order_id in ids]


async def complete(
    stack: LoaderStack, parts: OrderParts, others: list[OrderParts], priority: Priority = Priority.RECOVER
) -> Any:
    api = StoreApi(stack.transport, stack.account, priority=priority)
    return await stack.loader.complete(api, parts, asked_at=stack.clock(), others=others)


async def test_others_that_wait_are_read_in_the_same_two_calls(stack: LoaderStack) -> None:
    first, *others = parts_of(stack, await stack.place_with_metafields(30))

    await complete(stack, first, others)

    assert await stack.calls() == {LIST: 1, LIST_METAFIELDS: 1}
    for number, parts in enumerate([first, *others]):
        document = parts.document()
        assert document
        assert document["metafields"] == {"checkout": {"po_number": f"A-{number}"}}
        await complete(stack, parts, [])
    assert await stack.calls() == {}, "no call for what is known"


async def test_orders_that_are_requested_at_the_same_time_share_the_calls(stack: LoaderStack) -> None:
    each = parts_of(stack, await stack.place_with_metafields(10))

    await asyncio.gather(*(complete(stack, parts, [other for other in each if other is not parts]) for parts in each))

    assert await stack.calls() == {LIST: 1, LIST_METAFIELDS: 1}


async def test_others_are_read_again_though_they_are_known(stack: LoaderStack) -> None:
    first, other = parts_of(stack, await stack.place(2), NOTHING)
    await complete(stack, other, [])
    stack.clock.tick(30.0)

    await complete(stack, first, [other])

    assert await stack.calls() == {SINGLE: 1, LIST: 1}
    assert other.order_at == stack.clock()


async def test_an_order_far_from_all_others_costs_no_call_for_them(stack: LoaderStack) -> None:
    ids = await stack.place(300)
    first, *others = parts_of(stack, [ids[0], *ids[-10:]], NOTHING)

    await complete(stack, first, others)

    assert await stack.calls() == {SINGLE: 1}
    assert {parts.order for parts in others} == {None}


async def test_an_error_is_only_that_of_the_order_itself(stack: LoaderStack) -> None:
    first, *others = parts_of(stack, await stack.place(3), NOTHING)
    stack.recorder.replaced["/v2/orders"] = httpx.Response(503)

    with pytest.raises(TryAgain):
        await complete(stack, first, others)

    del stack.recorder.replaced["/v2/orders"]
    assert await complete(stack, first, others)


async def test_what_could_be_read_is_kept_when_the_rest_could_not(stack: LoaderStack) -> None:
    (parts,) = parts_of(stack, await stack.place_with_metafields(1))
    path = f"/v3/orders/{parts.order_id}/metafields"
    stack.recorder.replaced[path] = httpx.Response(503)
    with pytest.raises(TryAgain):
        await complete(stack, parts, [])
    await stack.calls()
    del stack.recorder.replaced[path]

    document = await complete(stack, parts, [])

    assert document["metafields"] == {"checkout": {"po_number": "A-0"}}
    assert await stack.calls() == {SINGLE_METAFIELDS: 1}


async def test_only_the_metafields_of_known_orders_are_listed(stack: LoaderStack) -> None:
    each = parts_of(stack, await stack.place_with_metafields(10))
    await complete(stack, each[0], each[1:])
    await stack.calls()
    stack.clock.tick(1.0)
    for parts in each:
        parts.metafields = None
    order_at = each[1].order_at

    await complete(stack, each[0], each[1:])

    assert await stack.calls() == {LIST_METAFIELDS: 1}
    assert (each[1].order_at, each[1].metafields_at) == (order_at, stack.clock())


async def test_without_orders_no_metafields_are_listed_for_those_that_can_wait(stack: LoaderStack) -> None:
    """There may be quota for one call only: spent on metafields, it would be in vain, again and again."""
    first, *others = parts_of(stack, await stack.place_with_metafields(5))
    stack.recorder.replaced["/v2/orders"] = httpx.Response(503)

    with pytest.raises(TryAgain):
        await complete(stack, first, others)

    assert stack.recorder.lists("/v3/orders/metafields") == []


@pytest.mark.parametrize(
    ("count", "age_s", "is_listed"),
    [
        (2, MAX_AGE_S - 6, True),
        (2, MAX_AGE_S + 1, False),
        (20, MAX_AGE_S + 1, True),
        (20, AGE_PER_ORDER_S * 20 - 6, True),
        (20, AGE_PER_ORDER_S * 20 + 1, False),
        (40, LONGEST_AGE_S + 1, False),
    ],
)
async def test_the_more_orders_a_list_serves_the_older_they_may_be(
    stack: LoaderStack, count: int, age_s: float, is_listed: bool
) -> None:
    each = parts_of(stack, await stack.place_with_metafields(count))
    stack.clock.tick(age_s)

    await complete(stack, each[0], each[1:])

    assert (LIST_METAFIELDS in await stack.calls()) is is_listed
