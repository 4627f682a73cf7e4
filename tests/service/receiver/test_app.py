"""The resources and background tasks in the receiver's lifespan."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from service.hooks import WEBHOOK_PATH
from service.logs import Event
from service.receiver import app as web_app
from service.receiver.app import create_app, redis_queue
from service.receiver.authentication import StoreRegistry
from tests.fakes.redis.server import running_redis
from tests.fakes.webhooks import FakeQueue, a_body, a_store, client_of, signed

BODY = a_body()
DOWN = "Redis does not answer (ConnectionError). Check that it is running and REDIS_URL is correct."


async def logged(logs: list[MutableMapping[str, Any]], event: Event) -> MutableMapping[str, Any]:
    """Wait for the first log line of this event."""
    async with asyncio.timeout(30):
        while True:
            for line in logs:
                if line["event"] == event:
                    return line
            await asyncio.sleep(0.005)


@pytest.mark.integration
async def test_a_redis_that_is_down_at_the_start_is_logged_once_and_so_is_its_return(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web_app, "REDIS_POLL_INTERVAL_S", 0.01)
    async with running_redis() as redis:
        redis.kill()
        with capture_logs() as logs:
            async with redis_queue(redis.url)():
                lost = await logged(logs, Event.REDIS_LOST)
                await redis.restart()
                await logged(logs, Event.REDIS_BACK)
    assert lost == {"event": "redis_lost", "log_level": "warning", "error": DOWN}
    assert [line["event"] for line in logs] == ["redis_lost", "redis_back"]


@pytest.mark.integration
async def test_a_redis_that_answers_is_not_logged(redis_url: str) -> None:
    with capture_logs() as logs:
        async with redis_queue(redis_url)() as queue:
            await queue.counts()
    assert logs == []


def posting(client: httpx.AsyncClient, secret: str) -> Callable[[], Awaitable[int]]:
    async def post() -> int:
        return (await client.post(WEBHOOK_PATH, content=BODY, headers=signed(BODY, secret))).status_code

    return post


async def test_replaced_stores_apply_from_the_next_webhook_on_and_updates_end_with_the_app() -> None:
    stores = StoreRegistry({"abc123": a_store(client_secret=SecretStr("old"))})
    rotate, ended = asyncio.Event(), asyncio.Event()

    async def background_task() -> None:
        try:
            await rotate.wait()
            stores.replace({"abc123": a_store(client_secret=SecretStr("new"))})
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with client_of(create_app(stores, FakeQueue().opened, background_task=background_task)) as client:
        old, new = posting(client, "old"), posting(client, "new")
        assert (await old(), await new()) == (200, 401)
        rotate.set()
        await asyncio.sleep(0)
        assert (await old(), await new()) == (401, 200)
    async with asyncio.timeout(30):
        await ended.wait()
