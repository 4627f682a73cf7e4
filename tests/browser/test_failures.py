"""Failures in a real browser: a group is retried once, is stopped, and all of it works without JavaScript."""

import itertools
from dataclasses import dataclass

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from service.console.people.access import Role
from service.orders.failures.failure_groups import group_id
from service.orders.failures.retry_jobs import RetryJobs
from service.orders.state.order_entry import Status
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.browser.conftest import Visitor
from tests.browser.test_console import fits
from tests.fakes.orders import failed
from tests.fakes.running_console import RunningConsole
from tests.fakes.stacks.backfill_stack import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

_NUMBERS = itertools.count(4)


@dataclass(frozen=True)
class Group:
    """Three failed orders of a console, with a reason of their own."""

    console: RunningConsole
    reason: str
    orders: range

    @property
    def path(self) -> str:
        return f"/failures/abc123/{group_id(failed(reason=self.reason))}"

    async def open(self, page: Page) -> None:
        await page.goto(self.console.url + "/failures")
        await page.get_by_role("link", name=self.reason).first.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("3 orders")

    async def finish(self) -> None:
        """What a worker makes of the orders."""
        async with connect(self.console.redis_url) as redis:
            for order_id in self.orders:
                entry, _ = await Transitions(redis).begin_attempt("abc123", order_id)
                entry.status = Status.UPDATED
                await Transitions(redis).finish(entry)

    async def results(self, expected: set[str], *, is_running: bool = True) -> bool:
        """Whether the last job has done this with all of the orders."""
        async with connect(self.console.redis_url) as redis:
            job, *_ = await RetryJobs(redis).recent("abc123", 1)
        return (
            len(job.results) == len(self.orders)
            and {*job.results.values()} == expected
            and (job.is_running == is_running)
        )

    async def jobs(self) -> int:
        """How many jobs have retried the orders."""
        async with connect(self.console.redis_url) as redis:
            found = await RetryJobs(redis).recent("abc123", 50)
        return sum(job.reason == self.reason for job in found)


@pytest_asyncio.fixture(loop_scope="session")
async def group(console: RunningConsole) -> Group:
    number = next(_NUMBERS)
    orders = range(number * 100, number * 100 + 3)
    reason = f"Field {number}"
    await console.keep(*(failed(order_id, reason=reason) for order_id in orders))
    return Group(console, reason, orders)


async def test_a_group_is_retried_and_its_page_shows_live_what_becomes_of_it(group: Group, visitor: Visitor) -> None:
    await visitor.sign_in(Role.OPERATOR, "abc123", who="ana")
    page = await visitor.open("/")
    await page.get_by_role("link", name="Failures", exact=True).click()
    row = page.get_by_role("row", name=group.reason)
    await row.get_by_role("link", name="Retry these 3…").click()
    await page.get_by_role("button", name="Retry these 3").click()
    await expect(page.get_by_text("3 of 3 orders queued again")).to_be_visible()
    await group.finish()
    await expect(page.get_by_text("Done: 3 of 3 orders queued again.")).to_be_visible()
    await expect(page.get_by_text("updated", exact=True)).to_have_count(4)
    await page.get_by_role("link", name="Failures", exact=True).last.click()
    await expect(page.get_by_role("cell", name="done: 3 retried").first).to_be_visible()


async def test_a_double_click_and_a_second_tab_retry_once(group: Group, visitor: Visitor) -> None:
    await visitor.sign_in(Role.OPERATOR)
    other = await visitor.page.context.new_page()
    for page in (visitor.page, other):
        await group.open(page)
    await visitor.page.get_by_role("button", name="Retry these 3").dblclick()
    await expect(visitor.page.get_by_text("3 of 3 orders queued again")).to_be_visible()
    await other.get_by_role("button", name="Retry these 3").click()
    await expect(other.get_by_text("nothing was done twice")).to_be_visible()
    assert await group.jobs() == 1
    await group.finish()
    await expect(other.get_by_text("Done: 3 of 3 orders queued again.")).to_be_visible()
    assert (await group.console.entry(group.orders[0])).attempts == 1


@pytest.mark.parametrize("options", [{"java_script_enabled": False}], ids=str)
async def test_a_group_is_retried_and_muted_without_javascript(group: Group, visitor: Visitor) -> None:
    await visitor.sign_in(Role.OPERATOR)
    page = visitor.page
    await group.open(page)
    await page.get_by_label("For how long").select_option("8 hours")
    await page.get_by_role("button", name="Mute").click()
    await expect(page.get_by_text("The group is muted.")).to_be_visible()
    await page.get_by_text("1 muted group").click()
    await page.get_by_role("button", name="Unmute").click()
    await group.open(page)
    await page.get_by_role("button", name="Retry these 3").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Retry of 3 orders")
    # The page loads itself again every 3 s; what it shows then is known before.
    await until(lambda: group.results({"queued"}))
    await group.finish()
    await until(lambda: group.results({"updated"}, is_running=False))
    await expect(page.get_by_text("Done: 3 of 3 orders queued again.")).to_be_visible(timeout=10_000)


async def is_accessible(page: Page) -> None:
    assert await fits(page), page.url
    results = await Axe().run(page)
    assert results.violations_count == 0, (page.url, results.generate_report())


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"color_scheme": scheme, "viewport": {"width": width, "height": 800}}, marks=marks)
        for scheme, width, marks in (("dark", 320, ()), ("light", 1440, pytest.mark.chaos))
    ],
    ids=str,
)
async def test_pages_of_failures_fit_and_axe_finds_nothing(group: Group, visitor: Visitor) -> None:
    await visitor.sign_in(Role.OPERATOR)
    page = visitor.page
    await group.open(page)
    await is_accessible(page)
    await page.get_by_role("button", name="Retry these 3").click()
    await expect(page.get_by_text("3 of 3 orders queued again")).to_be_visible()
    await is_accessible(page)
    await group.finish()
    await expect(page.get_by_text("Done: 3 of 3 orders queued again.")).to_be_visible()
    await is_accessible(await visitor.open("/failures"))
