"""The batch loader against a sandbox: what each request gets, and how few calls it takes."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bigcommerce import Priority, StoreApi
from service.bigcommerce.clients.core_api import PER_PAGE
from service.configuration import load_configuration
from service.demo.orders import STORES_FILE, demo_orders
from service.errors import NotFound
from service.orders.document.batch_loader import MAX_SINGLES
from service.orders.document.id_ranges import id_ranges
from service.orders.document.loading import Document, read_order
from tests.fakes.stacks.loader_stack import (
    CONSIGNMENTS,
    LIST,
    LIST_METAFIELDS,
    LIST_PATHS,
    METAFIELDS,
    NOTHING,
    SINGLE,
    SINGLE_METAFIELDS,
    LoaderStack,
    ids_of,
    po_numbers,
)

# ── singles ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_order_takes_one_call(stack: LoaderStack) -> None:
    (order_id,) = await stack.place()

    (document,) = await stack.read([order_id])

    assert document["order"]["id"] == order_id
    assert document["metafields"] == {}
    assert stack.apis[0].calls == 1
    assert await stack.calls() == {SINGLE: 1}


async def test_an_order_with_metafields_takes_two_calls(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(1)

    (document,) = await stack.read(ids, METAFIELDS)

    assert document["metafields"] == {"checkout": {"po_number": "A-0"}}
    assert stack.apis[0].calls == 2
    assert await stack.calls() == {SINGLE: 1, SINGLE_METAFIELDS: 1}


async def test_a_few_orders_at_the_same_time_are_read_alone(stack: LoaderStack) -> None:
    ids = await stack.place(MAX_SINGLES)

    assert ids_of(await stack.read(ids)) == ids
    assert await stack.calls() == {SINGLE: MAX_SINGLES}


async def test_the_only_queued_order_is_read_alone(stack: LoaderStack) -> None:
    ids = await stack.place(MAX_SINGLES + 1)

    assert ids_of(await stack.read(ids)) == ids
    assert await stack.calls() == {SINGLE: MAX_SINGLES + 1}


async def test_a_missing_order_is_not_found(stack: LoaderStack) -> None:
    with pytest.raises(NotFound):
        await stack.read([4711], METAFIELDS)
    assert stack.apis[0].calls == 2


# ── batches ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_hundred_orders_take_a_few_singles_and_one_list(stack: LoaderStack) -> None:
    ids = await stack.place(100)

    documents = await stack.read(ids)

    assert ids_of(documents) == ids
    assert await stack.calls() == {SINGLE: MAX_SINGLES, LIST: 1}


async def test_the_metafields_of_a_hundred_orders_take_one_more_list(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(100)

    documents = await stack.read(ids, METAFIELDS)

    assert ids_of(documents) == ids
    assert po_numbers(documents) == [f"A-{number}" for number in range(100)]
    assert await stack.calls() == {SINGLE: MAX_SINGLES, SINGLE_METAFIELDS: MAX_SINGLES, LIST: 1, LIST_METAFIELDS: 1}


async def test_both_lists_are_requested_in_parallel(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(10)
    held = [stack.recorder.hold(path) for path in LIST_PATHS]
    reading = stack.start(ids, METAFIELDS)

    for path in LIST_PATHS:
        await stack.until_listed(path)
        assert len(stack.recorder.lists(path)) == 1

    for event in held:
        event.set()
    assert ids_of(await asyncio.gather(*reading)) == ids


async def test_the_calls_of_all_orders_add_up(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(50)

    await stack.read(ids, METAFIELDS)

    calls = [api.calls for api in stack.apis]
    assert sum(calls) == sum((await stack.calls()).values())
    assert calls == [2] * MAX_SINGLES + [2] + [0] * (50 - MAX_SINGLES - 1)


async def test_requests_during_a_batch_form_the_next_batch(stack: LoaderStack) -> None:
    ids = await stack.place(40)
    listed = stack.recorder.hold("/v2/orders")
    early = stack.start(ids[:20])
    await stack.until_listed("/v2/orders")
    late = stack.start(ids[20:])
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(stack.recorder.lists()) == 1

    listed.set()

    assert ids_of(await asyncio.gather(*early, *late)) == ids
    assert await stack.calls() == {SINGLE: MAX_SINGLES, LIST: 2}


async def test_after_a_burst_an_order_is_read_alone_again(stack: LoaderStack) -> None:
    *burst, straggler = await stack.place(21)
    await stack.read(burst)
    await stack.calls()

    await stack.read([straggler])

    assert await stack.calls() == {SINGLE: 1}


async def test_each_request_of_a_batch_gets_what_it_needs(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(12)
    needs = [NOTHING, METAFIELDS, CONSIGNMENTS] * 4

    started = [stack.start([order_id], need) for order_id, need in zip(ids, needs, strict=True)]
    documents = [await reading for (reading,) in started]

    for document, order_id, need in zip(documents, ids, needs, strict=True):
        assert document["order"]["id"] == order_id
        assert bool(document["metafields"]) is need.metafields
        assert document["products"] or not need.consignments
    assert (await stack.calls())[LIST] == 1


async def test_the_same_order_may_be_requested_twice(stack: LoaderStack) -> None:
    ids = await stack.place(10)

    assert ids_of(await stack.read(ids + ids)) == ids + ids
    assert await stack.calls() == {SINGLE: MAX_SINGLES, LIST: 1}


async def test_ids_far_apart_take_one_list_each(stack: LoaderStack) -> None:
    ids = await stack.place(600)
    low, high = ids[:5], ids[-5:]

    assert (
        ids_of(await stack.read(ids[100 : 100 + MAX_SINGLES] + low + high)) == ids[100 : 100 + MAX_SINGLES] + low + high
    )
    assert await stack.calls() == {SINGLE: MAX_SINGLES, LIST: 2}
    ranges = [(int(params["min_id"]), int(params["max_id"])) for params in stack.recorder.lists()]
    assert sorted(ranges) == [(low[0], low[-1]), (high[0], high[-1])]


async def test_more_orders_than_a_page_take_several_lists(stack: LoaderStack) -> None:
    ids = await stack.place(600)

    assert ids_of(await stack.read(ids)) == ids
    assert await stack.calls() == {SINGLE: MAX_SINGLES, LIST: 3}


async def test_an_order_far_from_all_others_is_read_alone(stack: LoaderStack) -> None:
    ids = await stack.place(600)
    apart = [ids[0], ids[300], ids[599]]

    assert ids_of(await stack.read(ids[100 : 100 + MAX_SINGLES] + apart)) == ids[100 : 100 + MAX_SINGLES] + apart
    assert await stack.calls() == {SINGLE: MAX_SINGLES + 3}


async def test_the_most_urgent_orders_go_first(stack: LoaderStack) -> None:
    ids = await stack.place(600)
    held = stack.recorder.hold(f"/v2/orders/{ids[0]}")
    running = stack.start([ids[0]] * MAX_SINGLES)
    order: list[int] = []

    def note(task: asyncio.Task[Document]) -> None:
        order.append(task.result()["order"]["id"])

    # Too far apart for a list, so each is read alone.
    later = stack.start([ids[1], ids[-1]], priority=Priority.RECOVER)
    urgent = stack.start([ids[300]], priority=Priority.CREATE)
    for task in (*later, *urgent):
        task.add_done_callback(note)
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(*running, *later, *urgent)

    assert order[0] == ids[300]


async def test_a_batch_gives_the_same_documents_as_single_reads(stack: LoaderStack, tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(STORES_FILE.format(sandbox="http://127.0.0.1:9100"))
    configuration = load_configuration(path, {"SANDBOX_ACCESS_TOKEN": "token", "SANDBOX_CLIENT_SECRET": "secret"})
    needs = configuration.stores["sandbox"].rules.needs
    ids = [(await stack.sandbox.place_order(**order.placement))["id"] for order in demo_orders(40)]

    together = await stack.read(ids, needs)

    assert LIST_METAFIELDS in await stack.calls()
    assert stack.recorder.lists("/v3/orders/metafields")[0]["namespace:in"] == "checkout"
    api = StoreApi(stack.transport, stack.account)
    assert together == [await read_order(api, order_id, needs) for order_id in ids]


# ── ranges of ids ─────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(1, 5000) | st.integers(1, 10**9), max_size=300))
def test_every_id_is_in_one_range_and_no_range_is_wider_than_a_list(ids: list[int]) -> None:
    ranges = id_ranges(ids)

    assert ranges.keys() == set(ids)
    assert all(order_id in found and len(found) <= PER_PAGE for order_id, found in ranges.items())
    different = sorted(set(ranges.values()), key=lambda found: found.start)
    assert all(one.stop <= other.start for one, other in pairwise(different))
    # No two neighbouring ranges could be one.
    assert all(other.start - one.start >= PER_PAGE for one, other in pairwise(different))


def test_ranges_begin_and_end_with_an_id() -> None:
    near, far = range(7, 12), range(1000, 1001)
    assert id_ranges([1000, 11, 7, 9]) == {7: near, 9: near, 11: near, 1000: far}
