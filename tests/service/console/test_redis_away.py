"""A console whose Redis goes away: it says so, serves what needs no Redis, and comes back by itself."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.console import error_pages
from service.console.people.access import Role
from tests.fakes.console import console_world
from tests.fakes.redis.server import running_redis


async def test_pages_say_that_redis_is_away_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_pages, "_REDIS_POLL_INTERVAL_S", 0.05)
    async with (
        running_redis() as server,
        console_world(server.url, tmp_path) as world,
        world.person(Role.OPERATOR) as client,
    ):
        with capture_logs() as logs:
            await asyncio.to_thread(server.stop)
            for path in ("/", "/orders", "/orders/abc123/1", "/no-such-page"):
                answer = await client.get(path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), path
                assert 'http-equiv="refresh"' in answer.text
                assert "Great Buys" not in answer.text
            assert "cannot reach" in (await client.get("/orders.json")).json()["error"]
            assert (await client.post("/orders/abc123/1/retry")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/sign-in")).status_code == 200
            await server.restart()
            async with asyncio.timeout(30):
                while "redis_back" not in [line["event"] for line in logs]:  # noqa: ASYNC110 - a log line
                    await asyncio.sleep(0.02)
        assert (await client.get("/")).status_code == 200
        assert [line["event"] for line in logs if "redis" in line["event"]] == ["redis_lost", "redis_back"]
