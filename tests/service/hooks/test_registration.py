"""Webhooks are registered, repaired and removed, against the sandbox's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.bigcommerce.core import Core
from service.errors import ConfigError, CredentialsRefused, Refused
from service.hooks import ChangeKind, HookChange, StoreChanges, destination_of, find_ours, register, remove, repair
from service.sandbox.demo import DEMO_STORE_HASH
from service.stores import Store
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from tests.fakes.upstream import FakeUpstream, store_api
from tests.fakes.webhooks import a_store

CREATED, STATUS, ALL = "store/order/created", "store/order/statusUpdated", "store/order/*"
OURS = "https://hooks.example.com/webhooks/bigcommerce"
OLD = "https://old.example.com/webhooks/bigcommerce"
ERP = "https://erp.example.com/in"


@dataclass(slots=True)
class Shop:
    """A sandbox's store, and its webhooks."""

    sandbox: RunningSandbox
    core: Core

    def store(self, *, headers: dict[str, list[str]] | None = None, wait: bool = False) -> Store:
        secrets = {name: [SecretStr(value) for value in values] for name, values in (headers or {}).items()}
        incomplete = "wait" if wait else "enrich"
        return a_store(DEMO_STORE_HASH, webhook_headers=secrets, incomplete_orders=incomplete)

    async def hook(self, scope: str = CREATED, destination: str = OURS, **rest: Any) -> int:
        hook = await self.core.create_hook(scope, destination, rest.get("headers"), rest.get("is_active", True))
        hook_id: int = hook["id"]
        return hook_id

    async def hooks(self) -> dict[tuple[str, str], tuple[bool, dict[str, str]]]:
        """By scope and destination: whether it is active, and its headers."""
        return {
            (hook["scope"], hook["destination"]): (hook["is_active"], hook["headers"] or {})
            for hook in await self.core.hooks()
        }

    async def writes(self) -> int:
        calls = (await self.sandbox.calls())["core"]
        return sum(sum(calls.get(f"{verb} a Webhook", {}).values()) for verb in ("Create", "Update", "Delete"))


def did(outcome: StoreChanges) -> list[tuple[ChangeKind, str]]:
    assert all(step.hook_id for step in outcome.steps if step.is_done)
    return [(step.did, step.scope) for step in outcome.steps]


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    clock = StillClock()
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(called_sandbox(clock))
        http = await stack.enter_async_context(sandbox.api._transport)
        transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url, clock=clock)
        account = Account(DEMO_STORE_HASH, (SecretStr("sandbox-access-token"),))
        yield Shop(sandbox, StoreApi(transport, account).core)


# ── register ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_register_makes_what_is_missing_with_the_first_secret_of_each_header(shop: Shop) -> None:
    store = shop.store(headers={"X-Key": ["new", "old"], "X-Second": ["s"]})
    outcome = await register(shop.core, store, OURS)

    assert did(outcome) == [(ChangeKind.CREATED, CREATED)]
    assert (outcome.destination, outcome.elsewhere, outcome.blocked, outcome.is_complete) == (OURS, (), {}, True)
    assert await shop.hooks() == {(CREATED, OURS): (True, {"X-Key": "new", "X-Second": "s"})}


async def test_a_store_that_waits_for_a_status_gets_a_webhook_for_it(shop: Shop) -> None:
    outcome = await register(shop.core, shop.store(wait=True), OURS)
    assert did(outcome) == [(ChangeKind.CREATED, CREATED), (ChangeKind.CREATED, STATUS)]
    assert await shop.hooks() == {(CREATED, OURS): (True, {}), (STATUS, OURS): (True, {})}


async def test_a_second_register_writes_nothing(shop: Shop) -> None:
    store = shop.store(headers={"X-Key": ["k"]}, wait=True)
    await register(shop.core, store, OURS)
    before = await shop.writes()

    outcome = await register(shop.core, store, OURS)
    assert did(outcome) == [(ChangeKind.KEPT, CREATED), (ChangeKind.KEPT, STATUS)]
    assert await shop.writes() == before == 2


async def test_what_is_wrong_is_put_right_in_one_call_and_other_headers_stay(shop: Shop) -> None:
    await shop.hook(is_active=False, headers={"x-key": "wrong", "X-Proxy": "p"})
    before = await shop.writes()

    outcome = await register(shop.core, shop.store(headers={"X-Key": ["k"]}), OURS)
    assert did(outcome) == [(ChangeKind.ACTIVATED, CREATED), (ChangeKind.HEADERS_SET, CREATED)]
    assert await shop.hooks() == {(CREATED, OURS): (True, {"X-Key": "k", "X-Proxy": "p"})}
    assert await shop.writes() == before + 1


async def test_a_webhook_for_all_order_events_will_do(shop: Shop) -> None:
    await shop.hook(ALL)
    assert did(await register(shop.core, shop.store(wait=True), OURS)) == [(ChangeKind.KEPT, ALL)]


async def test_register_ends_a_rotation_and_repair_leaves_it_as_it_is(shop: Shop) -> None:
    await shop.hook(headers={"X-Key": "old"})
    rotating = shop.store(headers={"X-Key": ["new", "old"]})

    assert did(await repair(shop.core, rotating, OURS)) == [(ChangeKind.KEPT, CREATED)]
    assert did(await register(shop.core, rotating, OURS)) == [(ChangeKind.HEADERS_SET, CREATED)]
    assert await shop.hooks() == {(CREATED, OURS): (True, {"X-Key": "new"})}


async def test_webhooks_to_other_places_are_told_of_and_left_alone(shop: Shop) -> None:
    await shop.hook(destination=OLD)
    await shop.hook(destination="https://user:secret@erp.example.com/in?key=secret")
    await shop.hook("store/product/updated", "https://pim.example.com/in")
    before = await shop.hooks()

    outcome = await register(shop.core, shop.store(), OURS)
    assert did(outcome) == [(ChangeKind.CREATED, CREATED)]
    assert outcome.elsewhere == (ERP, OLD)
    assert await shop.hooks() == before | {(CREATED, OURS): (True, {})}


async def test_move_sends_another_receivers_webhooks_here_instead_of_making_new_ones(shop: Shop) -> None:
    await shop.hook(destination=OLD, is_active=False, headers={"X-Key": "wrong", "X-Proxy": "p"})
    await shop.hook(destination=ERP)

    outcome = await register(shop.core, shop.store(headers={"X-Key": ["k"]}, wait=True), OURS, move=True)
    assert did(outcome) == [(ChangeKind.MOVED, CREATED), (ChangeKind.CREATED, STATUS)]
    assert outcome.elsewhere == (ERP,)
    assert await shop.hooks() == {
        (CREATED, OURS): (True, {"X-Key": "k", "X-Proxy": "p"}),
        (CREATED, ERP): (True, {}),
        (STATUS, OURS): (True, {"X-Key": "k"}),
    }


async def test_a_webhook_for_all_order_events_is_moved_once(shop: Shop) -> None:
    await shop.hook(ALL, OLD)
    outcome = await register(shop.core, shop.store(wait=True), OURS, move=True)
    assert did(outcome) == [(ChangeKind.MOVED, ALL)]
    assert await shop.hooks() == {(ALL, OURS): (True, {})}


async def test_move_takes_one_that_is_active_and_deletes_none(shop: Shop) -> None:
    older = "https://older.example.com/webhooks/bigcommerce"
    await shop.hook(destination=older, is_active=False)
    await shop.hook(destination=OLD)
    outcome = await register(shop.core, shop.store(), OURS, move=True)
    assert (did(outcome), outcome.elsewhere) == ([(ChangeKind.MOVED, CREATED)], (older,))
    assert did(await register(shop.core, shop.store(), OURS, move=True)) == [(ChangeKind.KEPT, CREATED)]
    assert set(await shop.hooks()) == {(CREATED, OURS), (CREATED, older)}


async def test_a_refusal_is_passed_on_and_the_rest_is_done_all_the_same(shop: Shop) -> None:
    for number in range(10):
        await shop.hook(destination=f"{ERP}/{number}")
    outcome = await register(shop.core, shop.store(wait=True), OURS)

    refused, created = outcome.steps
    assert (refused.did, refused.scope, refused.hook_id) == (ChangeKind.FAILED, CREATED, None)
    assert refused.reason is not None
    assert refused.reason.startswith("Create a Webhook: 422: ")
    assert "There are 10 webhooks with this scope." in refused.reason
    assert (created.did, created.scope) == (ChangeKind.CREATED, STATUS)
    assert not outcome.is_complete


@pytest.mark.parametrize("move", [False, True])
async def test_a_call_without_an_answer_is_a_failed_step_and_can_be_done_again(shop: Shop, move: bool) -> None:
    await shop.hook(destination=OLD)
    await shop.hook(STATUS, is_active=False)
    await shop.sandbox.faults(error_rate=1.0, operations=["Create a Webhook", "Update a Webhook"])
    outcome = await register(shop.core, shop.store(wait=True), OURS, move=move)
    assert did(outcome) == [(ChangeKind.FAILED, STATUS), (ChangeKind.FAILED, CREATED)]
    assert outcome.elsewhere == (OLD,)

    await shop.sandbox.faults()
    outcome = await register(shop.core, shop.store(wait=True), OURS, move=move)
    assert did(outcome) == [(ChangeKind.ACTIVATED, STATUS), (ChangeKind.MOVED if move else ChangeKind.CREATED, CREATED)]


async def test_a_refusal_that_repeats_the_headers_is_told_without_them() -> None:
    upstream = FakeUpstream()
    listed = {"id": 1, "scope": CREATED, "destination": OURS, "headers": {"X-Proxy": "other-secret"}}
    refusal = {"title": "invalid", "errors": {"headers": "first-secret and other-secret will not do"}}
    upstream.on("GET /v3/hooks", {"data": [listed]})
    upstream.on("GET /v3/hooks/admin", {"data": {}})
    upstream.on("PUT /v3/hooks/1", (422, refusal))
    upstream.on("POST /v3/hooks", (422, refusal | {"errors": {"headers": "first-secret will not do"}}))
    store = a_store(webhook_headers={"X-Key": [SecretStr("first-secret")]}, incomplete_orders="wait")

    async with store_api(upstream) as api:
        outcome = await register(api.core, store, OURS)
    assert [step.reason for step in outcome.steps] == [
        "Update a Webhook: 422: invalid; headers: *** and *** will not do",
        "Create a Webhook: 422: invalid; headers: *** will not do",
    ]


async def test_a_webhook_without_an_id_cannot_be_changed_nor_moved(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [{"scope": STATUS, "destination": OURS, "is_active": False}, {"scope": CREATED, "destination": OLD}]
    monkeypatch.setattr(Core, "hooks", answering(listed))
    outcome = await register(shop.core, shop.store(wait=True), OURS, move=True)
    assert did(outcome) == [(ChangeKind.FAILED, STATUS), (ChangeKind.CREATED, CREATED)]
    assert outcome.steps[0].reason == "BigCommerce lists it without an id"

    (step,) = await remove(shop.core, [hook for hook in await find_ours(shop.core, OURS) if hook.scope == STATUS])
    assert (step.did, step.reason) == (ChangeKind.FAILED, "BigCommerce lists it without an id")


async def test_a_token_that_is_refused_raises(shop: Shop) -> None:
    await shop.sandbox.faults(refuse_credentials=[DEMO_STORE_HASH])
    with pytest.raises(CredentialsRefused):
        await register(shop.core, shop.store(), OURS)


async def test_a_token_that_may_not_ask_for_blocked_domains_can_register(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Core, "hooks_admin", raising(CredentialsRefused("Get Admin Info", "no", status=403)))
    assert did(await register(shop.core, shop.store(), OURS)) == [(ChangeKind.CREATED, CREATED)]


# ── repair ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_repair_puts_everything_right_at_the_known_destination(shop: Shop) -> None:
    proxy = "https://proxy.example.com/in"
    await shop.hook(destination=OLD)
    await shop.hook(destination=proxy, is_active=False, headers={"X-Key": "wrong"})

    outcome = await repair(shop.core, shop.store(headers={"X-Key": ["k"]}, wait=True), proxy)
    assert did(outcome) == [
        (ChangeKind.ACTIVATED, CREATED),
        (ChangeKind.HEADERS_SET, CREATED),
        (ChangeKind.CREATED, STATUS),
    ]
    assert (outcome.destination, outcome.elsewhere) == (proxy, (OLD,))
    assert await shop.hooks() == {
        (CREATED, OLD): (True, {}),
        (CREATED, proxy): (True, {"X-Key": "k"}),
        (STATUS, proxy): (True, {"X-Key": "k"}),
    }


async def test_repair_makes_a_webhook_anew_that_is_gone(shop: Shop) -> None:
    assert did(await repair(shop.core, shop.store(), OURS)) == [(ChangeKind.CREATED, CREATED)]
    assert did(await repair(shop.core, shop.store(), OURS)) == [(ChangeKind.KEPT, CREATED)]


async def test_repair_goes_by_the_path_when_nothing_is_known(shop: Shop) -> None:
    await shop.hook(destination=ERP)
    await shop.hook(is_active=False)
    assert did(await repair(shop.core, shop.store(), None)) == [(ChangeKind.ACTIVATED, CREATED)]


async def test_repair_without_anything_to_go_by_says_what_to_do(shop: Shop) -> None:
    await shop.hook(destination=ERP)
    with pytest.raises(ConfigError, match=r"^webhooks: there is none of ours to repair\. Run `enrich hooks register "):
        await repair(shop.core, shop.store(), None)
    assert set(await shop.hooks()) == {(CREATED, ERP)}


async def test_a_domain_that_is_blocked_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = [{"destination": "hooks.example.com", "time_left": 130}, {"destination": "erp.example.com"}]
    monkeypatch.setattr(Core, "hooks_admin", answering({"blocked_domains": blocked}))
    outcome = await repair(shop.core, shop.store(), OURS)
    assert outcome.blocked == {"hooks.example.com": 130}


# ── remove ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_remove_deletes_what_goes_to_the_known_destination_and_is_about_orders(shop: Shop) -> None:
    first, second = await shop.hook(), await shop.hook(STATUS)
    await shop.hook("store/product/updated")
    await shop.hook(destination=OLD)

    steps = await remove(shop.core, await find_ours(shop.core, OURS))
    assert steps == [
        HookChange(ChangeKind.DELETED, CREATED, OURS, first),
        HookChange(ChangeKind.DELETED, STATUS, OURS, second),
    ]
    assert set(await shop.hooks()) == {("store/product/updated", OURS), (CREATED, OLD)}
    assert await find_ours(shop.core, OURS) == []


@pytest.mark.parametrize("url", ["https://old.example.com", "https://old.example.com/", OLD, f"{OLD}?key=secret"])
async def test_remove_finds_a_url_as_it_is_shown_or_by_its_host(shop: Shop, url: str) -> None:
    await shop.hook()
    await shop.hook(destination=f"{OLD}?key=secret")
    (found,) = await find_ours(shop.core, OURS, url)
    assert found.destination == f"{OLD}?key=secret"


async def test_remove_takes_the_only_receiver_when_nothing_is_known(shop: Shop) -> None:
    await shop.hook(destination=ERP)
    assert await find_ours(shop.core, None) == []
    await shop.hook()
    assert [hook.destination for hook in await find_ours(shop.core, None)] == [OURS]


async def test_remove_does_not_guess_between_receivers(shop: Shop) -> None:
    await shop.hook()
    await shop.hook(destination=OLD)
    with pytest.raises(ConfigError, match=f"^--url: is needed: .* One of: {OURS}, {OLD}\\.$"):
        await find_ours(shop.core, None)


async def test_a_webhook_that_cannot_be_deleted_is_a_failed_step(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.hook()
    found = await find_ours(shop.core, OURS)
    monkeypatch.setattr(Core, "delete_hook", raising(Refused("Delete a Webhook", "Not now.", status=409)))
    (step,) = await remove(shop.core, found)
    assert (step.did, step.reason) == (ChangeKind.FAILED, "Delete a Webhook: 409: Not now.")


# ── the URL ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com/",
        "https://Hooks.Example.com:443",
        "https://hooks.example.com:/",
        "HTTPS://hooks.example.com/webhooks/bigcommerce/",
        OURS,
    ],
)
def test_a_host_gets_the_receivers_path(url: str) -> None:
    assert destination_of(url) == OURS


def test_a_path_of_ones_own_is_taken_as_it_is() -> None:
    assert destination_of("https://proxy.example.com/In/bc/") == "https://proxy.example.com/In/bc/"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is not a URL that begins with https://"),
        ("hooks.example.com", "is not a URL that begins with https://"),
        ("https://", "is not a URL that begins with https://"),
        ("https://hooks example.com", "is not a URL that begins with https://"),
        ("https://hööks.example.com", "is not a URL that begins with https://"),
        ("ftp://hooks.example.com", "is not a URL that begins with https://"),
        ("https://[x", "is not a URL."),
        ("https://hooks.example.com:x", "is not a URL."),
        ("http://hooks.example.com", "https on port 443 only"),
        ("https://hooks.example.com:8443", "https on port 443 only"),
        ("https://user:hush@hooks.example.com", "has a user, a password, a query or a fragment"),
        ("https://hooks.example.com?key=hush", "has a user, a password, a query or a fragment"),
        ("https://hooks.example.com#hush", "has a user, a password, a query or a fragment"),
    ],
)
def test_a_url_that_bigcommerce_cannot_call_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        destination_of(url)
    assert words in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://web.test:80", "https://hooks.example.com:8443/in"])
def test_a_sandbox_calls_any_port_with_or_without_tls(url: str) -> None:
    path = "" if url.endswith("/in") else "/webhooks/bigcommerce"
    assert destination_of(url, from_sandbox=True) == url.removesuffix(":80") + path


def test_what_is_no_url_is_none_for_a_sandbox_either() -> None:
    with pytest.raises(ConfigError, match="has a user"):
        destination_of("http://user:x@127.0.0.1:8000", from_sandbox=True)


def answering(answer: Any) -> Callable[..., Awaitable[Any]]:
    async def call(*_: Any, **__: Any) -> Any:
        return answer

    return call


def raising(error: Exception) -> Callable[..., Awaitable[Any]]:
    async def call(*_: Any, **__: Any) -> Any:
        raise error

    return call
