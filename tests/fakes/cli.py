"""The command ``enrich``, run inside the test's own process or as a process of its own."""

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
from service.orders.state.entry import Entry
from service.orders.state.transitions import Transitions
from service.redis.client import connect

STORES = """
[stores.abc123]
access_token = "token"
client_secret = "secret"
po_number = "order.customer_message"
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str


Enrich = Callable[..., Ran]

# As a process of its own, with the interpreter of the tests.
COMMAND = (sys.executable, "-P", "-m", "service.cli")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one store in its stores file; nothing is set in the environment."""
    for name in [name for name in os.environ if name.startswith("ENRICH_")] + ["REDIS_URL"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENRICH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores.toml").write_text(STORES)
    return tmp_path


@pytest.fixture
def enrich(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Enrich:
    """Runs ``enrich`` with these words in that folder."""

    # This process's logs are pytest's.
    monkeypatch.setattr("service.logs.configure", lambda *_, **__: None)

    def run(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["enrich", *words])
        with capture_logs(), pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code or 0
        assert isinstance(code, int)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


Keep = Callable[..., None]


@pytest.fixture
def keep(folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Puts entries of orders that have ended into the ledger of the Redis that ``enrich`` uses."""
    monkeypatch.setenv("REDIS_URL", redis_url)

    def end(*entries: Entry, age: float = 0.0) -> None:
        """``age`` is how many seconds ago the orders ended."""
        asyncio.run(_end(redis_url, entries, time.time() - age))

    return end


async def _end(redis_url: str, entries: tuple[Entry, ...], now: float) -> None:
    async with connect(redis_url) as redis:
        for entry in entries:
            await Transitions(redis, clock=lambda: now).finish(entry)
