"""A worker process whose loops hang or fail, and one whose Redis does."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.orders.state.job_kinds import WINDOW
from tests.fakes.cli import STORES
from tests.fakes.redis.server import RedisServer, running_redis
from tests.fakes.sandbox import kept_port

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio, sys
from functools import partial
from service.process.background_loops import Loops
from workers import worker_process
from workers.job_leases import LeasedWorker
from workers.startup import main as start

async def hang(*_): await asyncio.Event().wait()
async def fail(*_): raise ValueError("x")

worker_process.Loops = partial(Loops, backoff_s=0.01)
worker_process.STALE_AFTER_S = 4.0
{fault}
sys.exit(start())
"""


@dataclass(slots=True)
class Worker:
    redis: RedisServer
    process: asyncio.subprocess.Process
    url: str

    async def health(self) -> httpx.Response | None:
        """The answer of ``/healthz``, None while nothing answers."""
        async with httpx.AsyncClient(trust_env=False) as client:
            with suppress(httpx.HTTPError):
                return await client.get(f"{self.url}/healthz")
        return None

    async def until_health(self, status: int) -> httpx.Response:
        async with asyncio.timeout(30):
            while True:
                answer = await self.health()
                if answer is not None and answer.status_code == status:
                    return answer
                await asyncio.sleep(0.05)

    async def ended(self) -> list[dict[str, Any]]:
        """Wait until it exits by itself; its log lines."""
        assert self.process.stdout
        async with asyncio.timeout(30):
            text = await self.process.stdout.read()
            await self.process.wait()
        return [json.loads(line) for line in text.splitlines()]


@asynccontextmanager
async def worker(folder: Path, fault: str = "") -> AsyncIterator[Worker]:
    (folder / "stores.toml").write_text(STORES)
    async with running_redis() as redis:
        with kept_port() as port:
            environ = {
                "PYTHONPATH": str(ROOT),
                "REDIS_URL": redis.url,
                "ENRICH_CONFIG": str(folder / "stores.toml"),
                "ENRICH_LOG_FORMAT": "json",
                "ENRICH_METRICS_PORT": str(port),
                "ENRICH_METRICS_HOST": "127.0.0.1",
            }
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", PROGRAM.format(fault=fault), env=environ, stdout=subprocess.PIPE
            )
            try:
                yield Worker(redis, process, f"http://127.0.0.1:{port}")
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


async def test_healthz_is_503_and_names_the_loops_that_hang(tmp_path: Path) -> None:
    async with worker(tmp_path, "LeasedWorker.claim_due_jobs = hang") as running:
        await running.until_health(200)
        answer = await running.until_health(503)
    assert answer.text.startswith("not running: ")
    assert WINDOW.queue in answer.text
    assert "heartbeat" not in answer.text


@pytest.mark.chaos
async def test_healthz_stays_200_while_redis_is_away_or_hangs(tmp_path: Path) -> None:
    async with worker(tmp_path) as running:
        await running.until_health(200)
        for fail in (running.redis.pause, running.redis.kill):
            fail()
            for _ in range(10):
                await asyncio.sleep(0.5)
                answer = await running.health()
                assert answer is not None
                assert answer.status_code == 200, answer.text


async def test_a_worker_whose_loop_keeps_failing_stops_in_order_and_exits_1(tmp_path: Path) -> None:
    async with worker(tmp_path, "worker_process._send_heartbeats = fail") as running:
        lines = await running.ended()
        assert running.process.returncode == 1
    events = [line["event"] for line in lines]
    assert events.count("internal_error") == 6
    assert events[-3:] == ["loop_failed", "worker_stopping", "worker_stopped"]
    assert {line["place"] for line in lines if "place" in line} == {"heartbeat"}


async def test_a_worker_keeps_its_connections_to_both_hosts_warm(tmp_path: Path) -> None:
    note = "async def note(_, api): print(api.value, flush=True); await hang()"
    async with worker(tmp_path, f"{note}\nworker_process.keep_connections_warm = note") as running:
        assert running.process.stdout
        kept = set[str]()
        async with asyncio.timeout(30):
            while not kept >= {"core", "b2b"}:
                kept.add((await running.process.stdout.readline()).decode().strip())
