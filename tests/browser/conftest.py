"""A real console as a process, and Chromium to visit it with.

Chromium is found by the variable CHROMIUM, at /usr/bin/chromium or on the PATH. Without one these tests are skipped;
with TESTS_NEED_CHROMIUM=1 they fail instead, as `.ci/run` wants it.
"""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from service.console.people.access import Role
from tests.fakes.console import STORES
from tests.fakes.running_console import CHROMIUM_ARGUMENTS, RunningConsole, find_chromium, running_console


def _chromium() -> str:
    if program := find_chromium():
        return program
    message = "Chromium was not found. Install it (Debian: apt-get install chromium), or set CHROMIUM to its path."
    if os.environ.get("TESTS_NEED_CHROMIUM"):
        pytest.fail(message)
    pytest.skip(message)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    program = _chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=CHROMIUM_ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    with running_console(tmp_path_factory.mktemp("console"), STORES) as running:
        yield running


@dataclass(frozen=True)
class Visitor:
    """Somebody with a browser at the console. ``complaints`` is what the browser said: errors, refused content."""

    console: RunningConsole
    page: Page
    complaints: list[str]

    async def sign_in(self, role: Role = Role.ADMIN, *stores: str, who: str = "vera") -> None:
        """Begin a session, and put its cookie into the browser. No page is opened."""
        cookie = await self.console.begin_session(role, *stores, who=who)
        await self.page.context.add_cookies([{"name": "enrich", "value": cookie, "url": self.console.url}])

    async def use_link(self, role: Role = Role.ADMIN, *stores: str, who: str = "vera") -> None:
        """Open a sign-in link and press its button, as people do."""
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
