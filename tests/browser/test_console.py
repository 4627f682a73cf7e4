"""The console in a real browser."""

from dataclasses import replace

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from service.console.people.access import Role
from service.orders.state.order_entry import Status
from tests.browser.conftest import Visitor
from tests.fakes.orders import enriched, failed
from tests.fakes.running_console import RunningConsole

pytestmark = pytest.mark.asyncio(loop_scope="session")

NASTY = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e\"'" + "x" * 65_536

PATHS = (
    *("/", "/orders", "/orders?outcome=failed&live=on", "/stores/abc123", "/orders/abc123/250", "/orders/abc123/251"),
    *("/orders/abc123/251/record", "/orders/abc123/251/as-buyer", "/buyers/abc123/101"),
    *("/stores/abc123/check", "/stores/abc123/webhooks", "/stores/abc123/webhooks/register"),
)


@pytest_asyncio.fixture(loop_scope="session")
async def stocked(console: RunningConsole) -> RunningConsole:
    await console.keep(enriched(250), failed(251), enriched(252, "other1"))
    await console.keep(replace(failed(253, reason=NASTY), po_number=NASTY, fields={NASTY: NASTY}))
    return console


async def test_somebody_signs_in_finds_a_failed_order_and_retries_it(stocked: RunningConsole, visitor: Visitor) -> None:
    await visitor.use_link(Role.OPERATOR, "abc123", who="ana")
    page = visitor.page
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Great Buys: 2 orders failed.")
    await page.get_by_role("link", name="2 orders failed").click()
    await page.get_by_label("Reason").fill("cost center")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="251").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Order 251")
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_text("The order was queued again.")).to_be_visible()
    assert (await stocked.entry(251)).status is Status.QUEUED
    await page.go_back()
    await page.reload()
    assert "done=" not in page.url


async def test_two_clicks_in_two_tabs_retry_once(stocked: RunningConsole, visitor: Visitor) -> None:
    await visitor.sign_in(Role.OPERATOR)
    other = await visitor.page.context.new_page()
    for page in (visitor.page, other):
        await page.goto(stocked.url + "/orders/abc123/251")
    await visitor.page.get_by_role("button", name="Retry").click()
    await other.get_by_role("button", name="Retry").click()
    await expect(visitor.page.get_by_text("The order was queued again.")).to_be_visible()
    await expect(other.get_by_text("is in progress already")).to_be_visible()


async def test_a_viewer_has_nothing_to_press(stocked: RunningConsole, visitor: Visitor) -> None:
    await visitor.sign_in(Role.VIEWER)
    page = await visitor.open("/orders/abc123/251")
    await expect(page.get_by_role("heading", name="Values")).to_be_visible()
    await expect(page.get_by_role("button", name="Retry")).to_have_count(0)


async def test_a_link_that_was_used_says_so(visitor: Visitor, console: RunningConsole) -> None:
    used = await console.link()
    for _ in range(2):
        await visitor.page.goto(used)
        await visitor.page.get_by_role("button", name="Sign in").click()
    await expect(visitor.page.get_by_role("alert")).to_contain_text("was used already")
    # The browser itself notes the 401.
    assert visitor.complaints
    visitor.complaints.clear()


async def test_the_live_list_shows_a_new_order_by_itself(stocked: RunningConsole, visitor: Visitor) -> None:
    await visitor.sign_in(Role.VIEWER)
    page = await visitor.open("/orders?po=LIVE")
    await expect(page.get_by_text("No order matches.")).to_be_visible()
    await page.get_by_role("button", name="Live: off").click()
    await expect(page.get_by_role("button", name="Live: on")).to_be_visible()
    await stocked.keep(replace(enriched(300), po_number="LIVE-1"))
    await expect(page.get_by_role("link", name="300")).to_be_visible(timeout=10_000)


async def test_a_hidden_tab_asks_for_nothing(stocked: RunningConsole, visitor: Visitor) -> None:
    await visitor.sign_in(Role.VIEWER)
    page = await visitor.open("/orders?live=on")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/orders" in request.url else None)
    await page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    tick = "document.getElementById('orders').dispatchEvent(new CustomEvent('every'))"
    await page.evaluate(tick)
    await page.evaluate("new Promise(resolve => setTimeout(resolve, 100))")
    assert asked == []
    await page.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
    async with page.expect_request("**/orders?live=on"):
        await page.evaluate(tick)


async def test_text_of_shoppers_runs_nothing(stocked: RunningConsole, visitor: Visitor) -> None:
    await visitor.sign_in()
    for path in ("/", "/orders", "/orders/abc123/253", "/stores/abc123"):
        page = await visitor.open(path)
        assert "owned" not in await page.title()
        assert await page.evaluate("document.images.length") == 0


async def fits(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


async def test_no_page_scrolls_sideways(stocked: RunningConsole, visitor: Visitor) -> None:
    await visitor.page.goto(await stocked.link())
    await _fits_narrow_and_wide(visitor.page)
    await visitor.sign_in()
    for path in (*PATHS, "/orders/abc123/253"):
        await _fits_narrow_and_wide(await visitor.open(path))


async def _fits_narrow_and_wide(page: Page) -> None:
    for width in (320, 1600):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await fits(page), (page.url, width)


_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


async def test_axe_finds_nothing_in_light_and_dark(stocked: RunningConsole, visitor: Visitor) -> None:
    found = await _violations(visitor, await stocked.link())
    await visitor.sign_in()
    for path in PATHS:
        found += await _violations(visitor, stocked.url + path)
    assert found == []


async def _violations(visitor: Visitor, url: str) -> list[tuple[str, str, str]]:
    """What axe finds: in the light scheme by all its rules, in the dark one by those of colours."""
    page, axe, found = visitor.page, Axe(), []
    await page.goto(url)
    for scheme, rules in (("light", {}), ("dark", _COLOURS)):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        results = await axe.run(page, options={"resultTypes": ["violations"], **rules})
        if results.violations_count:
            found.append((page.url.partition("?")[0], scheme, results.generate_report()))
    return found


@pytest.mark.parametrize("options", [{"color_scheme": "dark"}], ids=str)
async def test_dark_is_dark(stocked: RunningConsole, visitor: Visitor) -> None:
    await visitor.sign_in()
    colour = await (await visitor.open("/")).evaluate("getComputedStyle(document.documentElement).backgroundColor")
    red, green, blue = (int(part) for part in colour.strip("rgb()").split(","))
    assert max(red, green, blue) < 60


@pytest.mark.parametrize("options", [{"java_script_enabled": False}], ids=str)
async def test_everything_works_without_javascript(stocked: RunningConsole, visitor: Visitor) -> None:
    await visitor.sign_in(Role.OPERATOR)
    page = await visitor.open("/orders")
    await page.get_by_label("Outcome").select_option("failed")
    await page.get_by_label("Order", exact=True).fill("251")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="251").click()
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_text("The order was queued again.")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Sign-in code")).to_be_visible()


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))


async def test_the_keyboard_is_enough(stocked: RunningConsole, visitor: Visitor) -> None:
    page = visitor.page
    await page.goto(await stocked.link(Role.OPERATOR))
    assert await focused(page) == "Sign in"
    await page.keyboard.press("Enter")
    await page.wait_for_url(stocked.url + "/")
    await page.keyboard.press("Tab")
    assert await focused(page) == "Skip to the content"
    await page.keyboard.press("Enter")
    assert await focused(page) != "Skip to the content"
    await page.goto(stocked.url + "/orders/abc123/251")
    for _ in range(20):
        await page.keyboard.press("Tab")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", await focused(page)
        if await focused(page) == "Retry":
            break
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("The order was queued again.")).to_be_visible()


async def test_whoever_comes_from_a_chat_message_is_signed_in_and_another_site_can_do_nothing(
    stocked: RunningConsole, visitor: Visitor
) -> None:
    await stocked.keep(failed(251))
    await visitor.sign_in()
    page, order = visitor.page, f"{stocked.url}/orders/abc123/251"
    message = f"""<a href="{order}">order 251</a>
        <form method="post" action="{order}/retry"><button>Win a prize</button></form>"""

    async def chat(route: Route) -> None:
        await route.fulfill(body=message, content_type="text/html")

    await page.route("http://chat.test/**", chat)
    await page.goto("http://chat.test/")
    await page.get_by_role("link", name="order 251").click()
    await expect(page.get_by_role("heading", name="Order 251")).to_be_visible()

    await page.goto("http://chat.test/")
    await page.get_by_role("button", name="Win a prize").click()
    await expect(page.get_by_text("The request came from another site, so nothing was done.")).to_be_visible()
    assert (await stocked.entry(251)).status is Status.FAILED
    assert [complaint for complaint in visitor.complaints if "403" not in complaint] == []
    visitor.complaints.clear()


async def test_a_mail_program_that_opens_a_link_does_not_use_it_up(browser: Browser, console: RunningConsole) -> None:
    """It opens the link, runs its scripts, and follows nothing."""
    link = await console.link()
    scanner = await browser.new_context()
    page = await scanner.new_page()
    await page.goto(link)
    await page.goto(link)
    assert await scanner.cookies() == []
    await scanner.close()
    person = await browser.new_context()
    page = await person.new_page()
    await page.goto(link)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(console.url + "/")
    assert "code" not in page.url
    await person.close()
