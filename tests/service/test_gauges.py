"""Gauges, read from Redis and exported to Prometheus."""

from pathlib import Path

from arq import ArqRedis
from arq.constants import in_progress_key_prefix
from redis import Redis as SyncRedis

from service.bigcommerce import Api, Budget, Priority
from service.gauges import Gauges, QueueState, State, StoreState, metrics_text
from service.hooks import HookProblem, ProblemKind, request_check_now, save_hook_state
from service.orders.state.job_kinds import WINDOW
from service.orders.state.keys import notify_queue_key, polling_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.pauses import Pauses
from service.orders.state.per_store.rule_values import RuleValues
from service.orders.state.queue import Queue
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.fakes.redis.failover import redis_on_tcp

NOW = 1_700_000_000.0


async def read(redis: ArqRedis, *stores: str) -> State:
    return await Gauges(redis, clock=lambda: NOW).read(stores)


async def due(redis: ArqRedis, order_id: int, ago_s: float) -> None:
    await Queue(redis, clock=lambda: NOW).enqueue("abc123", order_id, source="reconcile", created_at=NOW - ago_s)


async def test_an_empty_redis(redis: ArqRedis) -> None:
    state = await read(redis, "abc123")
    assert state.workers == 0
    assert set(state.queues.values()) == {QueueState(0, 0.0)}
    assert state.stores == {"abc123": StoreState(0, 0, is_polled=False, hook_problems=frozenset(), quota={})}


async def test_the_oldest_due_job_is_one_without_a_lease(redis: ArqRedis) -> None:
    for order_id, ago_s in ((1, 9.0), (2, 4.0), (3, 1.0)):
        await due(redis, order_id, ago_s)
    await redis.set(in_progress_key_prefix + WINDOW.id("abc123", 1), "a worker")
    assert (await read(redis)).queues["window"] == QueueState(3, 4.0)


async def test_a_job_that_is_not_due_is_not_overdue(redis: ArqRedis) -> None:
    await redis.zadd(WINDOW.queue, {"window:abc123:1": (NOW + 5) * 1000})
    assert (await read(redis)).queues["window"] == QueueState(1, 0.0)


async def test_live_workers_are_counted(redis: ArqRedis) -> None:
    await Queue(redis).heartbeat("a", 0)
    assert (await read(redis)).workers == 1


async def test_a_polled_store_whose_webhooks_a_person_has_changed_awaits_one(redis: ArqRedis) -> None:
    async def awaits() -> bool:
        return (await read(redis, "abc123")).stores["abc123"].awaits_webhook

    assert not await awaits()
    await redis.set(polling_key("abc123"), '{"since": 1.0, "reason": "webhook missing", "untold_at": 1.0}')
    assert not await awaits()
    await request_check_now(redis, "abc123")
    assert await awaits()
    # An order has come without a webhook since.
    await redis.set(polling_key("abc123"), '{"since": 1.0, "reason": "webhook missing", "untold_at": 9e12}')
    assert not await awaits()
    await redis.set(polling_key("abc123"), "[]")
    assert not await awaits()


async def test_messages_that_wait_are_counted(redis: ArqRedis) -> None:
    assert (await read(redis)).notifications == 0
    await redis.zadd(notify_queue_key(), {"a": 1, "b": 2})
    state = await read(redis)
    assert state.notifications == 2
    assert b"enrich_notifications_queued 2.0\n" in metrics_text(state)


async def test_rules_show_their_misses_once_these_are_too_many(redis: ArqRedis) -> None:
    values = RuleValues(redis)
    for _ in range(50):
        values.note("abc123", {"po_number": "1", "Cost Center": "1"}, ["Cost Center"])
    values.note("abc123", {"po_number": "1", "Cost Center": "1"}, [])
    await values.write()
    state = await read(redis, "abc123")
    assert state.stores["abc123"].rules == {"po_number": 51, "Cost Center": 0}
    text = metrics_text(state).decode()
    assert 'enrich_rule_without_values{rule="po_number",store="abc123"} 51.0' in text
    assert 'enrich_rule_without_values{rule="Cost Center",store="abc123"} 0.0' in text


async def test_each_store_has_its_failures_polling_and_hook_problems(redis: ArqRedis) -> None:
    transitions = Transitions(redis, clock=lambda: NOW)
    await transitions.finish(Entry("abc123", 7, Status.FAILED, "po_number"))
    await redis.set(polling_key("abc123"), "{}")
    await save_hook_state(
        redis, "abc123", None, [HookProblem(ProblemKind.INACTIVE, "store/order/created")], None, checked_at=NOW
    )

    stores = (await read(redis, "abc123", "other")).stores
    assert (stores["abc123"].failed, stores["abc123"].is_polled) == (1, True)
    assert stores["abc123"].hook_problems == {ProblemKind.INACTIVE}
    assert (stores["other"].failed, stores["other"].is_polled, stores["other"].hook_problems) == (
        0,
        False,
        frozenset(),
    )


async def test_orders_that_wait_for_a_value_are_counted_without_those_that_wait_for_their_status(
    redis: ArqRedis,
) -> None:
    transitions = Transitions(redis, clock=lambda: NOW)
    for order_id in (1, 2):
        await transitions.await_value(Entry("abc123", order_id), "Cost Center", retry_in=60.0)
    await transitions.await_status(Entry("abc123", 3), ask_in=60.0)

    state = await read(redis, "abc123", "other")

    assert {store: at.waiting for store, at in state.stores.items()} == {"abc123": 2, "other": 0}
    assert 'enrich_waiting_orders{store="abc123"} 2.0' in metrics_text(state).decode()


async def test_the_quota_is_reported_where_it_is_known(redis: ArqRedis) -> None:
    await Budget(redis).spend("abc123", Api.B2B, Priority.CREATE, operation="Create an Order")
    stores = (await read(redis, "abc123", "other")).stores
    assert {api: (quota.left, quota.limit) for api, quota in stores["abc123"].quota.items()} == {Api.B2B: (149, 150)}
    assert stores["other"].quota == {}


async def test_every_kind_of_hook_problem_is_exported_also_without_one(redis: ArqRedis) -> None:
    await save_hook_state(
        redis, "abc123", None, [HookProblem(ProblemKind.BLOCKED, "enrich.example.com")], None, checked_at=NOW
    )
    lines = metrics_text(await read(redis, "abc123")).decode().splitlines()
    exported = {line for line in lines if line.startswith("enrich_hook_trouble")}
    assert 'enrich_hook_trouble{kind="blocked",store="abc123"} 1.0' in exported
    assert 'enrich_hook_trouble{kind="missing",store="abc123"} 0.0' in exported
    assert len(exported) == len(ProblemKind)


async def test_memory_of_redis_and_its_limit(redis: ArqRedis) -> None:
    assert (await read(redis)).redis_memory.keys() == {"used"}
    await redis.config_set("maxmemory", 1_000_000_000)
    try:
        state = await read(redis)
    finally:
        await redis.config_set("maxmemory", 0)
    assert state.redis_memory["limit"] == 1_000_000_000
    assert 'enrich_redis_memory_bytes{kind="limit"} 1e+09' in metrics_text(state).decode()


async def test_memory_is_left_out_and_asked_for_once_where_info_is_forbidden(tmp_path: Path) -> None:
    with redis_on_tcp(tmp_path) as port, SyncRedis(port=port) as admin:
        admin.execute_command("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all", "-@dangerous")
        async with connect(f"redis://shop:secret@127.0.0.1:{port}") as redis:
            gauges = Gauges(redis, clock=lambda: NOW)
            for _ in range(3):
                state = await gauges.read([])
                assert state.redis_memory == {}
        (refusal,) = admin.acl_log()
    assert int(refusal["count"]) == 1
    assert b"redis_memory_bytes{" not in metrics_text(state)


async def test_a_paused_store_and_its_held_orders_are_shown(redis: ArqRedis) -> None:
    await Pauses(redis).begin("abc123", "ana")
    await Transitions(redis, clock=lambda: NOW).hold(Entry("abc123", 7), writes_off=False)
    state = await read(redis, "abc123", "other")

    assert [(at.is_paused, at.held) for at in state.stores.values()] == [(True, 1), (False, 0)]
    text = metrics_text(state).decode()
    assert 'enrich_paused{store="abc123"} 1.0' in text
    assert 'enrich_held_orders{store="abc123"} 1.0' in text
