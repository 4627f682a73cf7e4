"""A real console as a process, and Chromium to visit it with.

Chromium is found by the variable CHROMIUM, at /usr/bin/chromium or on the PATH. Without one these tests are skipped;
with TESTS_NEED_CHROMIUM=1 they fail instead, as `.ci/run` wants it.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from service.console.access import Role
from service.console.address import ConsoleAddress
from service.console.pages.sign_in import link
from service.console.sessions import Grant, Sessions
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from service.redis.embedded.server import EmbeddedRedis
from tests.fakes.console import STORES
from tests.fakes.sandbox import kept_port

# No network beside the console, no sandbox (tests run in containers), no first-run pages.
ARGUMENTS = [
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
        grant = Grant(who, role, frozenset(stores) or None, 3600)
        async with connect(self.redis_url) as redis:
            return self.url + link(await Sessions(redis).issue_code(grant))

    async def keep(self, *entries: Entry, age_s: float = 60.0) -> None:
        """Put finished orders into the ledger."""
        now = time.time() - age_s
        async with connect(self.redis_url) as redis:
            for entry in entries:
                await Transitions(redis, clock=lambda: now).finish(entry)

    async def entry(self, order_id: int, store: str = "abc123") -> Entry:
        """The order's entry."""
        async with connect(self.redis_url) as redis:
            entry = await Ledger(redis).get(store, order_id)
        assert entry is not None
        return entry


def _chromium() -> str:
    places = (os.environ.get("CHROMIUM"), shutil.which("/usr/bin/chromium"), shutil.which("chromium"))
    program = next(filter(None, places), None)
    if program is not None:
        return program
    message = "Chromium was not found. Install it (Debian: apt-get install chromium), or set CHROMIUM to its path."
    if os.environ.get("TESTS_NEED_CHROMIUM"):
        pytest.fail(message)
    pytest.skip(message)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    program = _chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    folder = tmp_path_factory.mktemp("console")
    (folder / "stores.toml").write_text(STORES)
    with EmbeddedRedis(folder / "data") as redis, kept_port() as port:
        environ = {**os.environ, "REDIS_URL": redis.url, "ENRICH_CONFIG": str(folder / "stores.toml")}
        words = [sys.executable, "-m", "service.cli", "console", "--port", str(port)]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(words, env=environ, stdout=log, stderr=log) as process,
        ):
            address = ConsoleAddress.of(None, port=port)
            _await_answer(address.url("/healthz"), process, folder / "log")
            yield RunningConsole(address.url(""), redis.url, process)
            process.terminate()
            assert process.wait(30) == 0
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
    pytest.fail(log.read_text())


@dataclass(frozen=True)
class Visitor:
    """Somebody with a browser at the console. ``complaints`` is what the browser said: errors, refused content."""

    console: RunningConsole
    page: Page
    complaints: list[str]

    async def sign_in(self, role: Role = Role.ADMIN, *stores: str, who: str = "vera") -> None:
        """Open a sign-in link and press its button."""
        await self.page.goto(await self.console.link(role, *stores, who=who))
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(self.console.url + "/")

    async def open(self, path: str) -> Page:
        """Open a page of the console."""
        await self.page.goto(self.console.url + path)
        return self.page


@pytest.fixture
def options() -> dict[str, object]:
    """Options of the browser's context; a test module or class may have its own."""
    return {}


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, console: RunningConsole, options: dict[str, object]) -> AsyncIterator[Visitor]:
    context = await browser.new_context(**options)  # type: ignore[arg-type]
    page, complaints = await context.new_page(), list[str]()
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield Visitor(console, page, complaints)
    await context.close()
    assert complaints == []
