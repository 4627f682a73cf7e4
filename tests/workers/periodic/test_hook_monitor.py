"""The guardian of a store's webhooks: every finding, against the sandbox's webhooks."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from arq import Retry
from structlog.testing import capture_logs

from service.bigcommerce import Account, Api, Priority
from service.bigcommerce.core import Core
from service.errors import CredentialsRefused, OutOfBudget, Refused
from service.hooks import HookState, has_delivery_problem, set_destination
from service.orders.state.keys import hook_key, polling_key, webhook_seen_key
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.fakes.sandbox import StillClock
from tests.workers.conftest import RULES, House
from workers.periodic.hook_monitor import DAY_S, HookMonitor

CREATED, STATUS = "store/order/created", "store/order/statusUpdated"
OURS = "https://hooks.example.com/webhooks/bigcommerce"
OTHER = "https://elsewhere.example.com/webhooks/bigcommerce"

Log = dict[str, Any]


class Guarded:
    """A store whose webhooks are looked after turn by turn."""

    def __init__(self, house: House, **keys: Any) -> None:
        self.house = house
        self.resources = house.resources(**keys)
        self.restart()

    @property
    def clock(self) -> StillClock:
        return self.house.clock

    def restart(self) -> None:
        """Another worker takes over."""
        self.guardian = HookMonitor(self.resources, clock=self.clock)

    async def turn(self, after_s: float = 0.0) -> tuple[float, list[Log]]:
        """One turn, so many seconds later: in how many seconds the next is due, and what was logged."""
        self.clock.tick(after_s)
        with capture_logs() as logs, pytest.raises(Retry) as retry:
            await self.guardian.guard({}, STORE)
        assert retry.value.defer_score is not None
        return retry.value.defer_score / 1000, [dict(line) for line in logs if line["event"] != "upstream_call"]

    async def hook(
        self,
        scope: str = CREATED,
        destination: str = OURS,
        is_active: bool = True,
        headers: dict[str, str] | None = None,
    ) -> int:
        hook = await self.house.api().core.create_hook(scope, destination, headers, is_active)
        hook_id: int = hook["id"]
        return hook_id

    async def change(self, hook_id: int, **changes: Any) -> None:
        await self.house.api().core.update_hook(hook_id, **changes)

    async def delete(self, hook_id: int) -> None:
        await self.house.api().core.delete_hook(hook_id)

    async def hooks(self) -> dict[int, dict[str, Any]]:
        return {hook["id"]: hook for hook in await self.house.api().core.hooks()}

    async def updates(self) -> int:
        calls = await self.house.sandbox.calls()
        return sum(calls["core"].get("Update a Webhook", {}).values())

    async def is_polled(self) -> bool:
        return bool(await self.house.redis.exists(polling_key(STORE)))


def events(logs: list[Log]) -> list[Log]:
    """What was logged, but for the watch."""
    return [line for line in logs if not line["event"].startswith("polling_")]


@pytest.fixture
def store(house: House) -> Guarded:
    return Guarded(house)


async def test_a_webhook_that_is_well_is_left_alone(store: Guarded) -> None:
    await store.hook()
    assert await store.turn() == (600.0, [])
    assert await store.turn(600.0) == (600.0, [])
    assert await store.updates() == 0
    assert not await store.is_polled()
    assert not await has_delivery_problem(store.house.redis, STORE)
    assert (await HookState.read(store.house.redis, STORE)).destination == OURS


async def test_no_webhook_at_all_is_an_error_and_starts_the_watch(store: Guarded) -> None:
    pause, logs = await store.turn()
    assert pause == 30.0
    assert logs == [
        {"event": "polling_started", "log_level": "warning", "store": STORE, "reason": "webhook missing"},
        {"event": "hook_missing", "log_level": "error", "scope": CREATED},
    ]
    assert await has_delivery_problem(store.house.redis, STORE)

    store.restart()
    assert await store.turn(30.0) == (30.0, []), "it has been told"

    await store.hook()
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "missing", "what": CREATED}
    assert await store.turn(30.0) == (600.0, [ok])
    assert not await has_delivery_problem(store.house.redis, STORE)


async def test_a_status_webhook_is_only_needed_where_orders_wait_for_their_status(house: House) -> None:
    await Guarded(house).hook()
    assert await Guarded(house).turn() == (600.0, [])

    waiting = Guarded(house, incomplete_orders="wait")
    pause, logs = await waiting.turn()
    assert pause == 30.0
    assert events(logs) == [{"event": "hook_missing", "log_level": "error", "scope": STATUS}]
    await waiting.hook(STATUS)
    pause, logs = await waiting.turn(30.0)
    assert [(line["event"], line["what"]) for line in logs] == [("hook_ok", STATUS)]


async def test_a_webhook_for_all_order_events_will_do(house: House) -> None:
    store = Guarded(house, incomplete_orders="wait")
    await store.hook("store/order/*")
    assert await store.turn() == (600.0, [])


async def test_webhooks_about_other_things_are_none_of_our_business(store: Guarded) -> None:
    await store.hook()
    await store.hook("store/product/updated", OTHER)
    assert await store.turn() == (600.0, [])


async def test_a_webhook_that_goes_elsewhere_beside_ours_is_told_and_no_trouble(store: Guarded) -> None:
    await store.hook()
    await store.turn()
    other = await store.hook(destination="https://user:secret@elsewhere.example.com/hook?key=secret#secret")
    shown = "https://elsewhere.example.com/hook"
    told = {"event": "hook_foreign", "log_level": "warning", "destination": shown}
    assert await store.turn(600.0) == (600.0, [told])
    assert await store.turn(600.0) == (600.0, [])
    assert not await store.is_polled()

    await store.delete(other)
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "foreign", "what": shown}
    assert await store.turn(600.0) == (600.0, [ok])


async def test_a_webhook_that_was_sent_elsewhere_is_missing(store: Guarded) -> None:
    hook_id = await store.hook()
    await store.turn()
    await store.change(hook_id, destination=OTHER)
    pause, logs = await store.turn(600.0)
    assert pause == 30.0
    assert [(line["event"], line["log_level"]) for line in events(logs)] == [
        ("hook_missing", "error"),
        ("hook_foreign", "warning"),
    ]
    assert await store.is_polled()


async def test_the_destination_is_the_one_that_a_receiver_has(store: Guarded) -> None:
    await store.hook(destination="https://elsewhere.example.com/erp")
    await store.hook(destination=OTHER, is_active=False)
    await store.hook(destination=OURS)
    await store.turn()
    assert (await HookState.read(store.house.redis, STORE)).destination == OURS


async def test_a_destination_that_was_set_is_never_changed(store: Guarded) -> None:
    await store.house.redis.hset(hook_key(STORE), "destination", "https://proxy.example.com/in")  # type: ignore[misc]
    await store.hook()
    _, logs = await store.turn()
    assert [line["event"] for line in events(logs)] == ["hook_missing", "hook_foreign"]
    await store.hook(destination="https://proxy.example.com/in")
    _, logs = await store.turn(30.0)
    assert [(line["event"], line["trouble"]) for line in logs] == [("hook_ok", "missing")]


async def test_after_a_move_all_is_well_as_soon_as_the_new_destination_is_told(store: Guarded) -> None:
    hook_id = await store.hook()
    await store.turn()
    await store.change(hook_id, destination=OTHER)
    assert (await store.turn(600.0))[0] == 30.0
    assert (await store.turn(30.0))[0] == 30.0

    await set_destination(store.house.redis, STORE, OTHER)
    pause, logs = await store.turn(30.0)
    assert pause == 600.0
    assert sorted((line["event"], line["trouble"]) for line in logs) == [("hook_ok", "foreign"), ("hook_ok", "missing")]
    assert not await has_delivery_problem(store.house.redis, STORE)
    assert await store.turn(600.0) == (600.0, []), "it is still known"


async def test_a_webhook_whose_headers_differ_is_told_once_and_left_as_it_is(house: House) -> None:
    headers = f'[stores.{STORE}.webhook_headers]\n"X-Key" = ["new-secret", "old-secret"]'
    store = Guarded(house, rules=headers + RULES)
    hook_id = await store.hook(headers={"X-Key": "wrong"})
    pause, logs = await store.turn()
    assert pause == 30.0
    assert logs == [
        {"event": "polling_started", "log_level": "warning", "store": STORE, "reason": "webhook headers"},
        {"event": "hook_headers_differ", "log_level": "error", "scope": CREATED},
    ]
    assert await has_delivery_problem(house.redis, STORE)
    store.restart()
    assert await store.turn(30.0) == (30.0, []), "it has been told"
    assert await store.updates() == 0

    await store.change(hook_id, headers={"x-key": "old-secret", "X-Proxy": "p"})
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "headers", "what": CREATED}
    assert await store.turn(30.0) == (600.0, [ok])


async def test_a_webhook_that_was_deactivated_is_switched_on(store: Guarded) -> None:
    hook_id = await store.hook()
    await store.turn()
    await store.change(hook_id, is_active=False)

    pause, logs = await store.turn(600.0)

    assert pause == 30.0
    assert events(logs) == [{"event": "hook_reactivated", "log_level": "warning", "scope": CREATED}]
    assert (await store.hooks())[hook_id]["is_active"] is True
    assert await store.is_polled()
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "inactive", "what": CREATED}
    assert await store.turn(30.0) == (600.0, [ok])


async def test_a_webhook_that_goes_off_again_and_again_is_told_once_and_switched_on_each_time(store: Guarded) -> None:
    hook_id = await store.hook()
    for turn in range(4):
        await store.change(hook_id, is_active=False)
        _, logs = await store.turn(30.0)
        assert [line["event"] for line in events(logs)] == (["hook_reactivated"] if turn == 0 else [])
        assert (await store.hooks())[hook_id]["is_active"] is True


async def test_a_webhook_of_somebody_else_stays_off(store: Guarded) -> None:
    await store.hook()
    other = await store.hook(destination=OTHER, is_active=False)
    await store.turn()
    assert (await store.hooks())[other]["is_active"] is False


async def test_a_webhook_that_cannot_be_switched_on_is_an_error(
    store: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hook(is_active=False)
    monkeypatch.setattr(Core, "update_hook", raising(Refused("Update a Webhook", "Not now.", status=422)))
    pause, logs = await store.turn()
    assert pause == 30.0
    assert events(logs) == [
        {"event": "hook_not_reactivated", "log_level": "error", "scope": CREATED, "reason": "Not now."}
    ]
    assert await store.turn(30.0) == (30.0, [])


async def test_a_blocked_domain_is_told_and_starts_the_watch(store: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.hook()
    await store.turn()
    with monkeypatch.context() as patched:
        blocked = [{"destination": "hooks.example.com", "time_left": 170, "reasons": []}, {"destination": "x.test"}]
        patched.setattr(Core, "hooks_admin", answering({"blocked_domains": blocked}))
        pause, logs = await store.turn(600.0)
        assert pause == 30.0
        assert logs == [
            {"event": "polling_started", "log_level": "warning", "store": STORE, "reason": "webhook blocked"},
            {"event": "hook_blocked", "log_level": "warning", "domain": "hooks.example.com", "seconds_left": 170},
        ]
        assert await store.turn(30.0) == (30.0, [])
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "blocked", "what": "hooks.example.com"}
    assert await store.turn(30.0) == (600.0, [ok])


@pytest.mark.parametrize("written", ["https://hooks.example.com", "https://hooks.example.com/webhooks/bigcommerce"])
async def test_a_blocked_domain_may_be_written_as_a_url(
    store: Guarded, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    await store.hook()
    monkeypatch.setattr(Core, "hooks_admin", answering({"blocked_domains": [{"destination": written}]}))
    _, logs = await store.turn()
    assert events(logs) == [
        {"event": "hook_blocked", "log_level": "warning", "domain": "hooks.example.com", "seconds_left": None}
    ]


@pytest.mark.parametrize(
    "admin", [{}, {"blocked_domains": None}, {"blocked_domains": [None, {}, {"destination": "https://[x"}]}]
)
async def test_an_answer_about_blocked_domains_that_says_nothing_is_no_trouble(
    store: Guarded, monkeypatch: pytest.MonkeyPatch, admin: dict[str, Any]
) -> None:
    await store.hook()
    monkeypatch.setattr(Core, "hooks_admin", answering(admin))
    assert await store.turn() == (600.0, [])


async def test_a_token_that_may_not_ask_for_blocked_domains_still_has_its_webhooks_looked_after(
    store: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Core, "hooks_admin", raising(CredentialsRefused("Get Admin Info", "no", status=403)))
    hook_id = await store.hook(is_active=False)
    await store.turn()
    assert (await store.hooks())[hook_id]["is_active"] is True


async def test_webhooks_that_lack_keys_are_read_all_the_same(store: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = [{}, {"scope": CREATED}, {"scope": None, "destination": 5}, {"scope": CREATED, "destination": OURS}]
    monkeypatch.setattr(Core, "hooks", answering(strange))
    pause, logs = await store.turn()
    assert pause == 600.0
    assert [line["event"] for line in logs] == ["hook_foreign"]


async def test_a_webhook_without_an_id_cannot_be_mended(store: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Core, "hooks", answering([{"scope": CREATED, "destination": OURS, "is_active": False}]))
    pause, logs = await store.turn()
    assert pause == 30.0
    assert [(line["event"], line.get("reason")) for line in events(logs)] == [("hook_not_reactivated", "it has no id")]


async def test_a_webhook_without_events_is_touched_before_it_expires(store: Guarded) -> None:
    hook_id = await store.hook()
    await store.turn()
    assert await store.turn(79 * DAY_S) == (600.0, [])
    assert await store.updates() == 0

    idle = {"event": "hook_idle", "log_level": "info", "store": STORE, "scope": CREATED, "hook_id": hook_id}
    assert await store.turn(2 * DAY_S) == (600.0, [idle])
    assert await store.updates() == 1
    store.restart()
    assert await store.turn(600.0) == (600.0, [])
    assert await store.updates() == 1
    assert await store.turn(81 * DAY_S) == (600.0, [idle])


async def test_a_webhook_that_was_off_for_long_is_switched_on_and_that_is_enough(store: Guarded) -> None:
    await store.hook(is_active=False)
    store.clock.tick(100 * DAY_S)
    _, logs = await store.turn()
    assert [line["event"] for line in events(logs)] == ["hook_reactivated"]
    assert await store.updates() == 1


async def test_a_webhook_with_events_is_not_touched(store: Guarded) -> None:
    await store.hook()
    await store.turn()
    store.clock.tick(70 * DAY_S)
    await store.house.redis.set(webhook_seen_key(STORE), int(store.clock.now * 1000))
    assert await store.turn(79 * DAY_S) == (600.0, [])
    assert await store.updates() == 0


async def test_nothing_that_bigcommerce_answers_ends_the_job(store: Guarded) -> None:
    await store.hook()
    for faults in (
        {"error_rate": 1.0},
        {"refuse_credentials": [STORE]},
        {"lost_answer_rate": 1.0, "lost_answer_as": "504"},
    ):
        await store.house.sandbox.faults(**faults)
        pause, logs = await store.turn()
        assert 0.0 < pause <= 600.0
        assert {line["event"] for line in logs} <= {"periodic_task_postponed"}
    await store.house.sandbox.faults()
    assert await store.turn() == (600.0, [])


async def test_trouble_that_was_not_mended_for_lack_of_an_answer_is_told_when_it_is(
    store: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hook(is_active=False)
    await store.house.sandbox.faults(error_rate=1.0, operations=["Update a Webhook"])
    pause, logs = await store.turn()
    assert pause <= 2.0
    assert [line["event"] for line in logs] == ["polling_started", "periodic_task_postponed"]
    await store.house.sandbox.faults()
    _, logs = await store.turn()
    assert [line["event"] for line in logs] == ["hook_reactivated"]


async def test_a_turn_waits_for_the_quota_and_does_not_begin_anew(
    store: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hook(is_active=False)
    asked: list[tuple[str, Priority]] = []

    async def budget(_: Account, api: Api, priority: Priority, *, operation: str, calls: int = 1) -> None:
        asked.append((operation, priority))
        if len(asked) % 2:
            raise OutOfBudget(operation, seconds=4.0)

    monkeypatch.setattr(store.house.transport, "spend", budget)
    began = store.clock.now
    pause, logs = await store.turn()
    assert pause == 30.0
    assert [line["event"] for line in events(logs)] == ["hook_reactivated"]
    assert 12.0 <= store.clock.now - began < 13.0
    assert asked == [
        *2 * [("Get Webhooks", Priority.BACKGROUND)],
        *2 * [("Get Admin Info", Priority.BACKGROUND)],
        *2 * [("Update a Webhook", Priority.VERIFY)],
    ]


async def test_a_turn_does_not_wait_for_ever(store: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def nothing_left(_: Account, api: Api, __: Priority, *, operation: str, calls: int = 1) -> None:
        asked.append(operation)
        raise OutOfBudget(operation, seconds=20.0 if len(asked) <= 10 else 50.0)

    monkeypatch.setattr(store.house.transport, "spend", nothing_left)
    assert (await store.turn())[0] == 20.0
    assert len(asked) == 6
    asked.clear()
    asked += 10 * ["before"]
    assert (await store.turn())[0] == 50.0
    assert len(asked) == 11


async def test_while_the_store_is_locked_out_no_call_is_made(store: Guarded) -> None:
    await store.resources.breaker.open(STORE)
    before = await store.house.sandbox.calls()
    assert await store.turn() == (600.0, [])
    assert await store.house.sandbox.calls() == before


async def test_a_store_that_is_gone_from_the_stores_file_is_let_go(store: Guarded) -> None:
    await store.guardian.guard({}, "nobody")
    assert await store.house.redis.keys("*") == []


def answering(answer: Any) -> Callable[..., Awaitable[Any]]:
    async def call(*_: Any, **__: Any) -> Any:
        return answer

    return call


def raising(error: Exception) -> Callable[..., Awaitable[Any]]:
    async def call(*_: Any, **__: Any) -> Any:
        raise error

    return call
