"""The parts of the console's bench: its ledger, its people, its table, the other dashboards' lock file."""

import gzip
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from arq import ArqRedis

from service.orders.search import OrderFilter, find
from service.orders.state.order_entry import Status
from service.orders.statistics.aggregate import Aggregate
from service.orders.statistics.reading import Statistics
from tests.bench.console.clicks import Clicked, PageToClick, Plan, run
from tests.bench.console.dashboards import LOCK
from tests.bench.console.ledger import fill
from tests.bench.console.measuring import Cost, Measured, Orders, Subject, figures, first_visit_bytes

STORES = ["s0", "s1", "s2"]


async def test_the_ledger_is_filled_with_orders_of_all_outcomes(redis: ArqRedis) -> None:
    await fill(redis, STORES, 300)
    entries = await find(redis, STORES, OrderFilter())
    by_outcome = Counter(entry.status for entry in entries)
    assert len(entries) == 300
    assert by_outcome.keys() == {status for status in Status if status.is_final}
    assert by_outcome[Status.CREATED] > 240
    assert {entry.store for entry in entries} == set(STORES)
    now = datetime.now(UTC)
    days = await Statistics(redis).days(STORES, now - timedelta(days=31), now)
    assert Aggregate.total(day.aggregate for day in days).outcomes == {
        status.value: count for status, count in by_outcome.items()
    }
    ages = [time.time() - entry.ended_at for entry in entries if entry.ended_at]
    assert min(ages) < 10_000 < 28 * 86_400 < max(ages)


PAGE = gzip.compress(b'<script src="/app.js"></script><img src="https://elsewhere.example/x.png">' + b"x" * 500)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def page(request: web.Request) -> web.Response:
        assert request.headers["accept-encoding"] == "gzip"
        assert request.headers["cookie"] == "enrich=a"
        return web.Response(body=PAGE, headers={"content-encoding": "gzip"})

    async def rows(_: web.Request) -> web.Response:
        return web.Response(body=b"r" * 1000)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/rows", rows), web.get("/app.js", rows)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def test_people_click_as_planned_and_bytes_are_those_over_the_wire(url: str) -> None:
    pages = [PageToClick("page", [["/"]]), PageToClick("list", [["/", "/rows"]])]
    plan = Plan(url, pages, people=3, pause_s=0.0, clicks=5, headers={"cookie": "enrich=a"})
    found = await run(Plan.from_json(plan.to_json()))
    assert found["all"].clicks == found["page"].clicks + found["list"].clicks == 15
    assert len(PAGE) < found["page"].bytes_each < len(PAGE) + 400
    assert 1000 < found["list"].bytes_each - found["page"].bytes_each < 1400
    assert 0 < found["list"].p50_ms <= found["list"].p95_ms <= found["list"].p99_ms


async def test_a_page_that_fails_ends_the_run(url: str) -> None:
    with pytest.raises(AssertionError, match="/lost answered 404"):
        await run(Plan(url, [PageToClick("lost", [["/lost"]])], people=1, pause_s=0.0, clicks=1))


async def test_a_first_visit_loads_what_the_page_names_of_the_same_server(url: str) -> None:
    size = await first_visit_bytes(Subject("x", url, 0, [], {"cookie": "enrich=a"}, "/"))
    assert len(PAGE) + 1000 < size < len(PAGE) + 1000 + 800


def measured(p95_ms: float, *pages: str) -> Measured:
    clicked = Clicked(100, 4.0, p95_ms, 20.0, 3000.0)
    costs = {page: Cost(7.0, 0.5, 6.0) for page in pages}
    return Measured(Orders(1.0, 12.0), dict.fromkeys([*pages, "all"], clicked), costs, 60_000)


def test_the_table_has_ours_each_other_and_their_ratios() -> None:
    found = {
        "the console": measured(10.0, "overview", "orders", "order"),
        "Flower": measured(40.0, "overview", "list", "one job"),
    }
    table = {figure.name: figure for figure in figures(Orders(1.0, 11.0), found)}
    share = table["created in the window, 10 people click in the console (floor: nobody clicks)"]
    assert (share.value, share.ratio, share.met) == (100.0, 1.0, True)
    every = table["the console: all pages, first byte, p95"]
    assert (every.value, every.met, table["Flower: all pages, first byte, p95"].met) == (10.0, True, None)
    assert table["orders, first byte, p95 (floor: list of Flower)"].ratio == 0.25
    assert table["first visit (floor: Flower)"].ratio == 1.0
    assert table["the console: order, first byte, p95"].remark == (
        "p50 4.0, p99 20.0 ms; 3.0 kB; 7 commands and 0.50 ms of Redis, 6.0 ms of its own CPU"
    )


def test_the_other_dashboards_are_pinned_with_hashes() -> None:
    text = LOCK.read_text()
    names = re.findall(r"^([\w.-]+)==\S+.* \\$", text, re.MULTILINE)
    assert {"celery", "flower", "rq", "rq-dashboard", "redis"} <= set(names)
    assert len(re.findall(r"^\S+==", text, re.MULTILINE)) == len(names)
    assert "http" not in text
