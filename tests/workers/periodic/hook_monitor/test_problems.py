"""Which problems of webhooks are found, logged once, and lead to polling."""

from service.hooks import HookState, has_delivery_problem, set_destination
from service.orders.state.keys import hook_key
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.workers.periodic.hook_monitor.conftest import CREATED, OTHER, OURS, MonitoredStore, events
from tests.workers.stacks.stack import RULES, Stack


async def test_working_webhook_is_not_changed(store: MonitoredStore) -> None:
    await store.hook()
    assert await store.run() == (600.0, [])
    assert await store.run(600.0) == (600.0, [])
    assert await store.updates() == 0
    assert not await store.is_polled()
    assert not await has_delivery_problem(store.stack.redis, STORE)
    assert (await HookState.read(store.stack.redis, STORE)).destination == OURS


async def test_webhook_that_was_never_registered_is_a_warning_and_starts_polling(store: MonitoredStore) -> None:
    pause, logs = await store.run()
    assert pause == 30.0
    assert logs == [
        {"event": "polling_started", "log_level": "warning", "store": STORE, "reason": "webhook missing"},
        {"event": "hook_missing", "log_level": "warning", "scope": CREATED},
    ]
    assert await has_delivery_problem(store.stack.redis, STORE), "gauge and alert go by it"
    store.restart()
    assert await store.run(30.0) == (30.0, []), "it is logged once"


async def test_missing_webhook_is_an_error_and_starts_polling(store: MonitoredStore) -> None:
    await set_destination(store.stack.redis, STORE, OURS)
    pause, logs = await store.run()
    assert pause == 30.0
    assert logs == [
        {"event": "polling_started", "log_level": "warning", "store": STORE, "reason": "webhook missing"},
        {"event": "hook_missing", "log_level": "error", "scope": CREATED},
    ]
    assert await has_delivery_problem(store.stack.redis, STORE)

    store.restart()
    assert await store.run(30.0) == (30.0, []), "it is logged once"

    await store.hook()
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "missing", "what": CREATED}
    assert await store.run(30.0) == (600.0, [ok])
    assert not await has_delivery_problem(store.stack.redis, STORE)


async def test_webhooks_of_other_scopes_are_ignored(store: MonitoredStore) -> None:
    await store.hook()
    await store.hook("store/product/updated", OTHER)
    assert await store.run() == (600.0, [])


async def test_foreign_webhook_beside_ours_is_logged_and_does_no_harm(store: MonitoredStore) -> None:
    await store.hook()
    await store.run()
    other = await store.hook(destination="https://user:secret@elsewhere.example.com/hook?key=secret#secret")
    shown = "https://elsewhere.example.com/hook"
    line = {"event": "hook_foreign", "log_level": "warning", "destination": shown}
    assert await store.run(600.0) == (600.0, [line])
    assert await store.run(600.0) == (600.0, [])
    assert not await store.is_polled()

    await store.delete(other)
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "foreign", "what": shown}
    assert await store.run(600.0) == (600.0, [ok])


async def test_webhook_with_another_destination_counts_as_missing(store: MonitoredStore) -> None:
    hook_id = await store.hook()
    await store.run()
    await store.change(hook_id, destination=OTHER)
    pause, logs = await store.run(600.0)
    assert pause == 30.0
    assert [(line["event"], line["log_level"]) for line in events(logs)] == [
        ("hook_missing", "error"),
        ("hook_foreign", "warning"),
    ]
    assert await store.is_polled()


async def test_destination_is_the_one_with_the_receivers_path(store: MonitoredStore) -> None:
    await store.hook(destination="https://elsewhere.example.com/erp")
    await store.hook(destination=OTHER, is_active=False)
    await store.hook(destination=OURS)
    await store.run()
    assert (await HookState.read(store.stack.redis, STORE)).destination == OURS


async def test_configured_destination_is_never_changed(store: MonitoredStore) -> None:
    await store.stack.redis.hset(hook_key(STORE), "destination", "https://proxy.example.com/in")  # type: ignore[misc]
    await store.hook()
    _, logs = await store.run()
    assert [line["event"] for line in events(logs)] == ["hook_missing", "hook_foreign"]
    await store.hook(destination="https://proxy.example.com/in")
    _, logs = await store.run(30.0)
    assert [(line["event"], line["trouble"]) for line in logs] == [("hook_ok", "missing")]


async def test_new_destination_solves_the_problem_after_a_move(store: MonitoredStore) -> None:
    hook_id = await store.hook()
    await store.run()
    await store.change(hook_id, destination=OTHER)
    assert (await store.run(600.0))[0] == 30.0
    assert (await store.run(30.0))[0] == 30.0

    await set_destination(store.stack.redis, STORE, OTHER)
    pause, logs = await store.run(30.0)
    assert pause == 600.0
    assert sorted((line["event"], line["trouble"]) for line in logs) == [("hook_ok", "foreign"), ("hook_ok", "missing")]
    assert not await has_delivery_problem(store.stack.redis, STORE)
    assert await store.run(600.0) == (600.0, []), "the destination is still known"


async def test_webhook_with_wrong_headers_is_logged_once_and_not_changed(stack: Stack) -> None:
    headers = f'[stores.{STORE}.webhook_headers]\n"X-Key" = ["new-secret", "old-secret"]'
    store = MonitoredStore(stack, rules=headers + RULES)
    hook_id = await store.hook(headers={"X-Key": "wrong"})
    pause, logs = await store.run()
    assert pause == 30.0
    assert logs == [
        {"event": "polling_started", "log_level": "warning", "store": STORE, "reason": "webhook headers"},
        {"event": "hook_headers_differ", "log_level": "error", "scope": CREATED},
    ]
    assert await has_delivery_problem(stack.redis, STORE)
    store.restart()
    assert await store.run(30.0) == (30.0, []), "it is logged once"
    assert await store.updates() == 0

    await store.change(hook_id, headers={"x-key": "old-secret", "X-Proxy": "p"})
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "headers", "what": CREATED}
    assert await store.run(30.0) == (600.0, [ok])
