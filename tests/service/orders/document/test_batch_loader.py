"""Orders read for many at once, against a sandbox: what each gets, and how few calls it takes."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bigcommerce import Priority, StoreApi
from service.bigcommerce.core import PER_PAGE
from service.configuration import load_configuration
from service.demo.orders import STORES_FILE, demo_orders
from service.errors import NotFound
from service.orders.document.batch_loader import SINGLES, id_ranges
from service.orders.document.loading import Document, read_order
from tests.fakes.loader_stack import (
    CONSIGNMENTS,
    LIST,
    LIST_METAFIELDS,
    LIST_PATHS,
    METAFIELDS,
    NOTHING,
    SINGLE,
    SINGLE_METAFIELDS,
    House,
    ids_of,
    po_numbers,
)

# ── few ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_order_is_one_call(house: House) -> None:
    (order_id,) = await house.place()

    (document,) = await house.read([order_id])

    assert document["order"]["id"] == order_id
    assert document["metafields"] == {}
    assert house.apis[0].calls == 1
    assert await house.calls() == {SINGLE: 1}


async def test_an_order_that_needs_its_metafields_is_two_calls(house: House) -> None:
    ids = await house.place_with_metafields(1)

    (document,) = await house.read(ids, METAFIELDS)

    assert document["metafields"] == {"checkout": {"po_number": "A-0"}}
    assert house.apis[0].calls == 2
    assert await house.calls() == {SINGLE: 1, SINGLE_METAFIELDS: 1}


async def test_a_few_at_the_same_time_are_read_by_themselves(house: House) -> None:
    ids = await house.place(SINGLES)

    assert ids_of(await house.read(ids)) == ids
    assert await house.calls() == {SINGLE: SINGLES}


async def test_an_order_that_is_alone_in_waiting_is_read_by_itself(house: House) -> None:
    ids = await house.place(SINGLES + 1)

    assert ids_of(await house.read(ids)) == ids
    assert await house.calls() == {SINGLE: SINGLES + 1}


async def test_an_order_that_is_not_there_is_not_found(house: House) -> None:
    with pytest.raises(NotFound):
        await house.read([4711], METAFIELDS)
    assert house.apis[0].calls == 2


# ── many ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_hundred_orders_are_a_few_singles_and_one_list(house: House) -> None:
    ids = await house.place(100)

    documents = await house.read(ids)

    assert ids_of(documents) == ids
    assert await house.calls() == {SINGLE: SINGLES, LIST: 1}


async def test_the_metafields_of_a_hundred_orders_are_one_more_list(house: House) -> None:
    ids = await house.place_with_metafields(100)

    documents = await house.read(ids, METAFIELDS)

    assert ids_of(documents) == ids
    assert po_numbers(documents) == [f"A-{number}" for number in range(100)]
    assert await house.calls() == {SINGLE: SINGLES, SINGLE_METAFIELDS: SINGLES, LIST: 1, LIST_METAFIELDS: 1}


async def test_both_lists_go_out_at_the_same_time(house: House) -> None:
    ids = await house.place_with_metafields(10)
    held = [house.wire.hold(path) for path in LIST_PATHS]
    reading = house.start(ids, METAFIELDS)

    for path in LIST_PATHS:
        await house.until_asked(path)
        assert len(house.wire.lists(path)) == 1

    for event in held:
        event.set()
    assert ids_of(await asyncio.gather(*reading)) == ids


async def test_the_calls_of_all_orders_add_up(house: House) -> None:
    ids = await house.place_with_metafields(50)

    await house.read(ids, METAFIELDS)

    calls = [api.calls for api in house.apis]
    assert sum(calls) == sum((await house.calls()).values())
    assert calls == [2] * SINGLES + [2] + [0] * (50 - SINGLES - 1)


async def test_those_that_come_during_a_batch_are_the_next_one(house: House) -> None:
    ids = await house.place(40)
    listed = house.wire.hold("/v2/orders")
    early = house.start(ids[:20])
    await house.until_asked("/v2/orders")
    late = house.start(ids[20:])
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(house.wire.lists()) == 1

    listed.set()

    assert ids_of(await asyncio.gather(*early, *late)) == ids
    assert await house.calls() == {SINGLE: SINGLES, LIST: 2}


async def test_after_a_burst_an_order_is_read_by_itself_again(house: House) -> None:
    *burst, straggler = await house.place(21)
    await house.read(burst)
    await house.calls()

    await house.read([straggler])

    assert await house.calls() == {SINGLE: 1}


async def test_each_gets_what_it_needs_when_needs_are_mixed(house: House) -> None:
    ids = await house.place_with_metafields(12)
    needs = [NOTHING, METAFIELDS, CONSIGNMENTS] * 4

    started = [house.start([order_id], need) for order_id, need in zip(ids, needs, strict=True)]
    documents = [await reading for (reading,) in started]

    for document, order_id, need in zip(documents, ids, needs, strict=True):
        assert document["order"]["id"] == order_id
        assert bool(document["metafields"]) is need.metafields
        assert document["products"] or not need.consignments
    assert (await house.calls())[LIST] == 1


async def test_the_same_order_may_be_wanted_twice(house: House) -> None:
    ids = await house.place(10)

    assert ids_of(await house.read(ids + ids)) == ids + ids
    assert await house.calls() == {SINGLE: SINGLES, LIST: 1}


async def test_a_list_reaches_no_further_than_it_is_long(house: House) -> None:
    ids = await house.place(600)
    low, high = ids[:5], ids[-5:]

    assert ids_of(await house.read(ids[100 : 100 + SINGLES] + low + high)) == ids[100 : 100 + SINGLES] + low + high
    assert await house.calls() == {SINGLE: SINGLES, LIST: 2}
    ranges = [(int(params["min_id"]), int(params["max_id"])) for params in house.wire.lists()]
    assert sorted(ranges) == [(low[0], low[-1]), (high[0], high[-1])]


async def test_more_orders_than_one_list_shows_are_read_with_several(house: House) -> None:
    ids = await house.place(600)

    assert ids_of(await house.read(ids)) == ids
    assert await house.calls() == {SINGLE: SINGLES, LIST: 3}


async def test_an_order_without_any_other_in_reach_is_read_by_itself(house: House) -> None:
    ids = await house.place(600)
    apart = [ids[0], ids[300], ids[599]]

    assert ids_of(await house.read(ids[100 : 100 + SINGLES] + apart)) == ids[100 : 100 + SINGLES] + apart
    assert await house.calls() == {SINGLE: SINGLES + 3}


async def test_the_most_urgent_orders_go_first(house: House) -> None:
    ids = await house.place(600)
    held = house.wire.hold(f"/v2/orders/{ids[0]}")
    running = house.start([ids[0]] * SINGLES)
    order: list[int] = []

    def note(task: asyncio.Task[Document]) -> None:
        order.append(task.result()["order"]["id"])

    # Too far apart for a list: each has to go by itself.
    later = house.start([ids[1], ids[-1]], priority=Priority.RECOVER)
    urgent = house.start([ids[300]], priority=Priority.CREATE)
    for task in (*later, *urgent):
        task.add_done_callback(note)
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(*running, *later, *urgent)

    assert order[0] == ids[300]


async def test_demo_orders_make_the_same_documents_together_as_one_by_one(house: House, tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(STORES_FILE.format(sandbox="http://127.0.0.1:9100"))
    configuration = load_configuration(path, {"SANDBOX_ACCESS_TOKEN": "token", "SANDBOX_CLIENT_SECRET": "secret"})
    needs = configuration.stores["sandbox"].rules.needs
    ids = [(await house.sandbox.place_order(**order.placement))["id"] for order in demo_orders(40)]

    together = await house.read(ids, needs)

    assert LIST_METAFIELDS in await house.calls()
    assert house.wire.lists("/v3/orders/metafields")[0]["namespace:in"] == "checkout"
    api = StoreApi(house.transport, house.account)
    assert together == [await read_order(api, order_id, needs) for order_id in ids]


# ── ranges of ids ─────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(1, 5000) | st.integers(1, 10**9), max_size=300))
def test_every_id_is_in_one_range_and_no_range_is_wider_than_a_list(ids: list[int]) -> None:
    ranges = id_ranges(ids)

    assert ranges.keys() == set(ids)
    assert all(order_id in found and len(found) <= PER_PAGE for order_id, found in ranges.items())
    different = sorted(set(ranges.values()), key=lambda found: found.start)
    assert all(one.stop <= other.start for one, other in pairwise(different))
    # No two neighbours could have been one.
    assert all(other.start - one.start >= PER_PAGE for one, other in pairwise(different))


def test_ranges_begin_and_end_with_an_id() -> None:
    near, far = range(7, 12), range(1000, 1001)
    assert id_ranges([1000, 11, 7, 9]) == {7: near, 9: near, 11: near, 1000: far}
