"""Reconciling: which orders are queued, and what happens on errors."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from service.bigcommerce import Account, Api, Priority
from service.bigcommerce.clients.core_api import Core
from service.errors import OutOfBudget
from service.orders.state.job_kinds import RECOVERY, WINDOW
from service.orders.state.keys import cursor_key, waiting_key
from service.orders.state.order_entry import Entry, Stage, Status
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.workers.periodic.conftest import ReconciledStore
from tests.workers.stacks.stack import Stack
from workers.periodic.reconcile import Reconciler

HOUR_S = 3600.0


async def test_order_whose_webhook_was_lost_is_queued(store: ReconciledStore) -> None:
    order_id = await store.stack.place()
    placed_at = store.clock.now
    assert await store.run(5.0) == 60.0

    assert await store.jobs() == [f"window:{STORE}:{order_id}"]
    entry = await store.entry(order_id)
    assert entry is not None
    assert entry.source == "reconcile"
    assert entry.times[Stage.CREATED] == int(placed_at)


async def test_guest_order_is_queued_too(store: ReconciledStore) -> None:
    order_id = await store.stack.place(customer_id=0)
    await store.run(5.0)
    assert await store.jobs() == [f"window:{STORE}:{order_id}"]


async def test_found_orders_are_logged_in_one_line(store: ReconciledStore) -> None:
    ids = [await store.stack.place() for _ in range(3)]
    with capture_logs() as logs:
        await store.run(5.0)
        await store.run(60.0)
    assert [line for line in logs if line["event"] != "upstream_call"] == [
        {"event": "orders_found", "log_level": "info", "orders": 3, "first": ids[0], "last": ids[-1]},
    ]


async def test_known_orders_are_not_touched(store: ReconciledStore) -> None:
    queued, finished, waiting = [await store.stack.place() for _ in range(3)]
    await store.webhook(queued)
    await store.store_entry(Entry(STORE, finished, status=Status.FAILED))
    await store.store_entry(Entry(STORE, waiting, status=Status.WAITING))
    before = await dump_all(store)

    await store.run(5.0)

    after = await dump_all(store)
    assert {key for key in after if before.get(key) != after[key]} == {cursor_key(STORE).encode()}
    assert await store.jobs() == [f"window:{STORE}:{queued}"]


async def test_order_whose_job_was_lost_is_requeued(store: ReconciledStore) -> None:
    order_id = await store.stack.place()
    await store.webhook(order_id)
    await store.stack.redis.delete(WINDOW.key(STORE, order_id), WINDOW.queue)

    await store.run(5.0)

    assert await store.jobs() == [f"window:{STORE}:{order_id}"]
    assert not await store.is_polled(), "its webhook did arrive"


async def test_order_is_queued_once(store: ReconciledStore) -> None:
    await store.stack.place()
    await store.run(5.0)
    await store.finish_all()
    for _ in range(6):
        await store.run(60.0)
    assert await store.jobs() == []


async def dump_all(store: ReconciledStore) -> dict[bytes, bytes | None]:
    return {key: await store.stack.redis.dump(key) for key in await store.stack.redis.keys("*")}


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_answer_of_bigcommerce_ends_the_task(store: ReconciledStore) -> None:
    order_id = await store.stack.place()
    for faults in (
        {"error_rate": 1.0},
        {"refuse_credentials": [STORE]},
        {"lost_answer_rate": 1.0, "lost_answer_as": "504"},
    ):
        await store.stack.sandbox.faults(**faults)
        assert 0.0 < await store.run(1.0) <= 60.0
    await store.stack.sandbox.faults()
    await store.run(1.0)
    assert await store.entry(order_id) is not None


async def test_unreadable_orders_are_left_out(store: ReconciledStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def odd_orders(*_: Any, **__: Any) -> list[dict[str, Any]]:
        return [{}, {"id": None}, {"id": "77"}, {"id": 78, "date_created": 5}, {"id": 79, "date_created": "soon"}]

    monkeypatch.setattr(Core, "orders", odd_orders)
    await store.run(5.0)
    assert sorted(await store.jobs()) == [f"window:{STORE}:{order_id}" for order_id in (77, 78, 79)]


async def test_task_ends_for_a_removed_store(stack: Stack) -> None:
    before = await stack.redis.keys("*")
    assert await Reconciler(stack.resources(), clock=stack.clock).run({}, "nobody") is None  # type: ignore[func-returns-value]
    assert await stack.redis.keys("*") == before


async def test_no_call_is_made_while_credentials_are_refused(store: ReconciledStore) -> None:
    await store.resources.breaker.open(STORE)
    lists = await store.lists()
    assert await store.run(60.0) == 60.0
    assert await store.lists() == lists


async def test_reconciling_has_the_lowest_priority_and_polling_does_not(
    store: ReconciledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Priority] = []

    async def no_budget(account: Account, api: Api, priority: Priority, *, operation: str, calls: int = 1) -> None:
        asked.append(priority)
        raise OutOfBudget(operation, seconds=7.0)

    monkeypatch.setattr(store.stack.transport, "spend", no_budget)
    assert await store.run() == 7.0
    await store.polling.start(STORE, "test")
    assert await store.run() == 7.0
    assert asked == [Priority.BACKGROUND, Priority.VERIFY]


async def test_runs_of_stores_are_spread(store: ReconciledStore) -> None:
    store.job = Reconciler(store.resources, clock=store.clock)

    pauses = [await store.run() for _ in range(20)]

    assert len(set(pauses)) > 10
    assert 48.0 <= min(pauses) <= max(pauses) <= 60.0


# ── orders that wait for their status ─────────────────────────────────────────────────────────────────────────────────


async def test_order_that_waits_long_for_its_status_is_checked(store: ReconciledStore) -> None:
    transitions = store.resources.transitions
    for order_id, ask_in in ((1, 90.0), (2, 900.0)):
        entry, _ = await transitions.begin_attempt(STORE, order_id)
        assert await transitions.await_status(entry, ask_in=ask_in)

    await store.run(60.0)
    assert await store.jobs() == []
    await store.run(60.0)
    assert await store.jobs() == [RECOVERY.id(STORE, 1)]
    assert await store.resources.awaiting_status.due(STORE, most=10, ahead_s=HOUR_S) == [2]
    assert not await store.is_polled(), "an unchanged status does not mean that a webhook was missed"


async def test_an_order_that_waits_no_more_is_not_awaited_order_at(store: ReconciledStore) -> None:
    await store.store_entry(Entry(STORE, 1, status=Status.CREATED))
    await store.stack.redis.zadd(waiting_key(STORE), {"1": 0, "2": 0})

    await store.run(60.0)

    assert await store.jobs() == []
    assert await store.resources.awaiting_status.due(STORE, most=10) == []


@pytest.mark.parametrize(("writes", "paused", "released"), [("on", False, 1), ("on", True, 0), ("off", False, 0)])
async def test_held_orders_go_on_as_soon_as_something_may_be_written(
    stack: Stack, writes: str, paused: bool, released: int
) -> None:
    store = ReconciledStore(stack)
    store.resources = stack.resources(writes=writes)
    store.restart()
    order_id = await stack.place()
    await stack.transitions.hold(stack.entry(order_id), writes_off=True)
    if paused:
        await store.resources.pauses.begin(STORE, "ana")
    await store.run(5.0)

    assert len(await store.jobs()) == released
    assert await store.resources.held.count(STORE) == 1 - released
