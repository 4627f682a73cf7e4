"""Webhooks that are off are switched on again, and idle ones are kept from expiring."""

import pytest

from service.bigcommerce.clients.core_api import Core
from service.errors import Refused
from service.orders.state.keys import webhook_seen_key
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.fakes.webhooks import answering, refusing
from tests.workers.periodic.hook_monitor.conftest import CREATED, OTHER, OURS, MonitoredStore, events
from workers.periodic.hook_monitor import DAY_S


async def test_deactivated_webhook_is_reactivated(store: MonitoredStore) -> None:
    hook_id = await store.hook()
    await store.run()
    await store.change(hook_id, is_active=False)

    pause, logs = await store.run(600.0)

    assert pause == 30.0
    assert events(logs) == [{"event": "hook_reactivated", "log_level": "warning", "scope": CREATED}]
    assert (await store.hooks())[hook_id]["is_active"] is True
    assert await store.is_polled()
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "inactive", "what": CREATED}
    assert await store.run(30.0) == (600.0, [ok])


async def test_webhook_deactivated_repeatedly_is_logged_once_and_reactivated_each_time(store: MonitoredStore) -> None:
    hook_id = await store.hook()
    for number in range(4):
        await store.change(hook_id, is_active=False)
        _, logs = await store.run(30.0)
        assert [line["event"] for line in events(logs)] == (["hook_reactivated"] if number == 0 else [])
        assert (await store.hooks())[hook_id]["is_active"] is True


async def test_inactive_webhook_of_another_app_is_not_reactivated(store: MonitoredStore) -> None:
    await store.hook()
    other = await store.hook(destination=OTHER, is_active=False)
    await store.run()
    assert (await store.hooks())[other]["is_active"] is False


async def test_webhook_that_cannot_be_reactivated_is_an_error(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hook(is_active=False)
    monkeypatch.setattr(Core, "update_hook", refusing(Refused("Update a Webhook", "Not now.", status=422)))
    pause, logs = await store.run()
    assert pause == 30.0
    assert events(logs) == [
        {"event": "hook_not_reactivated", "log_level": "error", "scope": CREATED, "reason": "Not now."}
    ]
    assert await store.run(30.0) == (30.0, [])


async def test_webhook_without_an_id_cannot_be_reactivated(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Core, "hooks", answering([{"scope": CREATED, "destination": OURS, "is_active": False}]))
    pause, logs = await store.run()
    assert pause == 30.0
    assert [(line["event"], line.get("reason")) for line in events(logs)] == [("hook_not_reactivated", "it has no id")]


async def test_idle_webhook_is_touched_before_it_expires(store: MonitoredStore) -> None:
    hook_id = await store.hook()
    await store.run()
    assert await store.run(79 * DAY_S) == (600.0, [])
    assert await store.updates() == 0

    idle = {"event": "hook_idle", "log_level": "info", "store": STORE, "scope": CREATED, "hook_id": hook_id}
    assert await store.run(2 * DAY_S) == (600.0, [idle])
    assert await store.updates() == 1
    store.restart()
    assert await store.run(600.0) == (600.0, [])
    assert await store.updates() == 1
    assert await store.run(81 * DAY_S) == (600.0, [idle])


async def test_reactivated_webhook_is_not_touched_as_well(store: MonitoredStore) -> None:
    await store.hook(is_active=False)
    store.clock.tick(100 * DAY_S)
    _, logs = await store.run()
    assert [line["event"] for line in events(logs)] == ["hook_reactivated"]
    assert await store.updates() == 1


async def test_webhook_with_events_is_not_touched(store: MonitoredStore) -> None:
    await store.hook()
    await store.run()
    store.clock.tick(70 * DAY_S)
    await store.stack.redis.set(webhook_seen_key(STORE), int(store.clock.now * 1000))
    assert await store.run(79 * DAY_S) == (600.0, [])
    assert await store.updates() == 0
