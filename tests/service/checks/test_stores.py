"""Checks of whole stores, against the sandbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from service.bigcommerce import Account, Api, StoreApi, Transport
from service.bigcommerce.connection_pool import http_client
from service.checks import Finding, check_clock, check_stores
from service.checks.stores import MAX_CONCURRENT_STORES, check_store
from service.configuration import Configuration
from service.hooks import set_destination
from service.orders.document.cache import Cache
from service.orders.values.values_to_send import read_configs
from service.redis.client import connect
from service.stores import Endpoints
from tests.fakes.sandbox import RunningSandbox, running_sandbox
from tests.fakes.stacks.checks import configuration, lines

STORE = """
[stores.sandbox]
access_token = "sandbox-access-token"
client_secret = "sandbox-client-secret"
late_values = "0s"
follow = "0s"
po_number = { from = ["metafields.checkout.po_number", "customer.company"] }
[stores.sandbox.extra_fields]
"Account No" = { from = 'company.extraFields."ERP Account"', required = true }
"""
NO_ORDERS = "ok  last orders  the store has no orders to try the rules on."
HEALTHY = [
    "ok  access_token  BigCommerce accepts it.",
    "ok  orders  can be read (scope Orders: read-only).",
    "ok  order metafields  can be read (scope Orders: read-only).",
    "ok  customers  can be read (scope Customers: read-only).",
    "ok  B2B Edition  answers: orders have 5 extra fields.",
    "ok  B2B Edition, writing  is allowed (scope B2B Edition: modify).",
    'ok  rule "Account No"  the field exists.',
    "ok  webhook store/order/created  goes to https://me.example/webhooks/bigcommerce.",
    NO_ORDERS,
    "ok  quota, core API  143 of 150 calls in 30 s are left.",
    "ok  quota, B2B Edition  147 of 150 calls in 60 s are left.",
]


@asynccontextmanager
async def transport_to(sandbox: RunningSandbox) -> AsyncIterator[Transport]:
    async with http_client() as http:
        yield Transport(http, core_url=sandbox.url, b2b_url=sandbox.url)


async def register(sandbox: RunningSandbox, destination: str = "https://me.example/webhooks/bigcommerce") -> None:
    hook = {"scope": "store/order/created", "destination": destination}
    assert (await sandbox.api.post("/stores/sandbox/v3/hooks", json=hook)).is_success


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as sandbox:
        await register(sandbox)
        yield sandbox


@pytest.fixture
def stores(tmp_path: Path) -> Configuration:
    return configuration(tmp_path, STORE)


async def check(sandbox: RunningSandbox, stores: Configuration, redis: Redis | None = None) -> list[Finding]:
    async with transport_to(sandbox) as transport:
        (findings,) = await check_stores(transport, list(stores.stores.values()), Endpoints(), redis)
    assert {finding.store for finding in findings} == {"sandbox"}
    return findings


def bad(findings: list[Finding]) -> list[str]:
    return [line for line in lines(findings) if not line.startswith("ok")]


async def test_a_healthy_store(sandbox: RunningSandbox, stores: Configuration) -> None:
    assert lines(await check(sandbox, stores)) == HEALTHY


async def test_a_check_leaves_everything_as_it_was(sandbox: RunningSandbox, stores: Configuration) -> None:
    order = await sandbox.place_order(customer_id=101, age=60, buyer_po="PO-7")
    before = await sandbox.order(order["id"])
    await check(sandbox, stores)

    assert await sandbox.order(order["id"]) == before
    calls = await sandbox.calls()
    assert calls["b2b"]["Update an Order"] == {"404": 1}
    assert "Create an Order" not in calls["b2b"]
    assert calls["core"]["Create a Webhook"] == {"200": 1}, "the test's own"
    assert not {"Update a Webhook", "Delete a Webhook"} & calls["core"].keys()


@pytest.mark.parametrize(
    ("missing", "starts"),
    [
        (["orders"], ["error  orders  the access token lacks", "error  order metafields  the access token lacks"]),
        (["customers"], ["error  customers  the access token lacks the scope Customers: read-only (403)."]),
        (["b2b_read", "b2b_modify"], ["error  B2B Edition  the access token lacks the scope B2B Edition: modify"]),
        (["b2b_modify"], ["error  B2B Edition, writing  the access token lacks the scope B2B Edition: modify (403)."]),
    ],
)
async def test_each_missing_scope_is_an_error(
    sandbox: RunningSandbox, stores: Configuration, missing: list[str], starts: list[str]
) -> None:
    fields = [{"fieldName": "Account No"}]
    await sandbox.put_store(missing_scopes=missing, extra_fields=fields)
    errors = bad(await check(sandbox, stores))
    assert [line.startswith(start) for line, start in zip(errors, starts, strict=True)] == [True] * len(starts)


async def test_a_refused_token_ends_the_check(sandbox: RunningSandbox, stores: Configuration) -> None:
    await sandbox.faults(refuse_credentials=["sandbox"])
    (line,) = lines(await check(sandbox, stores))
    assert line.startswith("error  access_token  BigCommerce refuses it (401: Unauthorized.")
    assert (await sandbox.calls())["total"] == 2  # the test's webhook, and the one call with the token


async def test_b2b_edition_alone_may_be_down(sandbox: RunningSandbox, stores: Configuration) -> None:
    await sandbox.faults(b2b_down=True)
    found = lines(await check(sandbox, stores))
    assert found[4].startswith("error  B2B Edition  BigCommerce has an internal problem (503: Service Unavailable).")
    assert [*found[:4], *found[5:]] == [*HEALTHY[:4], *HEALTHY[7:10]]


async def test_a_low_quota_is_a_warning(stores: Configuration) -> None:
    async with running_sandbox(core_quota=7, b2b_quota=300) as sandbox:
        await register(sandbox)
        low, unusual = lines(await check(sandbox, stores))[-2:]
    assert low.startswith("warning  quota, core API  only 0 of 7 calls in 30 s are left.")
    assert unusual == "ok  quota, B2B Edition  297 of 300 calls in 60 s are left. Most stores have 150."


async def test_the_calls_measure_the_clock_skew(sandbox: RunningSandbox, stores: Configuration) -> None:
    await sandbox.faults(clock_skew=300.0)
    async with transport_to(sandbox) as transport:
        assert not transport.upstream_clock.is_known
        await check_stores(transport, list(stores.stores.values()), Endpoints(), None)
        assert transport.upstream_clock.is_known
        (line,) = lines([check_clock(transport.upstream_clock.skew)])
    assert line.startswith("error  clock  this machine's clock is ")
    assert " s behind BigCommerce's: " in line


async def test_the_quota_seen_last_is_remembered_for_each_api(sandbox: RunningSandbox, stores: Configuration) -> None:
    async with transport_to(sandbox) as transport:
        api = StoreApi(transport, Account("sandbox", stores.stores["sandbox"].store.access_tokens))
        assert api.quotas == {}
        for _ in range(2):
            await api.core.orders(limit=1)
        await api.b2b.extra_field_configs()
        assert {name: quota.left for name, quota in api.quotas.items()} == {Api.CORE: 147, Api.B2B: 149}


async def test_what_is_checked_next_is_told(sandbox: RunningSandbox, stores: Configuration) -> None:
    steps = list[tuple[str, str]]()
    async with transport_to(sandbox) as transport:
        configured = list(stores.stores.values())
        await check_stores(
            transport, configured, Endpoints(), None, on_step=lambda store, step: steps.append((store, step))
        )
    assert steps == [
        ("sandbox", "access token and scopes"),
        ("sandbox", "extra fields"),
        ("sandbox", "webhooks and the public address"),
        ("sandbox", "rules on the last orders"),
        ("sandbox", "what Redis knows of it"),
    ]


# ── with Redis ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_renamed_field_is_reported_as_renamed(
    sandbox: RunningSandbox, stores: Configuration, redis_url: str
) -> None:
    configured = stores.stores["sandbox"]
    async with connect(redis_url) as redis, transport_to(sandbox) as transport:
        api = StoreApi(transport, Account("sandbox", configured.store.access_tokens))
        await read_configs(api, Cache(redis, "sandbox"), configured.store)
        await sandbox.put_store(extra_fields=[{"fieldName": "Account Number"}])
        (line,) = bad(await check_store(transport, configured, Endpoints(), redis, now=0.0))
    assert line == (
        'error  rule "Account No"  the field does not exist any more: it was renamed or deleted in'
        ' BigCommerce. Did you mean "Account Number"? Use its new name here, or remove the rule.'
    )


async def test_cached_data_of_another_version_is_no_error(
    sandbox: RunningSandbox, stores: Configuration, redis_url: str
) -> None:
    async with connect(redis_url) as redis:
        await redis.set("enrich:cache:sandbox:extra-field-configs", '[1.0, "something else"]')
        assert lines(await check(sandbox, stores, redis)) == [
            *HEALTHY[:9],
            "ok  Super Admins  not read yet; the workers do it at their start.",
            *HEALTHY[9:],
        ]


async def test_webhooks_are_expected_at_the_registered_destination(
    sandbox: RunningSandbox, stores: Configuration, redis_url: str
) -> None:
    async with connect(redis_url) as redis:
        await set_destination(redis, "sandbox", "https://new.example/webhooks/bigcommerce")
        missing, foreign = bad(await check(sandbox, stores, redis))
    assert missing.startswith("error  webhook store/order/created  does not exist")
    assert foreign.startswith("warning  webhooks  one for orders goes to https://me.example/webhooks/bigcommerce")


async def test_the_check_works_without_redis(sandbox: RunningSandbox, stores: Configuration) -> None:
    async with connect("redis://127.0.0.1:1/0") as redis:
        assert lines(await check(sandbox, stores, redis)) == HEALTHY


# ── many stores ─────────────────────────────────────────────────────────────────────────────────────────────────


class Crowd(httpx.AsyncBaseTransport):
    """Refuses every token, but only once the maximum number of stores is being checked at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.is_full = asyncio.Event()

    async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == MAX_CONCURRENT_STORES:
            self.is_full.set()
        async with asyncio.timeout(30):
            await self.is_full.wait()
        await asyncio.sleep(0.01)  # time for one more, if the limit did not hold
        self.now -= 1
        return httpx.Response(401, json={})


async def test_many_stores_are_checked_concurrently_up_to_the_limit(tmp_path: Path) -> None:
    names = [f"store{number}" for number in range(25)]
    stores = configuration(tmp_path, "".join(STORE.replace("stores.sandbox", f"stores.{name}") for name in names))
    crowd, progress = Crowd(), list[int]()
    async with crowd as http:
        transport = Transport(http, core_url="http://x", b2b_url="http://x")
        found = await check_stores(
            transport, list(stores.stores.values()), Endpoints(), None, on_progress=progress.append
        )
    assert [findings[0].store for findings in found] == names
    assert crowd.most == MAX_CONCURRENT_STORES
    assert progress == list(range(1, 26))
