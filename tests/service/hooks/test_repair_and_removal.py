"""What repairing and removing do to the webhooks of a store."""

import pytest

from service.bigcommerce.clients.core_api import Core
from service.errors import ConfigError, Refused
from service.hooks import ChangeKind, HookChange, find_ours, remove, repair
from tests.fakes.webhooks import answering, refusing
from tests.service.hooks.conftest import CREATED, ERP, OLD, OURS, STATUS, FakeStore, changes_of


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
    monkeypatch.setattr(Core, "delete_hook", refusing(Refused("Delete a Webhook", "Not now.", status=409)))
    (step,) = await remove(fake.core, found)
    assert (step.did, step.reason) == (ChangeKind.FAILED, "Delete a Webhook: 409: Not now.")
