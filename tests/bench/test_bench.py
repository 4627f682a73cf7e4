"""Tests of the bench itself: the fake upstream and the report."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.bigcommerce.clients.hooks import read_blocked_domains, read_hooks
from service.bigcommerce.connection_pool import http_client
from service.bigcommerce.models import Record, Values
from service.errors import AlreadyExists, NotFound
from service.orders.create_window import Window
from tests.bench.fake_bigcommerce.fake_store import po_number
from tests.bench.fake_bigcommerce.response_templates import ACCOUNT_FIELD
from tests.bench.fake_bigcommerce.upstream import serve
from tests.bench.floors import Mix
from tests.bench.report import Figure, Target, machine, percentile, plain_table, table, write, write_long

WANTED = Values("PO-7", {ACCOUNT_FIELD: "ERP-10001"})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server = await serve("127.0.0.1", 0, 0.0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with http_client() as client:
        yield client


@pytest.fixture
def api(url: str, http: httpx.AsyncBaseTransport) -> StoreApi:
    return StoreApi(Transport(http, core_url=url, b2b_url=url), Account("s1", (SecretStr("token"),)))


async def test_order_is_placed_at_its_first_request(api: StoreApi) -> None:
    order = await api.core.order(7)
    assert (order["id"], order["customer_id"], order["status_id"]) == (7, 101, 11)
    form = {field["name"]: field["value"] for field in order["billing_address"]["form_fields"]}
    assert form == {"PO Number": po_number(7), ACCOUNT_FIELD: "ERP-10001"}
    assert Window.of_order(order["date_created"]).is_open(api.transport.upstream_clock.now())
    assert await api.core.order(7) == order


async def test_orders_are_listed_by_their_ids(api: StoreApi) -> None:
    assert await api.core.orders() == []
    assert [order["id"] for order in await api.core.orders(min_id=5, max_id=8)] == [5, 6, 7, 8]
    assert [order["id"] for order in await api.core.orders(min_id=7)] == [7, 8]
    (order,) = await api.core.orders(min_id=8, consignments=True)
    assert len(order["consignments"]["shipping"][0]["line_items"]) == 2


async def test_record_has_the_values_that_were_sent_and_is_created_once(api: StoreApi) -> None:
    with pytest.raises(NotFound):
        await api.b2b.create_order(7, 101, WANTED)
    await api.core.order(7)
    with pytest.raises(NotFound):
        await api.b2b.order(7)
    created = await api.b2b.create_order(7, 101, WANTED)
    assert (created.order_id, created.po_number, created.extra_fields) == (7, "PO-7", WANTED.extra_fields)
    assert await api.b2b.order(7) == created
    with pytest.raises(AlreadyExists):
        await api.b2b.create_order(7, 101, WANTED)


async def test_records_are_listed_in_pages_from_the_oldest(api: StoreApi) -> None:
    orders = await api.core.orders(min_id=1, max_id=5)
    for order in orders:
        await api.b2b.create_order(order["id"], 101, WANTED)
    before = int(Window.of_order(orders[0]["date_created"]).opened_at) - 1
    page = await api.b2b.orders(min_created=before, limit=3)
    records = [Record.model_validate(row) for row in page.items]
    assert ([record.order_id for record in records], page.total, page.next_offset) == ([1, 2, 3], 5, 3)
    assert all(record.has_extra_fields for record in records)
    rest = await api.b2b.orders(min_created=before, limit=3, offset=3)
    assert ([row["bcOrderId"] for row in rest.items], rest.next_offset) == ([4, 5], None)
    newest = await api.b2b.orders(min_created=before, limit=1, order_by="DESC")
    assert [row["bcOrderId"] for row in newest.items] == [5]


async def test_webhooks_and_configs_are_in_order(api: StoreApi) -> None:
    assert {hook.scope for hook in await read_hooks(api.core) if hook.is_active} == {
        "store/order/created",
        "store/order/statusUpdated",
    }
    assert await read_blocked_domains(api.core) == {}
    assert [config.field_name for config in await api.b2b.extra_field_configs()] == [ACCOUNT_FIELD]


async def test_no_order_is_modified_and_nobody_is_a_super_admin(api: StoreApi) -> None:
    await api.core.order(7)

    assert await api.core.orders(min_date_modified=datetime.now(UTC)) == []
    assert not await api.b2b.super_admin_ids()


async def test_quota_of_both_apis_does_not_limit(api: StoreApi) -> None:
    await api.core.order(7)
    await api.b2b.extra_field_configs()
    for quota in api.quotas.values():
        assert quota.resets_in_s is not None
        assert (quota.left or 0) > 1_000_000
    assert len(api.quotas) == 2


async def test_times_and_calls_are_reported(api: StoreApi, url: str) -> None:
    await api.core.order(7)
    await api.b2b.create_order(7, 101, WANTED)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        read_at, read_answered_at, create_at = (await client.get("/bench/times")).json()["s1"]["7"]
        counts = (await client.get("/bench/counts")).json()
    assert 0 < read_at <= read_answered_at <= create_at
    assert counts == {"created": 1, "calls": {"Get an Order": 1, "Create an Order": 1}, "rows": {}}


async def test_request_that_arrives_in_pieces_is_answered_after_the_delay() -> None:
    server = await serve("127.0.0.1", 0, 0.02)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"bcOrder', b'Id": 7, "customerId"', b": 101}"):
            yield piece

    async with httpx.AsyncClient(base_url=url, trust_env=False, headers={"X-Store-Hash": "s1"}) as client:
        await client.get("/stores/s1/v2/orders/7")
        answer = await client.post("/api/v3/io/orders", content=pieces(), headers={"Content-Length": "35"})
    server.close()
    assert answer.json()["data"]["bcOrderId"] == 7
    assert answer.elapsed.total_seconds() >= 0.019


def test_mix_has_the_shares_of_the_counted_calls() -> None:
    calls = {"Get an Order": 40, "Get All Orders": 15, "Get All Orders (B2B)": 10, "Create an Order": 100}
    assert Mix.of(100, calls, {"Get All Orders": 60, "Get All Orders (B2B)": 500}) == Mix(0.6, 4, 0.1, 50)


RATE = Figure("worker", "verified", "orders/s", 150.0, 200.0, Target("ratio", "≥", 0.7), remark="as ever")
SLOW = Figure("window", "added, p50", "ms", 12.5, target=Target("value", "≤", 10.0))
VOID = Figure("worker", "two", "orders/s", 250.0, 200.0, Target("ratio", "≥", 1.7), void="too few cores")
BYTES = Figure("memory", "an order", "bytes", 1234.0)


def test_target_is_compared_with_the_value_or_the_ratio() -> None:
    assert [figure.met for figure in (RATE, SLOW, VOID, BYTES)] == [True, False, None, None]
    assert [figure.ratio for figure in (RATE, SLOW)] == [0.75, None]


def test_table_shows_figures_and_whether_targets_are_met() -> None:
    lines = table([RATE, SLOW, VOID, BYTES]).splitlines()
    assert lines[2:] == [
        "| worker | verified | 150 orders/s | 200 | 0.75 | ratio ≥ 0.7 | yes | as ever |",
        "| window | added, p50 | 12.5 ms |  |  | ≤ 10 | **no** |  |",
        "| worker | two | 250 orders/s | 200 | 1.25 | ratio ≥ 1.7 | not judged | too few cores |",
        "| memory | an order | 1,234 bytes |  |  |  |  |  |",
    ]
    assert "**" not in plain_table([SLOW])


def test_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (0, 50, 99)] == [1.0, 51.0, 100.0]
    assert percentile([3.0], 99) == 3.0


def test_results_are_written_as_text_data_and_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write(tmp_path / "benchmarks", [RATE, SLOW, BYTES], {"calls": {"GET": 1.5}}, machine("6.2.14"))
    readme = (tmp_path / "benchmarks" / "README.md").read_text()
    assert table([RATE, SLOW, BYTES]) in readme
    assert "Redis 6.2.14" in readme
    results = json.loads((tmp_path / "benchmarks" / "results.json").read_text())
    assert (results["figures"][0]["ratio"], results["details"]) == (0.75, {"calls": {"GET": 1.5}})
    assert "worker: verified" in (tmp_path / "benchmarks" / "results.svg").read_text()


def test_the_long_run_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_long(tmp_path / "long", [BYTES], [(0, 70.0), (100_000, 75.0)], machine("6.2.14"))
    assert table([BYTES]) in (tmp_path / "long" / "README.md").read_text()
    assert "100,000" in (tmp_path / "long" / "results.svg").read_text()
