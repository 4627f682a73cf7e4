"""A console that runs as a process with a Redis of its own, and a Chromium to visit it with."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from service.console.address import ConsoleAddress
from service.console.pages.sign_in import link
from service.console.people.access import Role
from service.console.people.sessions import Grant, Sessions
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry
from service.orders.state.transitions import Transitions
from service.orders.statistics.counting import count_finished
from service.redis.client import connect
from service.redis.embedded.server import EmbeddedRedis
from tests.fakes.sandbox import kept_port

# No network beside the console, no sandbox (tests run in containers), no first-run pages.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@dataclass(frozen=True)
class RunningConsole:
    """A console that runs as a process, with a Redis of its own."""

    url: str
    redis_url: str
    process: "subprocess.Popen[bytes]"

    async def link(self, role: Role = Role.ADMIN, *stores: str, who: str = "vera") -> str:
        """A sign-in link."""
        async with connect(self.redis_url) as redis:
            return self.url + link(await Sessions(redis).issue_code(_grant(role, stores, who)))

    async def begin_session(self, role: Role = Role.ADMIN, *stores: str, who: str = "vera") -> str:
        """The value of the cookie of a new session."""
        async with connect(self.redis_url) as redis:
            sessions = Sessions(redis)
            begun = await sessions.spend(await sessions.issue_code(_grant(role, stores, who)))
        assert begun is not None
        return begun[0]

    async def keep(self, *entries: Entry, age_s: float = 60.0) -> None:
        """Put finished orders into the ledger."""
        now = time.time() - age_s
        async with connect(self.redis_url) as redis:
            for entry in entries:
                await Transitions(redis, clock=lambda: now).finish(
                    entry, counters=count_finished(entry, merges=False, now=now)
                )

    async def entry(self, order_id: int, store: str = "abc123") -> Entry:
        """The order's entry."""
        async with connect(self.redis_url) as redis:
            entry = await Ledger(redis).get(store, order_id)
        assert entry is not None
        return entry


def _grant(role: Role, stores: tuple[str, ...], who: str) -> Grant:
    return Grant(who, role, frozenset(stores) or None, 3600)


def find_chromium() -> str | None:
    """The path of a Chromium: by the variable CHROMIUM, at /usr/bin/chromium, or on the PATH."""
    places = (os.environ.get("CHROMIUM"), shutil.which("/usr/bin/chromium"), shutil.which("chromium"))
    return next(filter(None, places), None)


@contextmanager
def running_console(folder: Path, stores: str) -> Iterator[RunningConsole]:
    """A console for these stores; its files are in ``folder``. Fails if it logs an error or does not stop in order."""
    with EmbeddedRedis(folder / "data") as redis, console_process(folder, stores, redis.url) as console:
        yield console


@contextmanager
def console_process(
    folder: Path, stores: str, redis_url: str, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[RunningConsole]:
    """The same on a Redis that is there already, with more environment variables. It may be killed meanwhile."""
    (folder / "stores.toml").write_text(stores)
    with kept_port() as port:
        environ = {**os.environ, **variables, "REDIS_URL": redis_url, "ENRICH_CONFIG": str(folder / "stores.toml")}
        words = [sys.executable, "-m", "service.cli", "console", "--port", str(port)]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(words, env=environ, stdout=log, stderr=log) as process,
        ):
            address = ConsoleAddress.of(None, port=port)
            _await_answer(address.url("/healthz"), process, folder / "log")
            yield RunningConsole(address.url(""), redis_url, process)
            is_killed = process.poll() is not None
            process.terminate()
            assert process.wait(30) == (-signal.SIGKILL if is_killed else 0)
    assert not re.search(r'"level": "error"|Traceback', (folder / "log").read_text())


def _await_answer(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())
