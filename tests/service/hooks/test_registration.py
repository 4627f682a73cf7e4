"""What registering does to the webhooks of a store."""

import pytest
from pydantic import SecretStr

from service.bigcommerce.clients.core_api import Core
from service.errors import CredentialsRefused
from service.hooks import ChangeKind, find_ours, register, remove, repair
from service.sandbox.demo import DEMO_STORE_HASH
from tests.fakes.upstream import FakeUpstream, store_api
from tests.fakes.webhooks import a_configured_store, answering, refusing
from tests.service.hooks.conftest import ALL, CREATED, ERP, OLD, OURS, STATUS, FakeStore, changes_of


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
    monkeypatch.setattr(Core, "hooks_admin", refusing(CredentialsRefused("Get Admin Info", "no", status=403)))
    assert changes_of(await register(fake.core, fake.store(), OURS)) == [(ChangeKind.CREATED, CREATED)]
