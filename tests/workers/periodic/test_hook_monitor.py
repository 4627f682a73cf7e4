"""The hook monitor: every problem it can find, with the sandbox's webhooks."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from arq import Retry
from structlog.testing import capture_logs

from service.bigcommerce import Account, Api, Priority
from service.bigcommerce.clients.core_api import Core
from service.errors import CredentialsRefused, OutOfBudget, Refused
from service.hooks import HookState, has_delivery_problem, set_destination
from service.orders.state.keys import hook_key, polling_key, webhook_seen_key
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.fakes.sandbox import StillClock
from tests.workers.stacks.stack import RULES, Stack
from workers.periodic.hook_monitor import DAY_S, HookMonitor

CREATED, STATUS = "store/order/created", "store/order/statusUpdated"
OPTIONAL = (
    "store/order/metafield/created",
    "store/order/metafield/updated",
    "store/order/updated",
    "store/company/user/created",
    "store/company/user/updated",
    "store/company/statusUpdated",
)
OURS = "https://hooks.example.com/webhooks/bigcommerce"
OTHER = "https://elsewhere.example.com/webhooks/bigcommerce"

Log = dict[str, Any]


class MonitoredStore:
    """A store in the sandbox whose webhooks are monitored run by run. It follows no changes, unless told to."""

    def __init__(self, stack: Stack, **keys: Any) -> None:
        self.stack = stack
        self.resources = stack.resources(**{"follow": "0s", **keys})
        self.restart()

    @property
    def clock(self) -> StillClock:
        return self.stack.clock

    def restart(self) -> None:
        """Another worker takes over: nothing is kept in memory."""
        self.monitor = HookMonitor(self.resources, clock=self.clock)

    async def run(self, after_s: float = 0.0) -> tuple[float, list[Log]]:
        """Run once, ``after_s`` seconds from now; returns in how many seconds the next run is due, and the log."""
        self.clock.tick(after_s)
        with capture_logs() as logs, pytest.raises(Retry) as retry:
            await self.monitor.run({}, STORE)
        assert retry.value.defer_score is not None
        return retry.value.defer_score / 1000, [dict(line) for line in logs if line["event"] != "upstream_call"]

    async def hook(
        self,
        scope: str = CREATED,
        destination: str = OURS,
        is_active: bool = True,
        headers: dict[str, str] | None = None,
    ) -> int:
        hook = await self.stack.api().core.create_hook(scope, destination, headers, is_active)
        hook_id: int = hook["id"]
        return hook_id

    async def change(self, hook_id: int, **changes: Any) -> None:
        await self.stack.api().core.update_hook(hook_id, **changes)

    async def delete(self, hook_id: int) -> None:
        await self.stack.api().core.delete_hook(hook_id)

    async def hooks(self) -> dict[int, dict[str, Any]]:
        return {hook["id"]: hook for hook in await self.stack.api().core.hooks()}

    async def updates(self) -> int:
        calls = await self.stack.sandbox.calls()
        return sum(calls["core"].get("Update a Webhook", {}).values())

    async def is_polled(self) -> bool:
        return bool(await self.stack.redis.exists(polling_key(STORE)))


def events(logs: list[Log]) -> list[Log]:
    """The log without the lines of the polling fallback."""
    return [line for line in logs if not line["event"].startswith("polling_")]


@pytest.fixture
def store(stack: Stack) -> MonitoredStore:
    return MonitoredStore(stack)


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
    monkeypatch.setattr(Core, "update_hook", raising(error))

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
    monkeypatch.setattr(Core, "update_hook", raising(Refused("Update a Webhook", "Not now.", status=422)))
    pause, logs = await store.run()
    assert pause == 30.0
    assert events(logs) == [
        {"event": "hook_not_reactivated", "log_level": "error", "scope": CREATED, "reason": "Not now."}
    ]
    assert await store.run(30.0) == (30.0, [])


async def test_blocked_domain_is_logged_and_starts_polling(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hook()
    await store.run()
    with monkeypatch.context() as patched:
        blocked = [{"destination": "hooks.example.com", "time_left": 170, "reasons": []}, {"destination": "x.test"}]
        patched.setattr(Core, "hooks_admin", answering({"blocked_domains": blocked}))
        pause, logs = await store.run(600.0)
        assert pause == 30.0
        assert logs == [
            {"event": "polling_started", "log_level": "warning", "store": STORE, "reason": "webhook blocked"},
            {"event": "hook_blocked", "log_level": "warning", "domain": "hooks.example.com", "seconds_left": 170},
        ]
        assert await store.run(30.0) == (30.0, [])
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "blocked", "what": "hooks.example.com"}
    assert await store.run(30.0) == (600.0, [ok])


@pytest.mark.parametrize("written", ["https://hooks.example.com", "https://hooks.example.com/webhooks/bigcommerce"])
async def test_blocked_domain_may_be_given_as_a_url(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    await store.hook()
    monkeypatch.setattr(Core, "hooks_admin", answering({"blocked_domains": [{"destination": written}]}))
    _, logs = await store.run()
    assert events(logs) == [
        {"event": "hook_blocked", "log_level": "warning", "domain": "hooks.example.com", "seconds_left": None}
    ]


@pytest.mark.parametrize(
    "admin", [{}, {"blocked_domains": None}, {"blocked_domains": [None, {}, {"destination": "https://[x"}]}]
)
async def test_empty_answer_about_blocked_domains_is_no_problem(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch, admin: dict[str, Any]
) -> None:
    await store.hook()
    monkeypatch.setattr(Core, "hooks_admin", answering(admin))
    assert await store.run() == (600.0, [])


async def test_token_without_access_to_blocked_domains_still_has_its_webhooks_monitored(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Core, "hooks_admin", raising(CredentialsRefused("Get Admin Info", "no", status=403)))
    hook_id = await store.hook(is_active=False)
    await store.run()
    assert (await store.hooks())[hook_id]["is_active"] is True


async def test_webhooks_with_missing_keys_are_read(store: MonitoredStore, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = [{}, {"scope": CREATED}, {"scope": None, "destination": 5}, {"scope": CREATED, "destination": OURS}]
    monkeypatch.setattr(Core, "hooks", answering(odd))
    pause, logs = await store.run()
    assert pause == 600.0
    assert [line["event"] for line in logs] == ["hook_foreign"]


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


def answering(answer: Any) -> Callable[..., Awaitable[Any]]:
    async def call(*_: Any, **__: Any) -> Any:
        return answer

    return call


def raising(error: Exception) -> Callable[..., Awaitable[Any]]:
    async def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


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
