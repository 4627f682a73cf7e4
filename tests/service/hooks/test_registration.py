"""Registering, repairing and removing webhooks, against the sandbox."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.clients.hooks import COMPANY_CHANGED, METAFIELD_CREATED, METAFIELD_UPDATED, ORDER_UPDATED
from service.configuration import ConfiguredStore
from service.errors import ConfigError, CredentialsRefused, Refused
from service.hooks import ChangeKind, HookChange, StoreChanges, destination_of, find_ours, register, remove, repair
from service.sandbox.demo import DEMO_STORE_HASH
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from tests.fakes.upstream import FakeUpstream, store_api
from tests.fakes.webhooks import a_configured_store

CREATED, STATUS, ALL = "store/order/created", "store/order/statusUpdated", "store/order/*"
OURS = "https://hooks.example.com/webhooks/bigcommerce"
OLD = "https://old.example.com/webhooks/bigcommerce"
ERP = "https://erp.example.com/in"


@dataclass(slots=True)
class FakeStore:
    """A store of the sandbox, with helpers for its webhooks."""

    sandbox: RunningSandbox
    core: Core

    def store(self, *, headers: dict[str, list[str]] | None = None, wait: bool = False, **keys: Any) -> ConfiguredStore:
        secrets = {name: [SecretStr(value) for value in values] for name, values in (headers or {}).items()}
        incomplete = "wait" if wait else "enrich"
        return a_configured_store(DEMO_STORE_HASH, webhook_headers=secrets, incomplete_orders=incomplete, **keys)

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


def changes_of(outcome: StoreChanges) -> list[tuple[ChangeKind, str]]:
    assert all(step.hook_id for step in outcome.steps if step.is_done)
    return [(step.did, step.scope) for step in outcome.steps]


@pytest.fixture
async def fake() -> AsyncIterator[FakeStore]:
    clock = StillClock()
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(called_sandbox(clock))
        http = await stack.enter_async_context(sandbox.api._transport)
        transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url, clock=clock)
        account = Account(DEMO_STORE_HASH, (SecretStr("sandbox-access-token"),))
        yield FakeStore(sandbox, StoreApi(transport, account).core)


# ── register ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_register_creates_missing_webhooks_with_the_first_secret_of_each_header(fake: FakeStore) -> None:
    store = fake.store(headers={"X-Key": ["new", "old"], "X-Second": ["s"]})
    outcome = await register(fake.core, store, OURS)

    assert changes_of(outcome) == [(ChangeKind.CREATED, CREATED)]
    assert (outcome.destination, outcome.elsewhere, outcome.blocked, outcome.is_complete) == (OURS, (), {}, True)
    assert await fake.hooks() == {(CREATED, OURS): (True, {"X-Key": "new", "X-Second": "s"})}


async def test_a_store_that_waits_for_a_status_gets_a_webhook_for_it(fake: FakeStore) -> None:
    outcome = await register(fake.core, fake.store(wait=True), OURS)
    assert changes_of(outcome) == [(ChangeKind.CREATED, CREATED), (ChangeKind.CREATED, STATUS)]
    assert await fake.hooks() == {(CREATED, OURS): (True, {}), (STATUS, OURS): (True, {})}


async def test_a_second_register_writes_nothing(fake: FakeStore) -> None:
    store = fake.store(headers={"X-Key": ["k"]}, wait=True)
    await register(fake.core, store, OURS)
    before = await fake.writes()

    outcome = await register(fake.core, store, OURS)
    assert changes_of(outcome) == [(ChangeKind.KEPT, CREATED), (ChangeKind.KEPT, STATUS)]
    assert await fake.writes() == before == 2


async def test_register_fixes_a_webhook_in_one_call_and_keeps_other_headers(fake: FakeStore) -> None:
    await fake.hook(is_active=False, headers={"x-key": "wrong", "X-Proxy": "p"})
    before = await fake.writes()

    outcome = await register(fake.core, fake.store(headers={"X-Key": ["k"]}), OURS)
    assert changes_of(outcome) == [(ChangeKind.ACTIVATED, CREATED), (ChangeKind.HEADERS_SET, CREATED)]
    assert await fake.hooks() == {(CREATED, OURS): (True, {"X-Key": "k", "X-Proxy": "p"})}
    assert await fake.writes() == before + 1


async def test_a_webhook_for_all_order_events_is_enough(fake: FakeStore) -> None:
    await fake.hook(ALL)
    assert changes_of(await register(fake.core, fake.store(wait=True), OURS)) == [(ChangeKind.KEPT, ALL)]


async def test_register_completes_a_rotation_and_repair_accepts_either_secret(fake: FakeStore) -> None:
    await fake.hook(headers={"X-Key": "old"})
    rotating = fake.store(headers={"X-Key": ["new", "old"]})

    assert changes_of(await repair(fake.core, rotating, OURS)) == [(ChangeKind.KEPT, CREATED)]
    assert changes_of(await register(fake.core, rotating, OURS)) == [(ChangeKind.HEADERS_SET, CREATED)]
    assert await fake.hooks() == {(CREATED, OURS): (True, {"X-Key": "new"})}


async def test_webhooks_to_other_destinations_are_reported_and_left_unchanged(fake: FakeStore) -> None:
    await fake.hook(destination=OLD)
    await fake.hook(destination="https://user:secret@erp.example.com/in?key=secret")
    await fake.hook("store/product/updated", "https://pim.example.com/in")
    before = await fake.hooks()

    outcome = await register(fake.core, fake.store(), OURS)
    assert changes_of(outcome) == [(ChangeKind.CREATED, CREATED)]
    assert outcome.elsewhere == (ERP, OLD)
    assert await fake.hooks() == before | {(CREATED, OURS): (True, {})}


async def test_move_redirects_another_receivers_webhooks_instead_of_creating_new_ones(fake: FakeStore) -> None:
    await fake.hook(destination=OLD, is_active=False, headers={"X-Key": "wrong", "X-Proxy": "p"})
    await fake.hook(destination=ERP)

    outcome = await register(fake.core, fake.store(headers={"X-Key": ["k"]}, wait=True), OURS, move=True)
    assert changes_of(outcome) == [(ChangeKind.MOVED, CREATED), (ChangeKind.CREATED, STATUS)]
    assert outcome.elsewhere == (ERP,)
    assert await fake.hooks() == {
        (CREATED, OURS): (True, {"X-Key": "k", "X-Proxy": "p"}),
        (CREATED, ERP): (True, {}),
        (STATUS, OURS): (True, {"X-Key": "k"}),
    }


async def test_a_webhook_for_all_order_events_is_moved_once(fake: FakeStore) -> None:
    await fake.hook(ALL, OLD)
    outcome = await register(fake.core, fake.store(wait=True), OURS, move=True)
    assert changes_of(outcome) == [(ChangeKind.MOVED, ALL)]
    assert await fake.hooks() == {(ALL, OURS): (True, {})}


async def test_move_prefers_an_active_webhook_and_deletes_none(fake: FakeStore) -> None:
    older = "https://older.example.com/webhooks/bigcommerce"
    await fake.hook(destination=older, is_active=False)
    await fake.hook(destination=OLD)
    outcome = await register(fake.core, fake.store(), OURS, move=True)
    assert (changes_of(outcome), outcome.elsewhere) == ([(ChangeKind.MOVED, CREATED)], (older,))
    assert changes_of(await register(fake.core, fake.store(), OURS, move=True)) == [(ChangeKind.KEPT, CREATED)]
    assert set(await fake.hooks()) == {(CREATED, OURS), (CREATED, older)}


async def test_a_refusal_is_reported_and_the_other_changes_are_made(fake: FakeStore) -> None:
    for number in range(10):
        await fake.hook(destination=f"{ERP}/{number}")
    outcome = await register(fake.core, fake.store(wait=True), OURS)

    refused, created = outcome.steps
    assert (refused.did, refused.scope, refused.hook_id) == (ChangeKind.FAILED, CREATED, None)
    assert refused.reason is not None
    assert refused.reason.startswith("Create a Webhook: 422: ")
    assert "There are 10 webhooks with this scope." in refused.reason
    assert (created.did, created.scope) == (ChangeKind.CREATED, STATUS)
    assert not outcome.is_complete


@pytest.mark.parametrize("move", [False, True])
async def test_a_call_without_an_answer_is_a_failed_step_and_can_be_repeated(fake: FakeStore, move: bool) -> None:
    await fake.hook(destination=OLD)
    await fake.hook(STATUS, is_active=False)
    await fake.sandbox.faults(error_rate=1.0, operations=["Create a Webhook", "Update a Webhook"])
    outcome = await register(fake.core, fake.store(wait=True), OURS, move=move)
    assert changes_of(outcome) == [(ChangeKind.FAILED, STATUS), (ChangeKind.FAILED, CREATED)]
    assert outcome.elsewhere == (OLD,)

    await fake.sandbox.faults()
    outcome = await register(fake.core, fake.store(wait=True), OURS, move=move)
    assert changes_of(outcome) == [
        (ChangeKind.ACTIVATED, STATUS),
        (ChangeKind.MOVED if move else ChangeKind.CREATED, CREATED),
    ]


async def test_a_refusal_that_quotes_the_headers_is_redacted() -> None:
    upstream = FakeUpstream()
    listed = {"id": 1, "scope": CREATED, "destination": OURS, "headers": {"X-Proxy": "other-secret"}}
    refusal = {"title": "invalid", "errors": {"headers": "first-secret and other-secret will not do"}}
    upstream.on("GET /v3/hooks", {"data": [listed]})
    upstream.on("GET /v3/hooks/admin", {"data": {}})
    upstream.on("PUT /v3/hooks/1", (422, refusal))
    upstream.on("POST /v3/hooks", (422, refusal | {"errors": {"headers": "first-secret will not do"}}))
    store = a_configured_store(webhook_headers={"X-Key": [SecretStr("first-secret")]}, incomplete_orders="wait")

    async with store_api(upstream) as api:
        outcome = await register(api.core, store, OURS)
    assert [step.reason for step in outcome.steps] == [
        "Update a Webhook: 422: invalid; headers: *** and *** will not do",
        "Create a Webhook: 422: invalid; headers: *** will not do",
    ]


async def test_a_webhook_without_an_id_cannot_be_changed_or_moved(
    fake: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [{"scope": STATUS, "destination": OURS, "is_active": False}, {"scope": CREATED, "destination": OLD}]
    monkeypatch.setattr(Core, "hooks", answering(listed))
    outcome = await register(fake.core, fake.store(wait=True), OURS, move=True)
    assert changes_of(outcome) == [(ChangeKind.FAILED, STATUS), (ChangeKind.CREATED, CREATED)]
    assert outcome.steps[0].reason == "BigCommerce lists it without an id"

    (step,) = await remove(fake.core, [hook for hook in await find_ours(fake.core, OURS) if hook.scope == STATUS])
    assert (step.did, step.reason) == (ChangeKind.FAILED, "BigCommerce lists it without an id")


async def test_a_token_that_is_refused_raises(fake: FakeStore) -> None:
    await fake.sandbox.faults(refuse_credentials=[DEMO_STORE_HASH])
    with pytest.raises(CredentialsRefused):
        await register(fake.core, fake.store(), OURS)


async def test_a_token_that_cannot_read_blocked_domains_can_register(
    fake: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Core, "hooks_admin", raising(CredentialsRefused("Get Admin Info", "no", status=403)))
    assert changes_of(await register(fake.core, fake.store(), OURS)) == [(ChangeKind.CREATED, CREATED)]


# ── optional webhooks ───────────────────────────────────────────────────────────────────────────────────────────


OPTIONAL = (METAFIELD_CREATED, METAFIELD_UPDATED, ORDER_UPDATED, *COMPANY_CHANGED)


def following(fake: FakeStore, **keys: Any) -> ConfiguredStore:
    """A store that needs all optional webhooks."""
    return fake.store(po_number="metafields.a.b || order.staff_notes", follow="24h", **keys)


async def test_register_creates_optional_webhooks_after_the_essential_ones(fake: FakeStore) -> None:
    outcome = await register(fake.core, following(fake, headers={"X-Key": ["k"]}, wait=True), OURS)

    assert changes_of(outcome) == [(ChangeKind.CREATED, scope) for scope in (CREATED, STATUS, *OPTIONAL)]
    assert [step.is_optional for step in outcome.steps] == 2 * [False] + 6 * [True]
    assert await fake.hooks() == {(scope, OURS): (True, {"X-Key": "k"}) for scope in (CREATED, STATUS, *OPTIONAL)}


async def test_a_token_without_the_scope_of_b2b_edition_registers_the_others(fake: FakeStore) -> None:
    await fake.sandbox.put_store(missing_scopes=["b2b_modify"])

    outcome = await register(fake.core, following(fake), OURS)

    assert changes_of(outcome) == [
        *((ChangeKind.CREATED, scope) for scope in (CREATED, METAFIELD_CREATED, METAFIELD_UPDATED, ORDER_UPDATED)),
        *((ChangeKind.FAILED, scope) for scope in COMPANY_CHANGED),
    ]
    assert all(str(step.reason).startswith("Create a Webhook: 403") for step in outcome.steps[4:])
    assert outcome.is_complete


async def test_the_limit_of_ten_webhooks_may_keep_an_optional_one_out(fake: FakeStore) -> None:
    for number in range(10):
        await fake.hook(ORDER_UPDATED, f"{ERP}/{number}")

    outcome = await register(fake.core, following(fake), OURS)

    assert [step.scope for step in outcome.steps if not step.is_done] == [ORDER_UPDATED]
    assert outcome.is_complete
    assert outcome.elsewhere == (), "other programs may hear of changes"


async def test_an_essential_webhook_that_fails_is_not_made_up_for_by_optional_ones(fake: FakeStore) -> None:
    for number in range(10):
        await fake.hook(CREATED, f"{ERP}/{number}")

    outcome = await register(fake.core, following(fake), OURS)

    assert [(step.scope, step.is_optional) for step in outcome.steps if not step.is_done] == [(CREATED, False)]
    assert not outcome.is_complete


@pytest.mark.parametrize(
    ("wildcards", "created"),
    [
        (["store/order/*"], COMPANY_CHANGED),
        (["store/order/*", "store/company/*"], ()),
        (["store/*"], ()),
        (["store/order/metafield/*"], (CREATED, ORDER_UPDATED, *COMPANY_CHANGED)),
        (["store/company/user/*"], (CREATED, METAFIELD_CREATED, METAFIELD_UPDATED, ORDER_UPDATED, COMPANY_CHANGED[-1])),
    ],
)
async def test_a_wildcard_counts_for_all_scopes_below_it(
    fake: FakeStore, wildcards: list[str], created: tuple[str, ...]
) -> None:
    for wildcard in wildcards:
        await fake.hook(wildcard)

    outcome = await register(fake.core, following(fake), OURS)

    assert changes_of(outcome) == [
        *((ChangeKind.KEPT, wildcard) for wildcard in wildcards),
        *((ChangeKind.CREATED, scope) for scope in created),
    ]


async def test_optional_webhooks_are_activated_and_moved_like_others(fake: FakeStore) -> None:
    await fake.hook(ORDER_UPDATED, is_active=False)
    await fake.hook(METAFIELD_CREATED, OLD)
    await fake.hook(METAFIELD_UPDATED, ERP)

    outcome = await register(fake.core, following(fake), OURS, move=True)

    assert changes_of(outcome)[:4] == [
        (ChangeKind.ACTIVATED, ORDER_UPDATED),
        (ChangeKind.CREATED, CREATED),
        (ChangeKind.MOVED, METAFIELD_CREATED),
        (ChangeKind.CREATED, METAFIELD_UPDATED),
    ]
    assert [step.is_optional for step in outcome.steps[:4]] == [True, False, True, True]
    assert outcome.elsewhere == ()


async def test_an_old_receiver_that_hears_only_of_changes_is_reported(fake: FakeStore) -> None:
    await fake.hook(ORDER_UPDATED, OLD)

    outcome = await register(fake.core, following(fake), OURS)

    assert outcome.elsewhere == (OLD,)


async def test_repair_finds_ours_by_the_essential_webhook(fake: FakeStore) -> None:
    await fake.hook(ORDER_UPDATED, OLD)
    await fake.hook(CREATED, OURS, is_active=False)

    outcome = await repair(fake.core, following(fake), None)

    assert outcome.destination == OURS
    assert changes_of(outcome)[0] == (ChangeKind.ACTIVATED, CREATED)


async def test_remove_finds_all_kinds_of_ours_whatever_the_store_needs_now(fake: FakeStore) -> None:
    wildcards = ("store/order/*", "store/order/metafield/*", "store/company/*", "store/*")
    for scope in (CREATED, STATUS, *OPTIONAL, *wildcards, "store/product/updated", "store/product/*"):
        await fake.hook(scope)

    found = await find_ours(fake.core, None)

    assert [hook.scope for hook in found] == [CREATED, STATUS, *OPTIONAL, *wildcards]


# ── repair ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_repair_fixes_everything_at_the_known_destination(fake: FakeStore) -> None:
    proxy = "https://proxy.example.com/in"
    await fake.hook(destination=OLD)
    await fake.hook(destination=proxy, is_active=False, headers={"X-Key": "wrong"})

    outcome = await repair(fake.core, fake.store(headers={"X-Key": ["k"]}, wait=True), proxy)
    assert changes_of(outcome) == [
        (ChangeKind.ACTIVATED, CREATED),
        (ChangeKind.HEADERS_SET, CREATED),
        (ChangeKind.CREATED, STATUS),
    ]
    assert (outcome.destination, outcome.elsewhere) == (proxy, (OLD,))
    assert await fake.hooks() == {
        (CREATED, OLD): (True, {}),
        (CREATED, proxy): (True, {"X-Key": "k"}),
        (STATUS, proxy): (True, {"X-Key": "k"}),
    }


async def test_repair_recreates_a_webhook_that_is_gone(fake: FakeStore) -> None:
    assert changes_of(await repair(fake.core, fake.store(), OURS)) == [(ChangeKind.CREATED, CREATED)]
    assert changes_of(await repair(fake.core, fake.store(), OURS)) == [(ChangeKind.KEPT, CREATED)]


async def test_repair_without_a_known_destination_goes_by_the_path(fake: FakeStore) -> None:
    await fake.hook(destination=ERP)
    await fake.hook(is_active=False)
    assert changes_of(await repair(fake.core, fake.store(), None)) == [(ChangeKind.ACTIVATED, CREATED)]


async def test_repair_without_any_webhook_of_ours_says_what_to_do(fake: FakeStore) -> None:
    await fake.hook(destination=ERP)
    with pytest.raises(
        ConfigError, match=r"^webhooks: none of them goes to a receiver of ours\. Run `enrich hooks register "
    ):
        await repair(fake.core, fake.store(), None)
    assert set(await fake.hooks()) == {(CREATED, ERP)}


async def test_a_blocked_domain_is_reported(fake: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = [{"destination": "hooks.example.com", "time_left": 130}, {"destination": "erp.example.com"}]
    monkeypatch.setattr(Core, "hooks_admin", answering({"blocked_domains": blocked}))
    outcome = await repair(fake.core, fake.store(), OURS)
    assert outcome.blocked == {"hooks.example.com": 130}


# ── remove ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_remove_deletes_the_webhooks_for_orders_to_the_known_destination(fake: FakeStore) -> None:
    first, second = await fake.hook(), await fake.hook(STATUS)
    await fake.hook("store/product/updated")
    await fake.hook(destination=OLD)

    steps = await remove(fake.core, await find_ours(fake.core, OURS))
    assert steps == [
        HookChange(ChangeKind.DELETED, CREATED, OURS, first),
        HookChange(ChangeKind.DELETED, STATUS, OURS, second),
    ]
    assert set(await fake.hooks()) == {("store/product/updated", OURS), (CREATED, OLD)}
    assert await find_ours(fake.core, OURS) == []


@pytest.mark.parametrize("url", ["https://old.example.com", "https://old.example.com/", OLD, f"{OLD}?key=secret"])
async def test_remove_finds_a_redacted_url_or_a_host(fake: FakeStore, url: str) -> None:
    await fake.hook()
    await fake.hook(destination=f"{OLD}?key=secret")
    (found,) = await find_ours(fake.core, OURS, url)
    assert found.destination == f"{OLD}?key=secret"


async def test_remove_without_a_known_destination_takes_the_only_receiver(fake: FakeStore) -> None:
    await fake.hook(destination=ERP)
    assert await find_ours(fake.core, None) == []
    await fake.hook()
    assert [hook.destination for hook in await find_ours(fake.core, None)] == [OURS]


async def test_remove_does_not_guess_between_receivers(fake: FakeStore) -> None:
    await fake.hook()
    await fake.hook(destination=OLD)
    with pytest.raises(ConfigError, match=f"^--url: is needed: .* One of: {OURS}, {OLD}\\.$"):
        await find_ours(fake.core, None)


async def test_a_webhook_that_cannot_be_deleted_is_a_failed_step(
    fake: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fake.hook()
    found = await find_ours(fake.core, OURS)
    monkeypatch.setattr(Core, "delete_hook", raising(Refused("Delete a Webhook", "Not now.", status=409)))
    (step,) = await remove(fake.core, found)
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


def test_a_path_of_a_proxy_before_the_receivers_is_kept() -> None:
    url = "https://proxy.example.com/In/bc/webhooks/bigcommerce"
    assert destination_of(url) == destination_of(url + "/") == url


@pytest.mark.parametrize("path", ["/In/bc", "/In/bc/"])
def test_a_path_at_which_the_receiver_would_answer_404_is_refused_with_both_right_ones(path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        destination_of(f"https://Proxy.example.com{path}")
    assert str(refused.value) == (
        f"--url https://Proxy.example.com{path}: has another path than /webhooks/bigcommerce, the only one at which the"
        " receiver takes webhooks. Write https://proxy.example.com. If a proxy has the receiver below /In/bc:"
        " https://proxy.example.com/In/bc/webhooks/bigcommerce."
    )


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


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://web.test:80", "https://hooks.example.com:8443/in/webhooks/bigcommerce"]
)
def test_a_sandbox_calls_any_port_with_or_without_tls(url: str) -> None:
    path = "" if "/in/" in url else "/webhooks/bigcommerce"
    assert destination_of(url, from_sandbox=True) == url.removesuffix(":80") + path


def test_a_url_with_a_user_is_refused_for_a_sandbox_too() -> None:
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
