"""The demo's orders: the expected values are those that the demo's rules give in the sandbox."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.bigcommerce import Account, StoreApi, Transport
from service.configuration import Configuration, load_configuration
from service.demo.orders import (
    GUEST,
    STORES_FILE,
    DemoOrder,
    cart,
    changed_later,
    comment,
    demo_orders,
    duplicate,
    form_field,
    guest,
    incomplete,
    late,
    late_metafield,
    metafield,
    no_company,
    no_po,
    no_record,
    subsidiary,
    super_admin,
)
from service.orders.document.cache import Cache
from service.orders.document.loading import NoCompanyUser, read_order, read_people
from service.orders.document.sources import read_sources
from service.orders.state.order_entry import Status
from service.orders.values.values_to_send import ResolvedValues, read_configs, resolve_values
from service.redis.client import connect
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

ENRICHED = [form_field, metafield, cart, comment, no_po, incomplete, duplicate, late, no_record]
SKIPPED = [guest, no_company]
LATER = [late_metafield, changed_later, super_admin, subsidiary]
"""Orders whose values are known only later: the run as a whole shows that they are right at its end."""

ALL = [*ENRICHED, *SKIPPED, *LATER]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    path = tmp_path / "stores.toml"
    path.write_text(STORES_FILE.format(sandbox="http://127.0.0.1:9100"))
    return load_configuration(path, {"SANDBOX_ACCESS_TOKEN": "sandbox-access-token", "SANDBOX_CLIENT_SECRET": "secret"})


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(StillClock()) as sandbox:
        yield sandbox


async def composed(
    order: DemoOrder, sandbox: RunningSandbox, configuration: Configuration, redis_url: str
) -> ResolvedValues:
    """Place the order and apply the demo's rules to it."""
    configured = configuration.stores["sandbox"]
    store, rules = configured.store, configured.rules
    placed = await sandbox.place_order(**order.placement)
    async with (
        connect(redis_url) as redis,
        sandbox.api._transport as http,
    ):
        transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url)
        api, cache = StoreApi(transport, Account(store.hash, store.access_tokens)), Cache(redis, store.hash)
        document = await read_order(api, placed["id"], rules.needs)
        document |= await read_sources(api, cache, document["order"], rules.needs)
        document |= await read_people(api, cache, order.placement["customer_id"], rules.needs)
        return resolve_values(rules, document, await read_configs(api, cache, store))


@pytest.mark.parametrize("make", ENRICHED)
async def test_the_expected_values_are_those_of_the_rules(
    make: object, sandbox: RunningSandbox, configuration: Configuration, redis_url: str
) -> None:
    assert callable(make)
    order: DemoOrder = make("4711-D")
    found = await composed(order, sandbox, configuration, redis_url)

    assert (found.values.po_number or "", dict(found.values.extra_fields)) == (order.po_number, order.fields)
    assert (found.dropped, found.failure) == ({}, None)
    assert order.reason is None


async def test_a_shopper_without_a_company_is_not_a_company_user(
    sandbox: RunningSandbox, configuration: Configuration, redis_url: str
) -> None:
    with pytest.raises(NoCompanyUser):
        await composed(no_company("4711-D"), sandbox, configuration, redis_url)


@pytest.mark.parametrize(("make", "reason"), [(guest, "guest"), (no_company, "not_a_company_user")])
def test_a_skipped_order_would_have_had_a_po(make: object, reason: str) -> None:
    assert callable(make)
    order: DemoOrder = make("4711-D")
    assert (order.outcome, order.reason, order.po_number, order.fields) == (Status.SKIPPED, reason, "", {})
    assert order.placement["billing_address"] == form_field("4711-D").placement["billing_address"]
    assert (order.placement["customer_id"] == GUEST) == (reason == "guest")


def test_only_orders_that_cannot_be_complete_in_the_window_are_expected_to_be_updated() -> None:
    updated = {make for make in ALL if make("4711-D").outcome is Status.UPDATED}
    assert updated == {late, super_admin}
    assert {make for make in ALL if not make("4711-D").in_window} == {no_record}
    assert min(make("4711-D").placement["delay_webhook"] for make in (late, no_record)) > 10


def test_the_usual_demo_has_every_kind_and_each_rare_one_once() -> None:
    counts = Counter(order.kind for order in demo_orders(25))
    rare = {make("").kind for make in (*LATER, late, no_record, cart, incomplete, guest, no_company, duplicate)}
    usual = {make("").kind for make in (form_field, metafield, comment, no_po)}

    assert set(counts) == rare | usual
    assert {counts[kind] for kind in rare} == {1}
    assert {counts[kind] for kind in usual} <= {3, 4}


def test_an_order_without_a_record_is_never_the_last_one() -> None:
    assert [order.kind for order in demo_orders(4)][-1] != no_record("").kind
    assert [order.kind for order in demo_orders(5)][-2] == no_record("").kind


@pytest.mark.parametrize("count", [1, 2, 9, 1000])
def test_there_are_count_orders_with_different_pos(count: int) -> None:
    orders = list(demo_orders(count))
    po_numbers = [order.po_number for order in orders if order.po_number]

    assert len(orders) == count
    assert len(set(po_numbers)) == len(po_numbers)


def test_the_stores_file_of_the_demo_holds_no_secret(configuration: Configuration) -> None:
    assert configuration.literal_secrets == ()
