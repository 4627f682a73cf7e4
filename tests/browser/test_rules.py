"""The rules editor in a real browser, over a sandbox with orders."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from service.orders.state.per_store.rule_values import MIN_MISSES, RuleValues
from service.redis.client import connect
from tests.browser.conftest import Visitor
from tests.fakes.processes.threaded_sandbox import ServedSandbox, served_sandbox
from tests.fakes.running_console import RunningConsole, running_console

pytestmark = pytest.mark.asyncio(loop_scope="session")

STORES = """
[bigcommerce]
api_url = "{url}"
b2b_api_url = "{url}"

[stores.sandbox]
name = "Sandbox"
access_token = "sandbox-access-token"
client_secret = "sandbox-client-secret"

# where buyers write it
[stores.sandbox.po_number]
from = "order.customer_message"
"""
NASTY = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e\"'"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServedSandbox]:
    with served_sandbox() as served:
        served.reset()
        served.place(customer_message=NASTY, staff_notes="PO-1")
        served.place(customer_message="PO-OLD", staff_notes="PO-NEW")
        yield served


@pytest.fixture(scope="module")
def console(sandbox: ServedSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    with running_console(tmp_path_factory.mktemp("rules"), STORES.replace("{url}", sandbox.url)) as running:
        yield running


async def test_a_rule_is_edited_its_difference_seen_saved_and_in_force(visitor: Visitor) -> None:
    await visitor.sign_in(who="ana")
    page = await visitor.open("/stores/sandbox")
    await page.get_by_role("link", name="Rules").click()
    table = page.get_by_role("region", name="What the rules give")
    await expect(table.get_by_text("PO-OLD")).to_be_visible()
    assert await page.title() == "Rules of Sandbox · Order enrichment"

    await page.get_by_label("Text").fill("po-new")
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_role("cell", name="order.staff_notes")).to_be_visible()

    await page.get_by_label("from:").first.fill("order.staff_notes")
    await expect(table.locator("del", has_text="PO-OLD")).to_be_visible()
    await expect(table.locator("ins", has_text="PO-NEW")).to_be_visible()
    await expect(page.get_by_text("2 of 2 orders would differ.")).to_be_visible()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await expect(page.get_by_text("in force in 1 of 1 processes")).to_be_visible(timeout=15_000)
    await expect(table.get_by_text("PO-NEW")).to_be_visible()
    await expect(page.get_by_role("cell", name="ana", exact=True)).to_be_visible()

    await page.get_by_role("link", name="Compare, take back").click()
    await expect(table.locator("ins", has_text="PO-OLD")).to_be_visible()
    await page.get_by_role("button", name="Save").click()
    await expect(table.get_by_text("PO-OLD")).to_be_visible()


async def test_from_a_rule_that_finds_nothing_to_one_that_does_in_four_clicks(visitor: Visitor) -> None:
    """The theme's developer has renamed the field that buyers write their PO number into."""
    await visitor.sign_in()
    page = await visitor.open("/rules/sandbox")
    await page.get_by_label("from:").first.fill("order.no_such_field")
    await expect(page.get_by_text("2 of 2 orders would differ.")).to_be_visible()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    async with connect(visitor.console.redis_url) as redis:
        counted = RuleValues(redis)
        for _ in range(MIN_MISSES):
            counted.note("sandbox", {"po_number": "1"}, ())
        await counted.write()
    await visitor.open("/")

    await page.get_by_role("link", name="the rule for po_number found nothing in the last 50 orders").click()
    table = page.get_by_role("region", name="What the rules give")
    await expect(table.get_by_text("no value").first).to_be_visible()
    await page.get_by_label("Text").fill("po-new")
    await page.get_by_role("button", name="Find").click()
    await page.get_by_role("button", name="Use it").first.click()
    await expect(table.locator("ins", has_text="PO-NEW")).to_be_visible()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await expect(table.get_by_text("PO-NEW")).to_be_visible()
    assert await page.get_by_label("from:").first.input_value() == "order.no_such_field\norder.staff_notes"

    await page.get_by_label("from:").first.fill("order.customer_message")
    await expect(table.locator("ins", has_text="PO-OLD")).to_be_visible()
    await page.get_by_role("button", name="Save").click()
    await expect(table.get_by_text("PO-OLD")).to_be_visible()


@pytest.mark.parametrize("options", [{"java_script_enabled": False}], ids=str)
async def test_rules_are_edited_without_javascript(visitor: Visitor) -> None:
    await visitor.sign_in()
    page = await visitor.open("/rules/sandbox?as=toml")
    text = page.get_by_label("Rules as TOML")
    await text.fill((await text.input_value()).replace("customer_message", "staff_note"))
    await page.get_by_role("button", name="Compare", exact=True).last.click()
    await expect(page.locator("del", has_text="PO-OLD")).to_be_visible()
    await page.get_by_label("Rules as TOML").fill("[bigcommerce]\napi_url = 'https://evil.test'\n")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("[bigcommerce]: is not part of this store's rules.")).to_be_visible()


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 320, "height": 800}, "color_scheme": "dark"},
        pytest.param({"viewport": {"width": 1600, "height": 800}}, marks=pytest.mark.chaos),
    ],
    ids=("narrow and dark", "wide"),
)
async def test_the_editor_fits_and_axe_finds_nothing(visitor: Visitor) -> None:
    await visitor.sign_in()
    for path in ("/rules/sandbox", "/rules/sandbox?as=toml"):
        page = await visitor.open(path)
        await expect(page.get_by_text("PO-OLD")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
        results = await Axe().run(page)
        assert results.violations_count == 0, (path, results.generate_report())
