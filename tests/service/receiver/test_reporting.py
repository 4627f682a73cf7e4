"""What a receiver tells of the webhooks that it accepts and refuses."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import httpx
import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from service.hooks import WEBHOOK_PATH
from service.orders.state.heartbeats import Heartbeats
from service.orders.state.per_store.webhook_counts import WebhookCounts
from service.receiver import reporting
from service.receiver.app import create_app, redis_queue
from service.receiver.authentication import StoreRegistry
from service.receiver.reporting import Reporter
from service.redis.client import connect
from tests.fakes.webhooks import FakeQueue, a_body, a_store, client_of, signed

BODY = a_body()
STORES = StoreRegistry({"abc123": a_store(client_secret=SecretStr("right"))})
ALIEN = BODY.replace(b"abc123", b"alien1")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "REPORT_INTERVAL_S", 0.01)


async def post(
    client: httpx.AsyncClient, path: str = WEBHOOK_PATH, *, body: bytes = BODY, secret: str = "right"
) -> int:
    return (await client.post(path, content=body, headers=signed(body, secret))).status_code


async def until(ask: Callable[[], Awaitable[object]], expected: object) -> None:
    """Wait until the answer is this one."""
    async with asyncio.timeout(30):
        while True:
            if await ask() == expected:
                return
            await asyncio.sleep(0.01)


async def test_webhooks_are_counted_by_store_and_reason_in_redis(redis_url: str) -> None:
    async with client_of(create_app(STORES, redis_queue(redis_url))) as client, connect(redis_url) as redis:
        assert [await post(client), await post(client, secret="wrong"), await post(client, body=ALIEN)] == [
            200,
            401,
            401,
        ]
        assert await post(client, "/webhook/bigcommerce") == 404
        assert await post(client, "/webhooks/bigcomerce") == 404
        expected = {"abc123": {"accepted": 1, "bad_signature": 1}, "": {"unknown_store": 1, "wrong_path": 1}}
        await until(lambda: WebhookCounts(redis).of_last_hour(now=time.time()), expected)
        assert (await Heartbeats(redis, "receivers").alive()).count == 1
    async with connect(redis_url) as redis:
        assert (await Heartbeats(redis, "receivers").alive()).count == 0


async def test_a_slash_at_the_end_of_the_path_changes_nothing() -> None:
    queue = FakeQueue()
    async with client_of(create_app(STORES, queue.opened)) as client:
        assert await post(client, WEBHOOK_PATH + "/") == 200
    assert len(queue.webhooks) == 1


async def test_requests_to_a_wrong_path_are_logged_once_a_minute_with_their_number() -> None:
    now = 1000.0
    reporter = Reporter(FakeQueue(), lambda: now)
    with capture_logs() as logs:
        for _ in range(3):
            reporter.count_wrong_path("/webhooks/orders")
        now += 60.0
        reporter.count_wrong_path("/webhooks")
    line = {"event": "webhook_wrong_path", "log_level": "warning"}
    assert logs == [line | {"path": "/webhooks/orders", "requests": 1}, line | {"path": "/webhooks", "requests": 3}]


async def test_the_path_of_a_stranger_is_short_and_plain_in_the_log() -> None:
    async with client_of(create_app(STORES, FakeQueue().opened)) as client:
        with capture_logs() as logs:
            answer = await client.post("/webhooks/%1b[31m" + "x" * 500)
    assert (answer.status_code, answer.content) == (404, b"")
    (path,) = [line["path"] for line in logs]
    assert path.isprintable()
    assert len(path) <= 100


async def test_counts_that_redis_does_not_take_are_reported_later() -> None:
    class BrokenOnce(FakeQueue):
        failures = 1

        async def report_receiver(self, receiver: str, counts: Mapping[tuple[str, str], int], *, now: float) -> None:
            if self.failures and counts:
                self.failures -= 1
                raise RedisConnectionError
            await super().report_receiver(receiver, counts, now=now)

        async def what_was_reported(self) -> Counter[tuple[str, str]]:
            return self.reported

    queue = BrokenOnce()
    reporter = Reporter(queue)
    reporter.count("stale", "abc123")
    running = asyncio.create_task(reporter.run())
    await until(queue.what_was_reported, {("abc123", "stale"): 1})
    running.cancel()
    assert queue.failures == 0
