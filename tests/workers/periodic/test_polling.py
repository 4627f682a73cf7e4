"""The polling fallback: when it starts, what it reads, and when it ends."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from service.bigcommerce.clients.core_api import Core
from service.orders.state.job_kinds import RECONCILE
from service.orders.state.keys import cursor_key, hook_key
from service.orders.state.queue import Webhook
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.workers.periodic.conftest import ReconciledStore
from tests.workers.stacks.stack import OpenStack, Stack
from workers.periodic import reconcile as module
from workers.periodic.cursor import OVERLAP_IDS, Cursor
from workers.periodic.polling import QUIET_S, PollingState
from workers.periodic.reconcile import Reconciler

HOUR_S = 3600.0


async def test_webhook_missing_after_ten_seconds_starts_polling(store: ReconciledStore) -> None:
    await store.stack.place()
    with capture_logs() as logs:
        assert await store.run(15.0) == 3.0
        await store.stack.place()
        assert await store.run(15.0) == 3.0
    started = [line for line in logs if line["event"] == "polling_started"]
    assert started == [
        {
            "event": "polling_started",
            "log_level": "warning",
            "store": STORE,
            "reason": "an order came without a webhook",
        }
    ]


async def test_webhook_that_may_still_arrive_does_not_start_polling(store: ReconciledStore) -> None:
    await store.stack.place()
    assert await store.run(8.0) == 60.0
    assert not await store.is_polled()


async def test_order_from_before_the_first_run_does_not_start_polling(stack: Stack) -> None:
    await stack.place(age=120.0)
    store = ReconciledStore(stack)
    await store.run()
    assert len(await store.jobs()) == 1
    await store.finish_all()
    late = await stack.place(age=100.0)
    await store.run(60.0)
    assert await store.jobs() == [f"recover:{STORE}:{late}"]
    assert not await store.is_polled()


async def test_polling_queues_every_order_within_seconds(store: ReconciledStore) -> None:
    await store.stack.place()
    await store.run(15.0)
    await store.finish_all()
    for _ in range(40):
        order_id = await store.stack.place()
        assert await store.run(3.0) == 3.0
        assert f"window:{STORE}:{order_id}" in await store.jobs()


async def test_polling_reads_only_the_newest_orders_between_full_lists(
    store: ReconciledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    orders_of = Core.orders

    async def spy(self: Core, **query: Any) -> list[dict[str, Any]]:
        asked.append(query["min_id"])
        return await orders_of(self, **query)

    monkeypatch.setattr(Core, "orders", spy)
    orders = [await store.stack.place() for _ in range(20)]
    await store.run(15.0)
    asked.clear()
    await store.run_for(123.0)

    assert asked.count(None) == 2, "the whole list, from the cursor on"
    assert set(asked) == {None, orders[-1] - OVERLAP_IDS}
    assert 38 <= len(asked) <= 44


async def test_polling_finds_an_order_that_appears_after_a_newer_one(store: ReconciledStore) -> None:
    behind, _ = await store.stack.place(), await store.stack.place()
    cursor = await Cursor.read(store.stack.redis, cursor_key(STORE))
    assert cursor is not None
    await cursor.model_copy(update={"highest_id": behind + 1}).write(store.stack.redis, cursor_key(STORE))
    await store.polling.start(STORE, "test")
    await store.run(3.0)
    assert f"window:{STORE}:{behind}" in await store.jobs()


async def test_burst_during_polling_is_read_at_once(store: ReconciledStore) -> None:
    await store.polling.start(STORE, "test")
    orders = [await store.stack.place() for _ in range(260)]
    assert await store.run(3.0) == 0.0
    assert await store.run() == 3.0
    assert len(await store.jobs()) == len(orders)


async def test_polling_ends_when_webhooks_arrive_in_time_again(store: ReconciledStore) -> None:
    await store.stack.place()
    await store.run(15.0)
    await store.finish_all()
    store.clock.tick(3.0)
    order_id = await store.stack.place()
    await store.webhook(order_id)

    await store.run_for(QUIET_S - 10)
    assert await store.is_polled(), "webhooks have not arrived for long enough"
    with capture_logs() as logs:
        await store.run_for(20.0)
    assert not await store.is_polled()
    ended = [line for line in logs if line["event"] == "polling_ended"]
    assert [(line["log_level"], line["reason"]) for line in ended] == [("info", "an order came without a webhook")]
    assert 60 <= ended[0]["lasted_s"] <= 75
    assert await store.run() == 60.0


async def test_polling_continues_while_no_webhook_arrives(store: ReconciledStore) -> None:
    await store.stack.place()
    await store.run(15.0)
    await store.run_for(10 * QUIET_S)
    assert await store.is_polled()


async def test_late_webhook_does_not_end_polling(store: ReconciledStore) -> None:
    order_id = await store.stack.place()
    await store.run(15.0)
    await store.resources.queue.accept(
        Webhook(STORE, order_id, "msg_1", "store/order/created", store.clock.now - 15.0, store.clock.now)
    )
    await store.run_for(2 * QUIET_S)
    assert await store.is_polled()


async def test_polling_continues_while_some_webhooks_are_missing(store: ReconciledStore) -> None:
    await store.stack.place()
    await store.run(15.0)
    for number in range(6):
        order_id = await store.stack.place()
        if number == 0:
            await store.webhook(order_id)
        await store.run_for(30.0)
        await store.finish_all()
    assert await store.is_polled()

    for _ in range(4):
        await store.webhook(await store.stack.place())
        await store.run_for(30.0)
    assert not await store.is_polled()


async def test_order_polled_before_its_webhook_arrives_is_not_a_missed_webhook(store: ReconciledStore) -> None:
    await store.polling.start(STORE, "test")
    for _ in range(60):
        order_id = await store.stack.place()
        await store.run()
        store.clock.tick(1.0)
        await store.webhook(order_id)
        store.clock.tick(2.0)
        await store.finish_all()
        if not await store.is_polled():
            break
    assert not await store.is_polled()


async def test_polling_continues_while_the_hook_monitor_reports_a_problem(store: ReconciledStore) -> None:
    await store.polling.start(STORE, "test")
    store.clock.tick(1.0)
    await store.webhook(await store.stack.place())
    await store.stack.redis.hset(hook_key(STORE), "troubles", '[["blocked", "hooks.example.com"]]')  # type: ignore[misc]
    await store.run_for(3 * QUIET_S)
    assert await store.is_polled()

    await store.stack.redis.hset(hook_key(STORE), "troubles", '[["foreign", "https://other.example.com"]]')  # type: ignore[misc]
    await store.run_for(10.0)
    assert not await store.is_polled()


async def test_long_list_is_read_to_its_end_during_polling(
    store: ReconciledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 1)
    await store.polling.start(STORE, "test")
    orders = [await store.stack.place() for _ in range(260)]
    assert await store.run(60.0) == 0.0
    # Polling has queued newer orders in the meantime. The rest of the list must still be read.
    cursor = await Cursor.read(store.stack.redis, cursor_key(STORE))
    assert cursor is not None
    await cursor.model_copy(update={"highest_id": orders[-1] + 1000, "time": store.clock.now}).write(
        store.stack.redis, cursor_key(STORE)
    )
    assert await store.run() == 3.0
    assert len(await store.jobs()) == len(orders)


NOW = 1_700_000_000.0
POLLING = PollingState(since=NOW, reason="test", missed_webhook_at=NOW)


def test_webhook_from_before_polling_does_not_end_it() -> None:
    assert not POLLING.is_over(NOW + 120, NOW - 1)
    assert not POLLING.is_over(NOW + 120, None)
    assert POLLING.is_over(NOW + 120, NOW + 1)


def test_missed_webhook_prolongs_polling() -> None:
    awaiting = POLLING.model_copy(update={"awaited_order_at": NOW + 100})
    assert awaiting.after_window(NOW + 110, NOW + 50) == awaiting, "its webhook may still arrive"
    assert not awaiting.is_over(NOW + 110, NOW + 50)
    assert awaiting.after_window(NOW + 111, NOW + 50) == POLLING.model_copy(update={"missed_webhook_at": NOW + 111})
    assert awaiting.after_window(NOW + 111, None) == POLLING.model_copy(update={"missed_webhook_at": NOW + 111})
    assert awaiting.after_window(NOW + 111, NOW + 101) == POLLING


async def test_polling_compares_orders_and_webhooks_on_one_clock(open_stack: OpenStack) -> None:
    store = ReconciledStore(await open_stack(faults={"clock_skew": HOUR_S}))
    await store.run()
    await store.polling.start(STORE, "test")
    await store.stack.place()
    placed_at = store.clock.now
    await store.run(2.0)
    polling = await store.polling.get(STORE)
    assert polling is not None
    assert polling.awaited_order_at == pytest.approx(placed_at, abs=1.5)


async def test_starting_polling_makes_the_job_due_now(store: ReconciledStore) -> None:
    redis, due = store.stack.redis, RECONCILE.id(STORE)
    await redis.zadd(RECONCILE.queue, {due: (store.clock.now + 50) * 1000})
    await store.polling.start(STORE, "test")
    assert await redis.zscore(RECONCILE.queue, due) == int(store.clock.now * 1000)

    await redis.zrem(RECONCILE.queue, due)
    await store.polling.start(STORE, "test")
    assert await redis.zscore(RECONCILE.queue, due) is None, "an id in the queue must have its job"


async def test_polling_that_starts_during_a_run_sets_the_next_interval(
    store: ReconciledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Reconciler._queue_missing

    async def meanwhile(self: Reconciler, *args: Any) -> int:
        await store.polling.start(STORE, "test")
        return await queue(self, *args)

    monkeypatch.setattr(Reconciler, "_queue_missing", meanwhile)
    assert await store.run() == 3.0
