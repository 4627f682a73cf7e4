"""A receiver process whose background loop fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

PROGRAM = """
from functools import partial
from service import logs
from service.process.background_loops import Loops
from service.process import web_loops
from service.receiver import app
from service.receiver.authentication import StoreRegistry
from service.receiver.server import serve
from tests.fakes.webhooks import FakeQueue

async def fail(): raise ValueError("x")

web_loops.Loops = partial(Loops, backoff_s=0.01)
logs.configure("json", "INFO")
serve(app.create_app(StoreRegistry({}), FakeQueue().opened, background_task=fail), "127.0.0.1", 0)
"""


@pytest.mark.chaos
def test_a_receiver_whose_loop_keeps_failing_stops_in_order_and_exits_1() -> None:
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environ, timeout=60, check=False
    )
    assert ran.returncode == 1, ran
    events = [json.loads(line)["event"] for line in ran.stdout.splitlines()]
    assert events.count("internal_error") == 6
    assert events[-2:] == ["loop_failed", "receiver_stopped"]
    assert ran.stderr == ""
