"""Optional webhooks are registered, moved and removed like others, and orders can do without them."""

from typing import Any

import pytest

from service.bigcommerce.clients.hooks import COMPANY_CHANGED, METAFIELD_CREATED, METAFIELD_UPDATED, ORDER_UPDATED
from service.configuration import ConfiguredStore
from service.hooks import ChangeKind, find_ours, register, repair
from tests.service.hooks.conftest import CREATED, ERP, OLD, OURS, STATUS, FakeStore, changes_of

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
