"""What people do in the console, in a real browser, with a receiver, a worker and a sandbox behind it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from service.console.people.access import Role
from service.hooks import request_check_now
from service.orders.state.order_entry import Status
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE
from service.sandbox.specs import Company, Customer, User
from tests.browser.test_console import fits
from tests.fakes.deployment import Deployment, deployed
from tests.fakes.running_console import RunningConsole, console_process

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.integration]

GUS = 107
# Of a Company whose account number is longer than the field takes: its orders fail.
TROUBLED = DEMO_STORE.model_copy(
    update={
        "companies": (
            *DEMO_STORE.companies,
            Company(id=5005, name="Old Mill", customer_group_id=25, extra_fields={"ERP Account": "E" * 50}),
        ),
        "customers": (
            *DEMO_STORE.customers,
            Customer(id=GUS, email="gus@example.com", first_name="Gus", company="Old Mill"),
        ),
        "users": (*DEMO_STORE.users, User(customer_id=GUS, company_id=5005, email="gus@example.com")),
    }
)


@dataclass(frozen=True)
class Desk:
    """Somebody at a browser, before a console of a deployment."""

    deployment: Deployment
    console: RunningConsole
    page: Page

    async def sign_in(self, role: Role) -> None:
        await self.page.goto(await self.console.link(role, who="ana"))
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(self.console.url + "/")

    async def open(self, path: str) -> None:
        await self.page.goto(self.console.url + path)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Deployment, RunningConsole]]:
    folder = tmp_path_factory.mktemp("desk")
    async with deployed(folder, core_quota=5000, b2b_quota=5000) as deployment:
        stores, redis_url = (folder / "stores.toml").read_text(), deployment.redis.url
        with console_process(folder, stores, redis_url, deployment.environ) as console:
            yield deployment, console


@pytest_asyncio.fixture(loop_scope="session")
async def desk(browser: Browser, running: tuple[Deployment, RunningConsole]) -> AsyncIterator[Desk]:
    context = await browser.new_context()
    page, complaints = await context.new_page(), list[str]()
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    yield Desk(*running, page)
    await context.close()
    assert complaints == []


async def test_from_a_failed_order_to_its_value_on_the_record_in_three_clicks(desk: Desk) -> None:
    await desk.deployment.sandbox.put_store(**TROUBLED.model_dump(mode="json", by_alias=True))
    order_id = await desk.deployment.place(1, customer_id=GUS)
    (entry,) = (await desk.deployment.wait_until_finished([order_id])).values()
    assert entry.status is Status.FAILED
    await desk.sign_in(Role.OPERATOR)
    page = desk.page

    await page.get_by_role("link", name="1 order failed").click()
    await page.get_by_role("link", name=str(order_id)).click()
    await page.get_by_label("PO number").fill("4711-D")
    await page.get_by_label("Account No").fill("ERP-5005")
    await page.get_by_role("button", name="Set and send").click()
    # The page looks again by itself until the record shows the values.
    await expect(page.locator("#outcome")).to_contain_text("verified", timeout=20_000)
    await expect(page.get_by_text("ana: set values by hand")).to_be_visible()

    record = (await desk.deployment.sandbox.order(order_id))["record"]
    assert (record["po_number"], record["extra_fields"]["Account No"]) == ("4711-D", "ERP-5005")

    for name, heading in {
        "Record now": "B2B Edition's record now",
        "What would be sent now": "What would be sent now",
        "What the buyer sees": "What the buyer sees in the Buyer Portal",
    }.items():
        await page.get_by_role("button", name=name).click()
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()
        await expect(page.get_by_text("The result is kept here for ten minutes")).to_be_visible(timeout=20_000)
        await expect(page.locator("#run")).to_contain_text("4711-D")
        assert (await Axe().run(page)).violations_count == 0, name
        await page.set_viewport_size({"width": 320, "height": 700})
        assert await fits(page), name
        await page.set_viewport_size({"width": 1200, "height": 800})
    assert await page.evaluate("document.images[0].complete && document.images[0].naturalWidth") == 256


async def test_from_a_webhook_that_is_gone_to_one_that_works_in_two_clicks(desk: Desk) -> None:
    sandbox, page = desk.deployment.sandbox, desk.page
    for hook in (await sandbox.api.get("/stores/sandbox/v3/hooks")).json()["data"]:
        await sandbox.api.delete(f"/stores/sandbox/v3/hooks/{hook['id']}")
    async with connect(desk.console.redis_url) as redis:
        await request_check_now(redis, "sandbox")
    await desk.sign_in(Role.OPERATOR)

    await page.get_by_role("link", name="a webhook is missing").click(timeout=20_000)
    await expect(page.get_by_role("heading", name="Webhooks")).to_be_in_viewport()
    await page.get_by_role("button", name="Repair").click()
    await expect(page.get_by_text("All webhooks that orders need are in place")).to_be_visible(timeout=20_000)

    # The workers have looked at once, so nothing is said to be missing any more.
    await page.get_by_role("link", name="Overview").first.click()
    await expect(page.get_by_text("a webhook is missing")).to_be_hidden(timeout=20_000)
    order_id = await desk.deployment.place(1)
    (entry,) = (await desk.deployment.wait_until_finished([order_id])).values()
    assert (entry.status, entry.source) == (Status.CREATED, "webhook")
