"""Optional webhooks: what is wrong with them is a warning, and nothing is polled."""

from typing import Any

import pytest

from service.bigcommerce.clients.core_api import Core
from service.errors import CredentialsRefused, Refused
from service.hooks import has_delivery_problem, set_destination
from service.orders.state.keys import hook_key, webhook_seen_key
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.fakes.webhooks import refusing
from tests.workers.periodic.hook_monitor.conftest import OPTIONAL, OURS, STATUS, MonitoredStore, events
from tests.workers.stacks.stack import Stack
from workers.periodic.hook_monitor import DAY_S


async def test_status_webhook_is_required_only_where_orders_wait_for_their_status(stack: Stack) -> None:
    await MonitoredStore(stack).hook()
    assert await MonitoredStore(stack).run() == (600.0, [])

    waiting = MonitoredStore(stack, incomplete_orders="wait")
    pause, logs = await waiting.run()
    assert pause == 30.0
    assert events(logs) == [{"event": "hook_missing", "log_level": "error", "scope": STATUS}]
    await waiting.hook(STATUS)
    pause, logs = await waiting.run(30.0)
    assert [(line["event"], line["what"]) for line in logs] == [("hook_ok", STATUS)]


async def test_missing_optional_webhooks_are_one_warning_and_no_trouble(stack: Stack) -> None:
    store = MonitoredStore(stack, follow="24h", late_values="6s")
    await store.hook()
    warning = {"event": "hooks_not_registered", "log_level": "warning", "scopes": list(OPTIONAL)}

    assert await store.run() == (600.0, [warning])
    store.restart()
    assert await store.run(600.0) == (600.0, []), "it is logged once"
    assert not await store.is_polled()
    assert not await has_delivery_problem(stack.redis, STORE)
    troubles = await stack.redis.hget(hook_key(STORE), "troubles")  # type: ignore[misc]
    assert troubles == b"[]", "the gauge and the alert go by it"

    await store.hook("store/order/*")
    _, logs = await store.run(600.0)
    assert {(line["event"], line["log_level"], line["what"]) for line in logs} == {
        ("hook_ok", "info", scope) for scope in OPTIONAL[:3]
    }


async def test_missing_essential_webhook_is_an_error_beside_the_optional_ones(stack: Stack) -> None:
    store = MonitoredStore(stack, follow="24h")
    await set_destination(stack.redis, STORE, OURS)
    pause, logs = await store.run()
    assert pause == 30.0
    assert [(line["event"], line["log_level"]) for line in events(logs)] == [
        ("hooks_not_registered", "warning"),
        ("hook_missing", "error"),
    ]
    assert await store.is_polled()


async def test_deactivated_optional_webhook_is_reactivated_without_polling(stack: Stack) -> None:
    store = MonitoredStore(stack, follow="24h")
    await store.hook("store/order/*")
    hook_id = await store.hook("store/company/*", is_active=False)

    pause, logs = await store.run()

    reactivated = {"event": "hook_reactivated", "log_level": "warning", "scope": "store/company/*"}
    assert (pause, logs) == (600.0, [reactivated])
    assert (await store.hooks())[hook_id]["is_active"] is True
    assert not await store.is_polled()


@pytest.mark.parametrize(
    "error",
    [
        Refused("Update a Webhook", "Not now.", status=422),
        CredentialsRefused("Update a Webhook", "Not now.", status=403),
    ],
)
async def test_optional_webhook_that_cannot_be_reactivated_is_a_warning(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    store = MonitoredStore(stack, follow="24h")
    await store.hook("store/company/*", is_active=False)
    await store.hook("store/order/*")
    monkeypatch.setattr(Core, "update_hook", refusing(error))

    pause, logs = await store.run()

    line = {"event": "hook_not_reactivated", "log_level": "warning", "scope": "store/company/*", "reason": "Not now."}
    assert (pause, logs) == (600.0, [line])
    assert await store.run(600.0) == (600.0, []), "it is logged once"
    assert not await store.is_polled()


async def test_refused_optional_webhook_does_not_keep_others_from_being_reactivated(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MonitoredStore(stack, follow="24h")
    refused = await store.hook("store/company/*", is_active=False)
    needed = await store.hook("store/order/*", is_active=False)
    update_hook = Core.update_hook

    async def update(core: Core, hook_id: int, **changes: Any) -> Any:
        if hook_id == refused:
            raise CredentialsRefused("Update a Webhook", "Scope.", status=403)
        return await update_hook(core, hook_id, **changes)

    monkeypatch.setattr(Core, "update_hook", update)
    _, logs = await store.run()

    assert {(line["event"], line["scope"]) for line in events(logs)} == {
        ("hook_reactivated", "store/order/*"),
        ("hook_not_reactivated", "store/company/*"),
    }
    assert (await store.hooks())[needed]["is_active"] is True


async def test_idle_optional_webhook_that_is_refused_does_not_keep_others_from_being_touched(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MonitoredStore(stack, follow="24h")
    await store.hook("store/company/*")
    await store.hook("store/order/*")
    await store.run()
    refused = CredentialsRefused("Update a Webhook", "Scope.", status=403)
    touched: list[int] = []

    async def update(_: Core, hook_id: int, **changes: Any) -> Any:
        touched.append(hook_id)
        if len(touched) == 1:
            raise refused
        return {}

    monkeypatch.setattr(Core, "update_hook", update)
    pause, logs = await store.run(81 * DAY_S)

    assert (pause, [(line["event"], line["scope"]) for line in logs]) == (600.0, [("hook_idle", "store/order/*")])
    assert len(touched) == 2


async def test_rare_optional_webhook_is_touched_while_orders_come(stack: Stack) -> None:
    store = MonitoredStore(stack, follow="24h")
    await store.hook("store/order/*")
    await store.hook("store/company/*")
    await store.run()
    store.clock.tick(81 * DAY_S)
    await stack.redis.set(webhook_seen_key(STORE), int(store.clock.now * 1000))

    _, logs = await store.run()

    assert [(line["event"], line["scope"]) for line in logs] == [
        ("hook_idle", "store/order/*"),
        ("hook_idle", "store/company/*"),
    ]
    assert await store.run(600.0) == (600.0, [])
    assert await store.updates() == 2


async def test_webhook_for_all_order_events_is_enough(stack: Stack) -> None:
    store = MonitoredStore(stack, incomplete_orders="wait")
    await store.hook("store/order/*")
    assert await store.run() == (600.0, [])
