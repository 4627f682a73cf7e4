"""Messages from real processes: workers that are killed, a stores file that changes, a receiver without a worker."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.orders.state.keys import late_misses_key
from service.orders.state.worklists.late_orders import MAX_MISSES
from service.redis.client import connect
from tests.fakes.cli import STORES
from tests.fakes.deployment import Process
from tests.fakes.notify.http_receiver import http_receiver
from tests.fakes.redis.server import running_redis

pytestmark = pytest.mark.integration

BEGAN = "WARNING: Orders do not wait for late values any more: abc123"

WORKER = "tests.fakes.processes.quick_worker"
NOBODY_THERE = '[bigcommerce]\napi_url = "http://127.0.0.1:9"\nb2b_api_url = "http://127.0.0.1:9"\n'

# As `enrich web` runs, but it does not wait for a minute.
RECEIVER = """
from dataclasses import replace
from functools import partial
from service.cli import web
from service.notify.alerts import DEFINITIONS, AlertKind
from service.notify.standby import stand_by

DEFINITIONS[AlertKind.NO_WORKER] = replace(DEFINITIONS[AlertKind.NO_WORKER], for_s=0.3)
web.stand_by = partial(stand_by, every_s=0.1)
web.web(port=0)
"""


@pytest.mark.chaos
async def test_a_killed_worker_is_followed_by_another_and_the_table_is_read_while_they_run(tmp_path: Path) -> None:
    stores = tmp_path / "stores.toml"
    stores.write_text(f'{NOBODY_THERE}{STORES}extra_fields.F = "metafields.checkout.cost_center"\n')
    async with http_receiver() as slack, running_redis() as server, connect(server.url) as redis:
        slack.answers = [0]  # the first attempt hangs
        await redis.set(late_misses_key("abc123"), MAX_MISSES)
        environ = {"REDIS_URL": server.url, "ENRICH_CONFIG": str(stores), "ENRICH_METRICS_PORT": "0"}
        environ["ENRICH_LOG_FORMAT"] = "json"
        workers = [Process(f"worker-{number}", [WORKER], environ, tmp_path) for number in range(2)]
        try:
            await until(lambda: all(worker.events("worker_started") for worker in workers))
            stores.write_text(f'[notify]\nslack = "{slack.url}/hook"\n{stores.read_text()}')
            await slack.wait_for(1)
            owner = (await redis.get("enrich:notify:lease:send:slack") or b"").decode()
            (killed,) = [worker for worker in workers if f":{worker.pid}:" in owner]
            killed.kill()
            await slack.wait_for(2)
            (left,) = [worker for worker in workers if worker is not killed]
            await until(lambda: bool(left.events("notification_sent")))
        finally:
            for worker in workers:
                await worker.stop()
    assert [request.json["text"] for request in slack.requests] == [BEGAN, BEGAN]
    # The same message twice, and one alert: the other worker did not take it for a new one.
    began = [event for worker in workers for event in worker.events("alert_began")]
    assert [(event["alert"], event["store"]) for event in began] == [("LateValuesStopped", "abc123")]
    assert "/hook" not in left.text + killed.text


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            if condition():
                return
            await asyncio.sleep(0.05)


async def test_a_receiver_tells_that_no_worker_is_running(tmp_path: Path) -> None:
    async with http_receiver() as teams, running_redis() as server:
        (tmp_path / "stores.toml").write_text(f'[notify]\nteams = "{teams.url}/hook"\n{STORES}')
        environ = {**os.environ, "REDIS_URL": server.url, "ENRICH_CONFIG": str(tmp_path / "stores.toml")}
        receiver = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RECEIVER, env=environ, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            (request,) = await teams.wait_for(1)
        finally:
            receiver.terminate()
            assert await receiver.wait() in (0, -signal.SIGTERM)
    card = request.json["attachments"][0]["content"]
    assert card["body"][0]["inlines"][0]["text"] == "CRITICAL: No worker is running"
