"""When the task runs again, and what ends it."""

import time

import pytest

from service.bigcommerce import Account, Api, Priority
from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.clients.hooks import Hook, read_hooks
from service.errors import OutOfBudget
from service.hooks import request_check_now
from service.orders.state.job_kinds import MONITOR_HOOKS
from service.orders.state.keys import hook_key
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.workers.periodic.hook_monitor.conftest import MonitoredStore, events
from tests.workers.stacks.stack import Stack
from workers.periodic import hook_monitor
from workers.periodic.hook_monitor import DAY_S
from workers.periodic.periodic_task import ensure_periodic_jobs


async def test_no_answer_of_bigcommerce_ends_the_task(store: MonitoredStore) -> None:
    await store.hook()
    for faults in (
        {"error_rate": 1.0},
        {"refuse_credentials": [STORE]},
        {"lost_answer_rate": 1.0, "lost_answer_as": "504"},
    ):
        await store.stack.sandbox.faults(**faults)
        pause, logs = await store.run()
        assert 0.0 < pause <= 600.0
        assert {line["event"] for line in logs} <= {"periodic_task_postponed"}
    await store.stack.sandbox.faults()
    assert await store.run() == (600.0, [])


async def test_problem_that_could_not_be_fixed_at_first_is_logged_when_it_is_fixed(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hook(is_active=False)
    await store.stack.sandbox.faults(error_rate=1.0, operations=["Update a Webhook"])
    pause, logs = await store.run()
    assert pause <= 2.0
    assert [line["event"] for line in logs] == ["polling_started", "periodic_task_postponed"]
    await store.stack.sandbox.faults()
    _, logs = await store.run()
    assert [line["event"] for line in logs] == ["hook_reactivated"]


async def test_run_waits_for_quota_and_does_not_start_again(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hook(is_active=False)
    asked: list[tuple[str, Priority]] = []

    async def budget(_: Account, api: Api, priority: Priority, *, operation: str, calls: int = 1) -> None:
        asked.append((operation, priority))
        if len(asked) % 2:
            raise OutOfBudget(operation, seconds=4.0)

    monkeypatch.setattr(store.stack.transport, "spend", budget)
    began = store.clock.now
    pause, logs = await store.run()
    assert pause == 30.0
    assert [line["event"] for line in events(logs)] == ["hook_reactivated"]
    assert 12.0 <= store.clock.now - began < 13.0
    assert asked == [
        *2 * [("Get Webhooks", Priority.BACKGROUND)],
        *2 * [("Get Admin Info", Priority.BACKGROUND)],
        *2 * [("Update a Webhook", Priority.VERIFY)],
    ]


async def test_run_does_not_wait_for_ever(store: MonitoredStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def nothing_left(_: Account, api: Api, __: Priority, *, operation: str, calls: int = 1) -> None:
        asked.append(operation)
        raise OutOfBudget(operation, seconds=20.0 if len(asked) <= 10 else 50.0)

    monkeypatch.setattr(store.stack.transport, "spend", nothing_left)
    assert (await store.run())[0] == 20.0
    assert len(asked) == 6
    asked.clear()
    asked += 10 * ["before"]
    assert (await store.run())[0] == 50.0
    assert len(asked) == 11


async def test_no_call_is_made_while_credentials_are_refused(store: MonitoredStore) -> None:
    await store.resources.breaker.open(STORE)
    before = await store.stack.sandbox.calls()
    assert await store.run() == (600.0, [])
    assert await store.stack.sandbox.calls() == before


async def test_task_ends_for_a_removed_store(store: MonitoredStore) -> None:
    before = await store.stack.redis.keys("*")
    await store.monitor.run({}, "nobody")
    assert await store.stack.redis.keys("*") == before


@pytest.mark.parametrize("way", ["paused", "off"])
async def test_nothing_is_repaired_while_nothing_may_be_written_for_the_store(stack: Stack, way: str) -> None:
    store = MonitoredStore(stack, **({"writes": "off"} if way == "off" else {}))
    hook_id = await store.hook(is_active=False)
    if way == "paused":
        await store.resources.pauses.begin(STORE, "ana")
    _, logs = await store.run()
    _, later = await store.run(90 * DAY_S)

    assert [(line["event"], line["reason"]) for line in events(logs)] == [
        ("hook_not_reactivated", "nothing is written for this store now")
    ]
    assert events(later) == []
    assert await store.updates() == 0
    assert not (await store.hooks())[hook_id]["is_active"]
    assert await store.is_polled()

    if way == "paused":
        await store.resources.pauses.end(STORE)
        await store.run(30.0)
        assert (await store.hooks())[hook_id]["is_active"]


async def test_webhooks_that_a_person_changes_during_a_run_are_looked_at_again_soon(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hook()

    async def then_changed(core: Core) -> list[Hook]:
        found = await read_hooks(core)
        store.clock.tick(1.0)
        await store.stack.redis.hset(hook_key(STORE), "requested_at", str(store.clock()))  # type: ignore[misc]
        return found

    monkeypatch.setattr(hook_monitor, "read_hooks", then_changed)
    assert (await store.run())[0] == hook_monitor.CHANGED_MEANWHILE_S
    monkeypatch.setattr(hook_monitor, "read_hooks", read_hooks)
    assert (await store.run(0.5))[0] == 600.0


async def test_a_person_makes_the_task_due_now(store: MonitoredStore) -> None:
    redis = store.stack.redis
    await ensure_periodic_jobs(redis, [STORE], clock=lambda: time.time() + 600)
    await request_check_now(redis, STORE)
    due = await redis.zscore(MONITOR_HOOKS.queue, MONITOR_HOOKS.id(STORE))
    assert due is not None
    assert due / 1000 <= time.time()
    await request_check_now(redis, "unknown")
    assert await redis.zscore(MONITOR_HOOKS.queue, MONITOR_HOOKS.id("unknown")) is None
