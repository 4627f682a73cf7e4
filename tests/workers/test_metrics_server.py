"""What a worker shows of itself over HTTP, from its own loop."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from service import logs
from service.configuration import load_configuration
from service.gauges import State
from service.orders.state.entry import Entry, Stage, Status
from tests.fakes.redis_server import running_redis
from tests.fakes.sandbox import free_port
from workers import outcomes
from workers.metrics_server import monitored
from workers.resources import Resources, open_resources
from workers.results import Finished

STORES = """
[stores.abc123]
access_token = "token"
client_secret = "secret"
po_number = "order.customer_message"
"""


def free() -> int:
    with free_port() as listener:
        port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def opened(folder: Path, redis_url: str) -> AsyncIterator[Resources]:
    (folder / "stores.toml").write_text(STORES)
    async with open_resources(load_configuration(folder / "stores.toml"), redis_url) as resources:
        yield resources


@asynccontextmanager
async def shown(resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    port = free()
    http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    async with monitored(resources, "127.0.0.1", port), http as client:
        yield client


async def metrics(client: httpx.AsyncClient) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def created(age: float) -> Entry:
    times = {Stage.CREATED: 1_700_000_000.0, Stage.READ: 1_700_000_000.5, Stage.SENT: 1_700_000_000.0 + age}
    return Entry("abc123", 250, times=times, create_age=age)


async def test_an_order_that_ends_is_counted_with_its_age_and_its_stages(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        await outcomes.end(resources, created(0.9), Finished(Status.CREATED, verified=True))
        told = await metrics(client)
    assert told['enrich_orders_total{outcome="created",store="abc123"}'] == 1
    assert told['enrich_create_age_seconds_bucket{le="1.0"}'] == 1
    assert told['enrich_create_age_seconds_bucket{le="0.75"}'] == 0
    assert told['enrich_create_margin_seconds_bucket{le="9.0"}'] == 0
    assert told['enrich_create_margin_seconds_bucket{le="9.25"}'] == 1
    assert told['enrich_stage_seconds_sum{stage="read"}'] == pytest.approx(0.5)
    assert told['enrich_stage_seconds_sum{stage="sent"}'] == pytest.approx(0.4)


async def test_orders_go_on_while_the_numbers_of_many_stores_are_written(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, gone_on = threading.Event(), threading.Event()

    def write(_: State) -> bytes:
        writing.set()
        return b"" if gone_on.wait(2) else b"stood_still 1"

    monkeypatch.setattr("workers.metrics_server.metrics_text", write)
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        told = asyncio.create_task(metrics(client))
        await asyncio.to_thread(writing.wait, 5)
        gone_on.set()
        assert "stood_still" not in await told


async def test_how_things_stand_in_redis_is_told_with_it(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        await outcomes.end(resources, Entry("abc123", 7), Finished(Status.FAILED, "po_number"))
        await resources.queue.heartbeat("me", 0)
        told = await metrics(client)
    assert told['enrich_failed_orders{store="abc123"}'] == 1
    assert told["enrich_workers"] == 1
    assert told['enrich_oldest_due_seconds{queue="window"}'] == 0


async def test_without_redis_its_own_numbers_are_still_told(tmp_path: Path) -> None:
    async with running_redis() as server, opened(tmp_path, server.url) as resources, shown(resources) as client:
        await metrics(client)
        server.kill()
        resources.metrics.leases_lost.inc()
        told = await metrics(client)
    assert told["enrich_leases_lost_total"] == 1
    assert "enrich_workers" not in told


async def test_it_says_that_it_is_alive(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_dropped_log_lines_are_counted(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "lines_dropped", lambda: 3)
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        assert (await metrics(client))["enrich_log_lines_dropped_total"] == 3


async def test_a_port_that_is_taken_is_told_and_the_work_goes_on(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources:
        with free_port() as taken, capture_logs() as captured:
            taken.listen()
            async with monitored(resources, "127.0.0.1", taken.getsockname()[1]):
                pass
    (line,) = captured
    assert (line["event"], line["log_level"]) == ("metrics_not_served", "warning")


async def test_port_0_shows_nothing(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources:
        with capture_logs() as captured:
            async with monitored(resources, "127.0.0.1", 0):
                pass
    assert captured == []
