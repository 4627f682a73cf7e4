"""Liveness, readiness, metrics, and unknown paths."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service.errors import ConfigError
from service.orders.state.queue import Counts
from service.receiver import health
from service.receiver.app import create_app, redis_queue
from service.receiver.authentication import StoreRegistry
from tests.fakes.redis.failover import redis_on_tcp
from tests.fakes.redis.server import running_redis
from tests.fakes.webhooks import FakeQueue, client_of, raising


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
async def client(queue: FakeQueue) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(StoreRegistry({}), queue.opened)) as client:
        yield client


async def test_alive_is_200_even_without_redis(client: httpx.AsyncClient, queue: FakeQueue) -> None:
    queue.read_counts = raising(RedisConnectionError())
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.head("/healthz")).status_code == 200


async def test_ready_reports_workers_and_queued_jobs(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"redis": True, "workers": 2, "queued": 7})


async def test_ready_without_workers_is_still_200(client: httpx.AsyncClient, queue: FakeQueue) -> None:
    queue.read_counts = lambda: Counts(workers=0, queued=0)
    assert (await client.get("/readyz")).json() == {"redis": True, "workers": 0, "queued": 0}


@pytest.mark.parametrize("error", [RedisConnectionError("gone"), ResponseError("MISCONF"), TimeoutError()])
async def test_not_ready_when_redis_does_not_answer(
    client: httpx.AsyncClient, queue: FakeQueue, error: Exception
) -> None:
    queue.read_counts = raising(error)
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"redis": False, "workers": None, "queued": None})


async def test_not_ready_when_redis_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowQueue(FakeQueue):
        async def counts(self) -> Counts:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(health, "_READY_TIMEOUT_S", 0.01)
    async with client_of(create_app(StoreRegistry({}), SlowQueue().opened)) as client:
        assert (await client.get("/readyz")).status_code == 503


@pytest.mark.integration
@pytest.mark.parametrize(
    "options", [("--maxmemory", "1"), ("--replicaof", "127.0.0.1", "1"), ("--min-replicas-to-write", "1")]
)
async def test_not_ready_when_redis_answers_but_takes_no_order(tmp_path: Path, options: tuple[str, ...]) -> None:
    with redis_on_tcp(tmp_path, *options) as port:
        async with client_of(create_app(StoreRegistry({}), redis_queue(f"redis://127.0.0.1:{port}"))) as client:
            answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"redis": False, "workers": None, "queued": None})


@pytest.mark.integration
async def test_readiness_follows_a_real_redis() -> None:
    async with running_redis() as redis, client_of(create_app(StoreRegistry({}), redis_queue(redis.url))) as client:
        assert (await client.get("/readyz")).json() == {"redis": True, "workers": 0, "queued": 0}
        redis.kill()
        assert (await client.get("/readyz")).status_code == 503
        await redis.restart()
        assert (await client.get("/readyz")).status_code == 200


def test_an_invalid_redis_url_is_an_error_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="REDIS_URL"):
        redis_queue("redis://h/not-a-number")


async def test_metrics_contain_every_answer_and_the_process_from_the_start(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    for name in ("queued", "duplicate", "ignored", "not_a_webhook", "refused", "too_large", "not_queued"):
        assert f'enrich_webhooks_total{{answer="{name}"}} 0.0' in answer.text
    assert "process_resident_memory_bytes" in answer.text
    assert 'enrich_webhook_seconds_bucket{le="+Inf"} 0.0' in answer.text


async def test_two_receivers_in_one_process_count_apart(client: httpx.AsyncClient, queue: FakeQueue) -> None:
    async with client_of(create_app(StoreRegistry({}), queue.opened)) as other:
        await other.post("/webhooks/bigcommerce")
        assert 'answer="not_a_webhook"} 1.0' in (await other.get("/metrics")).text
        assert 'answer="not_a_webhook"} 0.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("POST", "/webhooks/bigcommerce/x", 404),
        ("POST", "/webhooks", 404),
        ("GET", "/webhooks/bigcommerce", 405),
        ("PUT", "/webhooks/bigcommerce", 405),
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
    ],
)
async def test_other_paths_and_methods_have_an_empty_answer(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.content) == (status, b"")
    assert set(answer.headers) == {"content-length"} | ({"allow"} if status == 405 else set())
