"""A new admin without a store: from `enrich init --sandbox` to an enriched order, and the same on the next day."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.cli import COMMAND
from tests.fakes.sandbox import free_port

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


class Walk:
    """A folder that was empty, and two free ports, because those of the documentation may be in use."""

    def __init__(self, folder: Path, http: httpx.Client) -> None:
        self.folder = folder
        with free_port() as sandbox, free_port() as receiver:
            self.sandbox_port, self.receiver_port = sandbox.getsockname()[1], receiver.getsockname()[1]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("ENRICH_", "REDIS_"))}
        self._environ = environ | {
            "PYTHONPATH": str(ROOT),
            "ENRICH_DATA_DIR": str(folder / "data"),
            "ENRICH_METRICS_PORT": "0",
        }
        self._http = http

    def enrich(self, *words: str) -> str:
        """Run a command that must succeed; its output."""
        ran = subprocess.run(
            [*COMMAND, *words], cwd=self.folder, env=self._environ, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran
        return ran.stdout

    @contextmanager
    def running(self, *words: str, ready: str) -> Iterator[None]:
        """Run a command in the background, as `&` does, once this URL answers 200."""
        with (
            (self.folder / f"{words[0]}.log").open("ab") as log,
            subprocess.Popen([*COMMAND, *words], cwd=self.folder, env=self._environ, stdout=log) as process,
        ):
            try:
                deadline = time.monotonic() + 40
                while not self._is_ready(ready):
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                yield
            finally:
                process.terminate()

    def _is_ready(self, url: str) -> bool:
        try:
            answer = self._http.get(url)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and answer.json().get("workers", 1) == 1

    def sandbox(self) -> Any:
        return self.running(
            *("sandbox", "--port", str(self.sandbox_port)),
            ready=f"http://127.0.0.1:{self.sandbox_port}/sandbox/health",
        )

    def up(self) -> Any:
        return self.running(
            *("up", "--port", str(self.receiver_port), "--console-port", "0"),
            ready=f"http://127.0.0.1:{self.receiver_port}/readyz",
        )

    def enriched_order(self, po: str) -> dict[str, Any]:
        """Register the webhooks, place an order, and wait for its end."""
        self.enrich("hooks", "register", "--url", f"http://127.0.0.1:{self.receiver_port}")
        order = {"customer_id": 101, "billing_address": {"form_fields": [{"name": "PO Number", "value": po}]}}
        placed = self._http.post(f"http://127.0.0.1:{self.sandbox_port}/sandbox/stores/sandbox/orders", json=order)
        shown: dict[str, Any] = json.loads(self.enrich("orders", "show", str(placed.json()["id"]), "--wait", "--json"))
        return shown


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    with httpx.Client(trust_env=False) as http:
        yield Walk(tmp_path, http)


@pytest.mark.chaos  # two processes and eight commands
def test_an_order_is_enriched_today_and_in_a_new_sandbox_tomorrow(walk: Walk) -> None:
    walk.enrich("init", "--sandbox")
    file = walk.folder / "stores.toml"
    file.write_text(file.read_text().replace(":9100", f":{walk.sandbox_port}"))

    with walk.up():
        with walk.sandbox():
            first = walk.enriched_order("4711-D")
        with walk.sandbox():
            second = walk.enriched_order("4712-D")

    assert [(order["outcome"], order["verified"], order["po_number"]) for order in (first, second)] == [
        ("created", True, "4711-D"),
        ("created", True, "4712-D"),
    ]
    assert second["order_id"] > first["order_id"]
    assert second["fields"] == {"Account No": "ERP-10001"}
