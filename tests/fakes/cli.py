"""The command ``enrich``, run in the test's process or as a separate process."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.cli import main
from service.orders.state.order_entry import Entry
from service.orders.state.transitions import Transitions
from service.redis.client import connect

STORES = """
[stores.abc123]
access_token = "token"
client_secret = "secret"
po_number = "order.customer_message"
"""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Enrich = Callable[..., CommandResult]

# Runs ``enrich`` as a separate process, with the interpreter of the tests.
COMMAND = (sys.executable, "-P", "-m", "service.cli")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a stores file of one store, and an environment without the product's variables."""
    for name in [name for name in os.environ if name.startswith("ENRICH_")] + ["REDIS_URL"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENRICH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores.toml").write_text(STORES)
    return tmp_path


@pytest.fixture
def enrich(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Enrich:
    """Runs ``enrich`` with these arguments in that folder."""

    # Logging of this process belongs to pytest.
    monkeypatch.setattr("service.logs.configure", lambda *_, **__: None)

    def run(*words: str) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["enrich", *words])
        with capture_logs(), pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code or 0
        assert isinstance(code, int)
        captured = capsys.readouterr()
        return CommandResult(code, captured.out, captured.err)

    return run


Keep = Callable[..., None]


@pytest.fixture
def keep(folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Saves entries of finished orders in the ledger of the Redis that ``enrich`` uses."""
    monkeypatch.setenv("REDIS_URL", redis_url)

    def finish(*entries: Entry, age: float = 0.0) -> None:
        """``age`` is how many seconds ago the orders were finished."""
        asyncio.run(_finish(redis_url, entries, time.time() - age))

    return finish


async def _finish(redis_url: str, entries: tuple[Entry, ...], now: float) -> None:
    async with connect(redis_url) as redis:
        for entry in entries:
            await Transitions(redis, clock=lambda: now).finish(entry)
