"""Reconciling by id: whoever makes an order by API can set its date, and its webhook may get lost as well."""

import pytest

from service.orders.state.order_entry import Stage
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.workers.periodic.conftest import ReconciledStore
from tests.workers.stacks.stack import Stack
from workers.periodic import reconcile as module
from workers.periodic.cursor import OVERLAP_S

YEAR_S = 365 * 86_400.0


@pytest.mark.parametrize("date_offset", [-7 * YEAR_S, -3600.0])
async def test_a_backdated_order_whose_webhook_was_lost_is_found_within_the_interval(
    store: ReconciledStore, date_offset: float
) -> None:
    order_id = await store.stack.place(date_offset=date_offset)

    await store.run(60.0)

    assert await store.jobs() == [f"recover:{STORE}:{order_id}"]
    entry = await store.entry(order_id)
    assert entry is not None
    assert entry.source == "reconcile"


async def test_an_order_dated_ahead_is_found_and_does_not_count_as_one_of_the_future(store: ReconciledStore) -> None:
    order_id = await store.stack.place(date_offset=3600.0)

    await store.run(60.0)

    entry = await store.entry(order_id)
    assert entry is not None
    assert Stage.CREATED not in entry.times


async def test_an_order_dated_ahead_does_not_make_every_run_wait_for_its_webhook(store: ReconciledStore) -> None:
    await store.stack.place(date_offset=3600.0)
    await store.run(60.0)
    await store.finish_all()

    assert [await store.run(60.0) for _ in range(5)] == [60.0] * 5


async def test_the_first_run_queues_no_old_order_by_its_id(stack: Stack) -> None:
    old = [await stack.place(age=OVERLAP_S + 60) for _ in range(3)]
    store = ReconciledStore(stack)
    await store.run()
    backdated = await stack.place(date_offset=-YEAR_S)
    await store.run(60.0)
    await store.polling.start(STORE, "test")
    await store.run(3.0)

    assert await store.jobs() == [f"recover:{STORE}:{backdated}"]
    assert backdated > max(old)


async def test_the_first_order_of_an_empty_store_is_found_by_its_id(stack: Stack) -> None:
    store = ReconciledStore(stack)
    await store.run()
    order_id = await stack.place(date_offset=-YEAR_S)
    await store.run(60.0)

    assert await store.jobs() == [f"recover:{STORE}:{order_id}"]


async def test_many_backdated_orders_are_found_page_by_page(
    store: ReconciledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 1)
    orders = [await store.stack.place(date_offset=-YEAR_S) for _ in range(300)]

    await store.run(60.0)
    store.restart()
    await store.run(60.0)

    assert sorted(await store.jobs()) == sorted(f"recover:{STORE}:{order_id}" for order_id in orders)


async def test_polling_finds_a_backdated_order(store: ReconciledStore) -> None:
    await store.stack.place()
    await store.run(5.0)
    await store.finish_all()
    await store.polling.start(STORE, "test")
    order_id = await store.stack.place(date_offset=-YEAR_S)

    await store.run(3.0)

    assert await store.jobs() == [f"recover:{STORE}:{order_id}"]
