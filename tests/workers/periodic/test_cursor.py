"""The cursor: where reading a store's list of orders starts, continues and ends."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from service.bigcommerce.clients.core_api import Core
from service.orders.state.keys import cursor_key
from service.orders.state.queue import Queue
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.workers.periodic.conftest import ReconciledStore
from tests.workers.stacks.stack import OpenStack, Stack
from workers.periodic import reconcile as module
from workers.periodic.cursor import OVERLAP_S, Cursor

HOUR_S = 3600.0


async def test_first_run_does_not_read_old_orders(stack: Stack) -> None:
    await stack.place(age=OVERLAP_S + 60)
    recent = await stack.place(age=OVERLAP_S - 60)
    store = ReconciledStore(stack)
    await store.run()
    assert await store.jobs() == [f"recover:{STORE}:{recent}"]


async def test_failed_first_run_does_not_move_the_start(open_stack: OpenStack) -> None:
    stack = await open_stack(faults={"error_rate": 1.0})
    store = ReconciledStore(stack)
    assert await store.run() < 60.0
    order_id = await stack.place()
    await stack.sandbox.faults()
    await store.run(HOUR_S)
    assert await store.jobs() == [f"recover:{STORE}:{order_id}"]


async def test_order_that_appears_late_is_found(store: ReconciledStore) -> None:
    await store.run(60.0)
    late = await store.stack.place(age=OVERLAP_S - 10)
    await store.run(5.0)
    assert await store.jobs() == [f"recover:{STORE}:{late}"]


async def test_restart_continues_at_the_cursor(store: ReconciledStore) -> None:
    orders = []
    for _ in range(5):
        store.clock.tick(10 * HOUR_S)
        orders.append(await store.stack.place())
    store.clock.tick(10 * HOUR_S)

    store.restart()
    await store.run()

    assert await store.jobs() == [f"recover:{STORE}:{order_id}" for order_id in orders]


async def test_many_orders_are_read_page_by_page(store: ReconciledStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if all were created in the same second, and another worker reads each page."""
    monkeypatch.setattr(module, "MAX_PAGES", 1)
    orders = [await store.stack.place() for _ in range(510)]
    lists = await store.lists()

    assert await store.run(1.0) == 0.0
    assert len(await store.jobs()) == 250
    store.restart()
    assert await store.run() == 0.0
    store.restart()
    assert await store.run() == 60.0

    assert sorted(await store.jobs()) == sorted(f"window:{STORE}:{order_id}" for order_id in orders)
    assert await store.lists() - lists == 4, "three by date, and one by id"

    new = await store.stack.place()
    store.clock.tick(60.0)
    while not await store.run():
        pass
    assert f"recover:{STORE}:{new}" in await store.jobs()


async def test_list_that_repeats_a_page_is_not_read_for_ever(
    store: ReconciledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def the_same_page(*_: Any, **__: Any) -> list[dict[str, Any]]:
        return [{"id": order_id} for order_id in range(1, 251)]

    monkeypatch.setattr(Core, "orders", the_same_page)
    assert await store.run() == 60.0
    await store.polling.start(STORE, "test")
    assert await store.run(3.0) == 3.0


async def test_cursor_moves_only_after_all_found_orders_are_queued(
    store: ReconciledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [await store.stack.place() for _ in range(3)]
    before = await Cursor.read(store.stack.redis, cursor_key(STORE))
    enqueue = Queue.enqueue

    async def fail_at_the_second(self: Queue, hash_: str, order_id: int, **more: Any) -> Any:
        if order_id == orders[1]:
            raise RedisConnectionError
        return await enqueue(self, hash_, order_id, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Queue, "enqueue", fail_at_the_second)
        assert await store.run(5.0) < 5.0
    assert await store.jobs() == [f"window:{STORE}:{orders[0]}"]
    assert await Cursor.read(store.stack.redis, cursor_key(STORE)) == before

    await store.run(HOUR_S)
    assert {job.rpartition(":")[2] for job in await store.jobs()} == {str(order_id) for order_id in orders}


@pytest.mark.parametrize("skew", [-2 * HOUR_S, 2 * HOUR_S])
async def test_wrong_local_clock_does_not_matter(open_stack: OpenStack, skew: float) -> None:
    stack = await open_stack(faults={"clock_skew": skew})
    store = ReconciledStore(stack)
    await store.run()
    for _ in range(3):
        order_id = await stack.place()
        store.restart()
        await store.run(5.0)
        entry = await store.entry(order_id)
        assert entry is not None
        store.clock.tick(55.0)
    assert not await store.is_polled()


async def test_unreadable_cursor_is_replaced(store: ReconciledStore) -> None:
    await store.stack.redis.set(cursor_key(STORE), '{"time": "long ago"}')
    order_id = await store.stack.place()
    assert await store.run(5.0) == 60.0
    assert await store.entry(order_id) is not None
