"""Pages that read from BigCommerce when somebody asks, against the sandbox over HTTP."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.console.image_hosts import ImageHosts
from service.console.people.access import Role
from service.hooks import HookState
from service.orders.facts.fact import Fact
from service.orders.facts.store_facts import Facts
from service.orders.state.keys import hook_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.pauses import Pauses
from service.orders.state.transitions import Transitions
from service.orders.state.worklists.held_orders import HeldOrders
from service.stores import Endpoints
from tests.fakes.console import ConsoleWorld
from tests.fakes.orders import enriched
from tests.fakes.sandbox import RunningSandbox

pytestmark = pytest.mark.integration

OLD = 100_000
"""Seconds: an order so old has B2B Edition's own record."""


async def place(sandbox: RunningSandbox, **placed: Any) -> int:
    """Place an old order of Ada, a buyer, whose record holds the PO number A-1."""
    fields = {"age": OLD, "buyer_po": "A-1", "buyer_extra_fields": {"Account No": "ERP-10001"}, **placed}
    return int((await sandbox.place_order(customer_id=101, customer_message="PO A-1", **fields))["id"])


async def run(client: httpx.AsyncClient, path: str, **form: str) -> dict[str, Any]:
    """Press the button of the page, and wait for the result; as JSON."""
    answer = await client.post(path, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, path), answer.text
    return await finished(client, path)


async def finished(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """Wait until a page has its result; as JSON."""
    async with asyncio.timeout(20):
        while True:
            state = (await client.get(f"{path}.json")).json()
            if state["state"] != "running":
                break
            await asyncio.sleep(0.02)
    assert state["state"] == "done", state
    return dict(state)


def actions(logs: list[Any]) -> list[tuple[str, str, str]]:
    lines = [line for line in logs if line["event"] == "console_action"]
    return [(line["who"], line["action"], line["detail"]) for line in lines]


async def test_the_record_is_read_when_somebody_asks_and_not_before(
    sandbox_world: ConsoleWorld, sandbox: RunningSandbox
) -> None:
    order_id = await place(sandbox)
    path = f"/orders/sandbox/{order_id}/record"
    async with sandbox_world.person() as client:
        before = (await client.get(path)).text
        assert (await sandbox.calls())["b2b"] == {}
        found = await run(client, path)
        after = (await client.get(path)).text
    assert found["result"]["po_number"] == "A-1"
    assert found["result"]["fields"]["Account No"] == "ERP-10001"
    assert "Read the record</button>" in before
    assert "ERP-10001" in after
    async with sandbox_world.person(who="ben") as client:
        assert (await client.get(f"{path}.json")).json() == {"state": "not_run"}


async def test_an_order_without_a_record_says_so(sandbox_world: ConsoleWorld, sandbox: RunningSandbox) -> None:
    order_id = int((await sandbox.place_order(customer_id=101))["id"])
    path = f"/orders/sandbox/{order_id}/record"
    async with sandbox_world.person() as client:
        assert (await run(client, path))["result"] is None
        assert "B2B Edition has no record of this order." in (await client.get(path)).text


async def test_the_preview_shows_what_would_be_sent_and_sends_nothing(
    sandbox_world: ConsoleWorld, sandbox: RunningSandbox
) -> None:
    order_id = await place(sandbox, buyer_po=None)
    path = f"/orders/sandbox/{order_id}/preview"
    async with sandbox_world.person() as client:
        found = (await run(client, path))["result"]
        page = (await client.get(path)).text
    assert (found["outcome"], found["payload"]["poNumber"]) == ("sent", "A-1")
    assert {rule["rule"]: rule["sent"] for rule in found["rules"]} == {"po_number": "A-1", "Account No": "ERP-10001"}
    assert "It would be sent." in page
    assert "Update an Order would change" in page
    assert (await sandbox.order(order_id))["writes"] == []


async def test_a_preview_of_an_order_that_is_not_there_says_so(sandbox_world: ConsoleWorld) -> None:
    path = "/orders/sandbox/999/preview"
    async with sandbox_world.person() as client:
        await client.post(path)
        state = (await client.get(f"{path}.json")).json()
        page = (await client.get(path)).text
    assert state["state"] == "failed"
    assert "404" in state["error"]
    assert 'role="alert"' in page


async def test_what_the_buyer_sees_is_shown_with_products_and_one_log_line(
    sandbox_world: ConsoleWorld, sandbox: RunningSandbox
) -> None:
    order_id = await place(sandbox)
    path = f"/orders/sandbox/{order_id}/as-buyer"
    async with sandbox_world.person(Role.OPERATOR, who="ana") as client:
        with capture_logs() as logs:
            assert "Look as the buyer</button>" in (await client.get(path)).text
            assert actions(logs) == []
            found = (await run(client, path))["result"]
        page = (await client.get(path)).text
    assert found["order"]["po_number"] == "A-1"
    assert actions(logs) == [("ana", "look as buyer", "customer 101")]
    assert "The buyer sees what B2B Edition's record holds." in page.replace("&#39;", "'")
    (picture,) = re.findall(r'<img src="([^"]*)" alt="" width="48"', page)
    drawn = await sandbox.api.get(picture)
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/svg+xml")
    assert drawn.text.startswith("<svg")


async def test_a_po_that_the_buyer_does_not_see_is_pointed_out(
    sandbox_world: ConsoleWorld, sandbox: RunningSandbox
) -> None:
    order_id = await place(sandbox, buyer_po=None)
    await sandbox.write_record(order_id, po_number="A-2")
    await sandbox.faults(storefront_lag=3600)
    path = f"/orders/sandbox/{order_id}/as-buyer"
    async with sandbox_world.person(Role.OPERATOR) as client:
        await run(client, path)
        assert "The record holds the PO number A-2, and the buyer does not see it." in (await client.get(path)).text


async def test_nobody_looks_as_a_guest(sandbox_world: ConsoleWorld, sandbox: RunningSandbox) -> None:
    order_id = int((await sandbox.place_order(customer_id=0))["id"])
    path = f"/orders/sandbox/{order_id}/as-buyer"
    async with sandbox_world.person(Role.OPERATOR) as client:
        with capture_logs() as logs:
            found = (await run(client, path))["result"]
        assert "guests have no Buyer Portal" in (await client.get(path)).text
    assert found["order"] is None
    assert actions(logs) == []


async def test_a_buyer_has_a_page_with_orders_and_products(
    sandbox_world: ConsoleWorld, sandbox: RunningSandbox
) -> None:
    orders = [await place(sandbox, age=OLD + number) for number in range(12)]
    async with sandbox_world.person(Role.OPERATOR, who="ana") as client:
        with capture_logs() as logs:
            found = (await run(client, "/buyers/sandbox/101"))["result"]
        page = (await client.get("/buyers/sandbox/101")).text
        more = (await run(client, "/buyers/sandbox/101", orders=str(found["orders"]["next_offset"])))["result"]
        nobody = (await run(client, "/buyers/sandbox/199"))["result"]
        wrong = await client.post("/buyers/sandbox/101", data={"orders": "-1"})
    listed = [order["order_id"] for order in (*found["orders"]["items"], *more["orders"]["items"])]
    assert sorted(listed) == sorted(orders)
    assert actions(logs) == [("ana", "look as buyer", "customer 101")]
    assert 'name="orders" value="10"><button>More orders</button>' in page
    assert "Shipping Carton, 50 pcs" in page
    assert "is not a user of a Company" in nobody["not_shown"]["orders"]
    assert wrong.status_code == 400


async def test_a_viewer_cannot_look_as_a_buyer(sandbox_world: ConsoleWorld, sandbox: RunningSandbox) -> None:
    order_id = await place(sandbox)
    async with sandbox_world.person() as client:
        for path in (f"/orders/sandbox/{order_id}/as-buyer", "/buyers/sandbox/101"):
            assert (await client.post(path)).status_code == 403
            assert (await client.get(path)).status_code == 403
            assert (await client.get(f"{path}.json")).status_code == 403
    assert (await sandbox.calls())["storefront"] == {}


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://cdn11.bigcommerce.com/s-x/products/1.jpg", True),
        ("http://cdn11.bigcommerce.com/s-x/products/1.jpg", False),
        ("https://bigcommerce.com.evil.example/1.jpg", False),
        ("https://evilbigcommerce.com/1.jpg", False),
        ("https://evil@cdn11.bigcommerce.com/1.jpg", False),
        ("https://cdn11.bigcommerce.com:8443/1.jpg", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_only_images_of_bigcommerce_are_shown(url: str, *, is_shown: bool) -> None:
    assert ImageHosts.of(Endpoints()).shows(url) is is_shown
    assert ImageHosts.of(Endpoints()).sources == "'self' https://*.bigcommerce.com"


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("http://127.0.0.1:9100/products/111/images/1.svg", True),
        ("https://cdn11.bigcommerce.com/s-x/products/1.jpg", True),
        ("http://127.0.0.1:9101/products/111/images/1.svg", False),
        ("https://127.0.0.1:9100/1.svg", False),
        ("http://a@127.0.0.1:9100/1.svg", False),
    ],
)
def test_images_of_a_sandbox_on_this_machine_are_shown(url: str, *, is_shown: bool) -> None:
    images = ImageHosts.of(Endpoints(api_url="http://127.0.0.1:9100", b2b_api_url="http://127.0.0.1:9100"))
    assert images.shows(url) is is_shown
    assert images.sources == "'self' https://*.bigcommerce.com http://127.0.0.1:9100"


async def test_text_of_shoppers_is_text_on_the_pages_that_read_bigcommerce(
    sandbox_world: ConsoleWorld, sandbox: RunningSandbox
) -> None:
    nasty = "<script>alert(1)</script>\u202e\"'"
    order_id = await place(sandbox, buyer_po=nasty, buyer_extra_fields={"Account No": nasty})
    paths = [f"/orders/sandbox/{order_id}/{read}" for read in ("record", "preview", "as-buyer")]
    async with sandbox_world.person(Role.ADMIN) as client:
        for path in (*paths, "/buyers/sandbox/101"):
            await run(client, path)
            page = (await client.get(path)).text
            assert "<script>alert" not in page, path
            if not path.endswith("preview"):
                assert "&lt;script&gt;alert(1)" in page, path


# ── a store ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_check_tells_each_finding_with_its_cure(sandbox_world: ConsoleWorld) -> None:
    path = "/stores/sandbox/check"
    async with sandbox_world.person(Role.OPERATOR) as client:
        found = (await run(client, path))["result"]
        page = (await client.get(path)).text
    assert found["would_be_enriched"] is False
    wrong = [finding for finding in found["findings"] if finding["level"] != "ok"]
    assert any(finding["subject"].startswith("webhook") for finding in wrong)
    assert [finding["level"] for finding in found["findings"]] == sorted(
        (finding["level"] for finding in found["findings"]), key=["error", "warning", "ok"].index
    )
    for finding in wrong:
        assert finding["cure"].replace("'", "&#39;").replace('"', "&#34;").replace(">", "&gt;") in page or "&" in page
    assert found["verdict"].split(":")[0] in page


async def test_webhooks_are_registered_once_and_repaired(sandbox_world: ConsoleWorld, sandbox: RunningSandbox) -> None:
    path = "/stores/sandbox/webhooks"
    async with sandbox_world.person(Role.OPERATOR, who="ana") as client:
        bad = await client.post(f"{path}/register", data={"url": "ftp://nowhere"})
        with capture_logs() as logs:
            first = (await run(client, f"{path}/register", url="http://127.0.0.1:8000"))["result"]
            again = (await run(client, f"{path}/register", url="http://127.0.0.1:8000"))["result"]
        await sandbox.switch_hooks(on=False)
        inactive = (await run(client, path))["result"]
        repaired = (await run(client, f"{path}/repair"))["result"]
        page = (await client.get("/stores/sandbox/webhooks/repair")).text
    assert bad.status_code == 400
    assert "URL ftp://nowhere" in bad.text
    assert (first["complete"], {step["did"] for step in first["steps"]}) == (True, {"created"})
    assert {step["did"] for step in again["steps"]} == {"kept"}
    assert (await HookState.read(sandbox_world.redis, "sandbox")).destination == first["destination"]
    assert await sandbox_world.redis.hget(hook_key("sandbox"), "changed_at")  # type: ignore[misc]
    assert {kind for hook in inactive for kind in hook["problems"]} == {"inactive"}
    assert {step["did"] for step in repaired["steps"]} == {"activated"}
    assert "All webhooks that orders need are in place" in page
    count = len(first["steps"])
    assert actions(logs) == [
        ("ana", "hooks register", f"{count} created"),
        ("ana", "hooks register", f"{count} kept"),
    ]


async def test_a_viewer_sees_the_webhooks_and_changes_none(sandbox_world: ConsoleWorld) -> None:
    path = "/stores/sandbox/webhooks"
    async with sandbox_world.person() as client:
        await run(client, path)
        page = (await client.get(path)).text
        refused = [await client.post(f"{path}/{what}", data={"url": "http://a"}) for what in ("register", "repair")]
    assert [answer.status_code for answer in refused] == [403, 403]
    assert "missing" in page
    assert "Repair</button>" not in page


async def test_a_store_is_paused_and_resumed_once(world: ConsoleWorld) -> None:
    async with world.person(Role.OPERATOR, who="ana") as client:
        with capture_logs() as logs:
            paused = [await client.post("/stores/abc123/pause") for _ in range(2)]
            page = (await client.get("/stores/abc123")).text
            await world.keep(enriched(250))
            order = (await client.get("/orders/abc123/250")).text
            pause = await Pauses(world.redis).read("abc123")
            resumed = [await client.post("/stores/abc123/resume") for _ in range(2)]
            after = (await client.get("/stores/abc123")).text
    assert {answer.headers["location"] for answer in paused} == {"/stores/abc123?done=paused"}
    assert {answer.headers["location"] for answer in resumed} == {"/stores/abc123/resume"}
    assert pause
    assert pause.who == "ana"
    assert "Resume writing" in page
    assert "paused by <bdi>ana</bdi>" in page
    assert "Writing for this store is paused by <bdi>ana</bdi>" in order
    assert "Pause writing" in after
    assert await Pauses(world.redis).read("abc123") is None
    assert actions(logs) == [("ana", "stores pause", ""), ("ana", "stores resume", "0 orders held")]
    assert (await world.entry(250)).status is Status.CREATED


async def test_held_orders_go_on_while_the_page_shows_how_far_it_is(
    world: ConsoleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for order_id in (1, 2, 3):
        assert await Transitions(world.redis).hold(Entry("abc123", order_id, po_number="PO1"), writes_off=True)
    await Pauses(world.redis).begin("abc123", "ben")
    go_on = asyncio.Event()
    release = HeldOrders._release

    async def slowly(held: HeldOrders, store: str, order_id: int) -> bool:
        if order_id == 3:
            await go_on.wait()
        return await release(held, store, order_id)

    monkeypatch.setattr(HeldOrders, "_release", slowly)
    monkeypatch.setattr("service.orders.state.worklists.held_orders.BATCH", 1)
    path = "/stores/abc123/resume"
    async with world.person(Role.OPERATOR, who="ana") as client:
        with capture_logs() as logs:
            first = await client.post(path)
            page = (await client.get(path)).text
            second = await client.post(path)
            go_on.set()
            result = await finished(client, path)
        after = (await client.get(path)).text
    assert first.headers["location"] == second.headers["location"] == path
    assert "2 of 3 held orders go on …" in page
    assert result["result"] == {"released": 3, "paused": False, "writes": "on"}
    assert "The store is resumed. 3 orders go on." in after
    assert '<form class="actions"' not in after
    assert actions(logs) == [("ana", "stores resume", "3 orders held")]
    assert await HeldOrders(world.redis).count("abc123") == 0
    assert (await world.entry(1)).status is Status.QUEUED


async def test_a_store_that_is_paused_again_or_read_only_says_so(world: ConsoleWorld) -> None:
    async with world.person(Role.OPERATOR) as client:
        assert "This store is not paused." in (await client.get("/stores/abc123/resume")).text
        path = world.folder / "stores.toml"
        path.write_text(path.read_text().replace("[stores.abc123]", '[stores.abc123]\nwrites = "off"'))
        world.live.request_reload()
        assert world.live.poll() is not None
        await client.post("/stores/abc123/resume")
        assert "the stores file says writes = " in (await client.get("/stores/abc123/resume")).text


# ── while the quota is spent ────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_says_what_it_waits_for_and_looks_again_by_itself(world: ConsoleWorld) -> None:
    spent = httpx.Response(429, headers={"X-Rate-Limit-Time-Reset-Ms": "30000", "X-Rate-Limit-Requests-Left": "0"})
    world.upstream.on("GET /api/v3/io/orders/250", spent)
    path = "/orders/abc123/250/record"
    async with world.app.router.lifespan_context(world.app), world.person() as client:
        await client.post(path)
        page = (await client.get(path)).text
        state = (await client.get(f"{path}.json")).json()
        again = await client.post(path)
    assert re.search(r"Get an Order: waits \d+ s for BigCommerce(&#39;|')s quota\. Orders go first\.", page)
    assert f'hx-get="{path}" hx-trigger="every 1s" hx-select="#run"' in page
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
    assert "<button" not in page.split('id="run"')[1]
    assert state["state"] == "running"
    assert again.headers["location"] == path
    assert world.upstream.asked == ["GET /api/v3/io/orders/250"]


async def test_the_store_shows_what_the_real_window_was(world: ConsoleWorld) -> None:
    async with world.person() as client:
        before = (await client.get("/stores/abc123")).text
        await Facts(world.redis).keep("abc123", {Fact.CREATE_TAKEN_UNTIL: 9.6, Fact.RECORD_THERE_FROM: 10.4})
        after = (await client.get("/stores/abc123")).text
    assert "not known yet: it takes three orders that agree." in before
    assert "Create an Order was taken up to 9.6 s after the order; somebody else" in after
