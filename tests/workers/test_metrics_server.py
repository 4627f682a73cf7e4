"""A worker's HTTP endpoints: health check and metrics."""

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
from service.orders.state.order_entry import Entry, Stage, Status
from tests.fakes.redis.server import running_redis
from tests.fakes.sandbox import free_port
from workers.metrics_server import serve_metrics
from workers.orders import completion
from workers.orders.result_types import Finished
from workers.resources import Resources, open_resources

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
    async with serve_metrics(resources, "127.0.0.1", port), http as client:
        yield client


async def metrics(client: httpx.AsyncClient) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def created(age: float) -> Entry:
    times = {Stage.CREATED: 1_700_000_000.0, Stage.READ: 1_700_000_000.5, Stage.SENT: 1_700_000_000.0 + age}
    return Entry("abc123", 250, times=times, create_age=age, source="webhook")


async def test_finished_order_is_counted_with_its_age_and_stages(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        await completion.finish(resources, created(0.9), Finished(Status.CREATED, verified=True))
        served = await metrics(client)
    assert served['enrich_orders_total{outcome="created",store="abc123"}'] == 1
    assert served['enrich_create_age_seconds_bucket{le="1.0"}'] == 1
    assert served['enrich_create_age_seconds_bucket{le="0.75"}'] == 0
    assert served['enrich_create_margin_seconds_bucket{le="9.0"}'] == 0
    assert served['enrich_create_margin_seconds_bucket{le="9.25"}'] == 1
    assert served['enrich_stage_seconds_sum{stage="read"}'] == pytest.approx(0.5)
    assert served['enrich_stage_seconds_sum{stage="sent"}'] == pytest.approx(0.4)


async def test_shares_of_the_window_count_only_orders_whose_window_is_known(tmp_path: Path, redis_url: str) -> None:
    late, inferred, updated = created(130.0), created(0.9), created(0.9)
    late.late_creates, inferred.window_opened_at, updated.create_age = 1, 1_700_000_000.0, None
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        for order_id, entry in enumerate((created(0.9), late, inferred, updated), start=250):
            entry.order_id = order_id
            outcome = Status.UPDATED if entry is updated else Status.CREATED
            await completion.finish(resources, entry, Finished(outcome, verified=True))
        served = await metrics(client)
    assert served['enrich_orders_total{outcome="created",store="abc123"}'] == 3
    assert served['enrich_window_orders_total{in_window="true",store="abc123"}'] == 1
    assert served['enrich_window_orders_total{in_window="false",store="abc123"}'] == 2
    assert served["enrich_create_age_seconds_count"] == 1


async def test_writing_metrics_does_not_block_the_event_loop(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, gone_on = threading.Event(), threading.Event()

    def write(_: State) -> bytes:
        writing.set()
        return b"" if gone_on.wait(2) else b"blocked 1"

    monkeypatch.setattr("workers.metrics_server.metrics_text", write)
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        served = asyncio.create_task(metrics(client))
        await asyncio.to_thread(writing.wait, 5)
        gone_on.set()
        assert "blocked" not in await served


async def test_gauges_from_redis_are_included(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        await completion.finish(resources, Entry("abc123", 7), Finished(Status.FAILED, "po_number"))
        await resources.queue.heartbeat("me", 0)
        served = await metrics(client)
    assert served['enrich_failed_orders{store="abc123"}'] == 1
    assert served["enrich_workers"] == 1
    assert served['enrich_oldest_due_seconds{queue="window"}'] == 0


async def test_own_metrics_are_served_without_redis(tmp_path: Path) -> None:
    async with running_redis() as server, opened(tmp_path, server.url) as resources, shown(resources) as client:
        await metrics(client)
        server.kill()
        resources.metrics.leases_lost.inc()
        served = await metrics(client)
    assert served["enrich_leases_lost_total"] == 1
    assert "enrich_workers" not in served


async def test_health_check_answers(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_dropped_log_lines_are_counted(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "lines_dropped", lambda: 3)
    async with opened(tmp_path, redis_url) as resources, shown(resources) as client:
        assert (await metrics(client))["enrich_log_lines_dropped_total"] == 3


async def test_port_in_use_is_logged_and_the_worker_runs(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources:
        with free_port() as taken, capture_logs() as captured:
            taken.listen()
            async with serve_metrics(resources, "127.0.0.1", taken.getsockname()[1]):
                pass
    (line,) = captured
    assert (line["event"], line["log_level"]) == ("metrics_not_served", "warning")


async def test_port_0_serves_nothing(tmp_path: Path, redis_url: str) -> None:
    async with opened(tmp_path, redis_url) as resources:
        with capture_logs() as captured:
            async with serve_metrics(resources, "127.0.0.1", 0):
                pass
    assert captured == []
