"""What the pages show: the overview, a store, the list of orders, one order, and retrying it."""

import csv
import io
import re
import time
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from service.console.people.access import Role
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.rules_archive import RulesArchive
from service.orders.state.transitions import Transitions
from tests.fakes.console import ConsoleWorld
from tests.fakes.orders import CREATED, enriched, failed

NASTY = "<script>alert(1)</script>\"'&\u202eRTL\u2066" + "x" * 65_536


async def listed(world: ConsoleWorld, query: str = "") -> list[int]:
    """The orders of the JSON, of the page and of the CSV, which must agree."""
    async with world.person() as client:
        found = [order["order_id"] for order in (await client.get(f"/orders.json{query}")).json()]
        page = (await client.get(f"/orders{query}")).text
        table = list(csv.DictReader(io.StringIO((await client.get(f"/orders.csv{query}")).text)))
    assert [int(number) for number in re.findall(r'<th scope="row"[^>]*><a href="[^"]*">(\d+)</a>', page)] == found
    assert [int(row["order_id"]) for row in table] == found
    return found


async def test_orders_are_found_by_each_filter_and_the_last_changed_come_first(world: ConsoleWorld) -> None:
    await world.keep(replace(enriched(250), create_age=9.0), age_s=300)
    await world.keep(failed(251), age_s=200)
    await world.keep(enriched(250, "other1"), age_s=100)
    await world.keep(replace(failed(253, reason="po_number"), customer_id=7, company_id=9), age_s=90_000)
    assert await listed(world) == [250, 251, 250, 253]
    for query, found in {
        "?store=abc123": [251, 250, 253],
        "?outcome=failed": [251, 253],
        "?outcome=created&store=abc123": [250],
        "?reason=COST": [251],
        "?po=4711&store=other1": [250],
        "?order=251": [251],
        "?customer=7": [253],
        "?company=9": [253],
        "?since=1h&outcome=failed": [251],
        "?margin_below=2": [250],
        "?until=1h": [253],
        "?late=on": [],
        "?po=nothing": [],
    }.items():
        assert await listed(world, query) == found, query


async def test_a_filter_that_cannot_be_understood_is_named(world: ConsoleWorld) -> None:
    async with world.person() as client:
        answer = await client.get("/orders.json?outcome=lost&order=12a&since=yesterday&margin_below=x")
        assert answer.status_code == 400
        for name in ("outcome", "order", "since", "margin_below"):
            assert f"{name}: write" in answer.json()["error"]
        assert "since: write" in (await client.get("/orders?since=yesterday")).text


async def test_pages_of_the_list_hold_each_order_once(world: ConsoleWorld) -> None:
    for number in range(120):
        await world.keep(enriched(1000 + number), age_s=500 - number)
    found, path = [], "/orders"
    async with world.person() as client:
        while path:
            text = (await client.get(path)).text
            found += [int(number) for number in re.findall(r'<th scope="row"[^>]*><a href="[^"]*">(\d+)</a>', text)]
            older = re.search(r'rel="next" href="([^"]*)"', text)
            path = older[1].replace("&amp;", "&") if older else ""
    assert found == list(range(1119, 999, -1))


async def test_the_live_list_asks_again_and_can_be_switched_off(world: ConsoleWorld) -> None:
    await world.keep(failed(251))
    async with world.person() as client:
        off, on = (
            (await client.get("/orders?outcome=failed")).text,
            (await client.get("/orders?outcome=failed&live=on")).text,
        )
    assert "hx-trigger" not in off
    assert 'aria-pressed="false" href="/orders?outcome=failed&amp;live=on"' in off
    assert 'hx-get="/orders?outcome=failed&amp;live=on" hx-trigger="every 3s"' in on
    assert 'aria-pressed="true" href="/orders?outcome=failed"' in on
    assert '<noscript><meta http-equiv="refresh"' in on


async def with_rules(world: ConsoleWorld, entry: Entry) -> Entry:
    """The entry as written with the store's rules of today."""
    rules = world.live.current.stores["abc123"].rules
    await RulesArchive(world.redis).keep("abc123", rules)
    given = {"po_number": ("PO-4711", 1), "Cost Center": ("CC-210", 0)}
    return replace(entry, rules_version=rules.version, given=given, dropped={}, kept=[])


async def test_each_value_is_shown_with_its_rule_and_source(world: ConsoleWorld) -> None:
    await world.keep(await with_rules(world, enriched(250)))
    async with world.person() as client:
        values = {row["name"]: row for row in (await client.get("/orders/abc123/250.json")).json()["values"]}
        page = (await client.get("/orders/abc123/250")).text
    assert values["po_number"]["source"] == "order.customer_message"
    assert values["po_number"]["rule"] == ["metafields.checkout.po", "order.customer_message"]
    assert (values["po_number"]["found"], values["po_number"]["state"]) == ("PO-4711", "on the record")
    assert values["Cost Center"]["source"] == "metafields.checkout.cost_center"
    assert '<code class="gave">order.customer_message</code>' in page


async def test_what_was_kept_left_out_and_is_missing_says_why(world: ConsoleWorld) -> None:
    entry = await with_rules(world, enriched(250))
    await world.keep(replace(entry, kept=["Cost Center"]))
    await world.keep(replace(entry, order_id=251, dropped={"Cost Center": "longer than 200 characters"}))
    await world.keep(replace(failed(252, reason="po_number"), rules_version=entry.rules_version))
    async with world.person() as client:

        async def state(order_id: int, name: str) -> tuple[str, str | None]:
            answer = (await client.get(f"/orders/abc123/{order_id}.json")).json()
            (row,) = [row for row in answer["values"] if row["name"] == name]
            return row["state"], row["why"]

        assert await state(250, "Cost Center") == ("kept", "the record already had a value of somebody else's")
        assert await state(251, "Cost Center") == ("left out", "longer than 200 characters")
        assert await state(252, "po_number") == ("no value", None)


async def test_the_ten_seconds_are_a_picture_and_the_same_as_text(world: ConsoleWorld) -> None:
    await world.keep(enriched(250))
    async with world.person() as client:
        page = (await client.get("/orders/abc123/250")).text
        timeline = (await client.get("/orders/abc123/250.json")).json()["timeline_ms"]
    assert timeline["sent"] == 1750
    assert re.search(r"sent</th><td[^>]*>1\.750 s</td>", page)
    assert "Longest: from created to webhook sent, 1000 ms." in page
    # 10 s are 900 units: the step to `sent` begins at 1 s and takes 0.75 s.
    assert re.search(r'class="step" x="90\.0" y="5" width="67\.5"', page)


async def test_a_record_that_was_created_as_the_buyer_says_so(world: ConsoleWorld) -> None:
    await world.keep(enriched(250))
    await world.keep(replace(enriched(251), over_storefront=True))
    await world.keep(replace(enriched(252), comment_not_kept=True))
    async with world.person() as client:
        pages = [(await client.get(f"/orders/abc123/{order_id}")).text for order_id in (250, 251, 252)]
        via = [(await client.get(f"/orders/abc123/{order_id}.json")).json()["via"] for order_id in (250, 251, 252)]
    assert "<p>Created: " not in pages[0]
    assert "<p>Created: over the storefront API, as the buyer.</p>" in pages[1]
    assert "comment is not kept.</p>" in pages[2]
    assert via == ["b2b", "storefront", "b2b"]


async def test_an_order_that_nobody_knows_is_not_found_and_says_what_to_do(world: ConsoleWorld) -> None:
    async with world.person() as client:
        answer = await client.get("/orders/abc123/999")
        assert (answer.status_code, "enrich backfill" in answer.text) == (404, True)
        assert (await client.get("/orders/abc123/999.json")).status_code == 404


async def test_a_failed_order_says_what_to_do(world: ConsoleWorld) -> None:
    await world.keep(failed(251, reason="po_number"))
    async with world.person() as client:
        assert (
            "The value of the PO number is required, and there was none. Correct the order, the rule"
            in (await client.get("/orders/abc123/251")).text
        )


async def test_retrying_queues_the_order_once_and_logs_who_did_it(world: ConsoleWorld) -> None:
    await world.keep(failed(251))
    async with world.person(Role.OPERATOR, who="ana") as client:
        with capture_logs() as logs:
            answers = [await client.post("/orders/abc123/251/retry") for _ in range(2)]
        done = [answer.headers["location"] for answer in answers]
        assert done == ["/orders/abc123/251?done=retried", "/orders/abc123/251?done=in_progress"]
        assert "queued again" in (await client.get(done[0])).text
    entry = await world.entry(251)
    assert (entry.status, entry.source) == (Status.QUEUED, "retry")
    assert logs[0] == {
        "event": "console_action",
        "log_level": "info",
        "who": "ana",
        "role": "operator",
        "action": "retry",
        "store": "abc123",
        "orders": [251],
        "orders_count": 1,
        "detail": "",
    }


async def test_an_unknown_order_cannot_be_retried(world: ConsoleWorld) -> None:
    async with world.person(Role.OPERATOR) as client:
        with capture_logs() as logs:
            assert (await client.post("/orders/abc123/999/retry")).status_code == 404
    assert logs == []


async def test_text_of_shoppers_is_text_on_every_page(world: ConsoleWorld) -> None:
    entry = Entry("abc123", 250, status=Status.FAILED, reason=NASTY, po_number=NASTY, fields={NASTY: NASTY})
    entry.dropped, entry.kept, entry.customer_id = {NASTY: NASTY}, [NASTY], 7
    await world.keep(entry)
    async with world.person(Role.ADMIN) as client:
        for path in ("/", "/orders", "/orders/abc123/250", "/stores/abc123", "/orders?reason=%3Cscript%3E"):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "<script>alert" not in answer.text, path
            assert "&lt;script&gt;" in answer.text or path in ("/", "/stores/abc123"), path
            for found in re.findall(r"(.{0,24})\u202e", answer.text):
                assert "<bdi" in answer.text, found
        # A table shows the beginning of a long text, and its own page all of it.
        assert len((await client.get("/orders")).text) < 30_000
        assert (await client.get("/orders.json")).json()[0]["po_number"] == NASTY
        assert (await client.get("/orders?po=%3Cscript%3E%22%27")).status_code == 200


async def test_half_a_surrogate_pair_breaks_no_page(world: ConsoleWorld) -> None:
    await world.keep(replace(enriched(250), po_number="a\ud800b"))
    async with world.person() as client:
        for path in ("/orders", "/orders/abc123/250", "/orders.csv"):
            assert "a?b" in (await client.get(path)).text, path
        assert (await client.get("/orders.json")).json()[0]["po_number"] == "a\ud800b"


async def test_no_cell_of_a_csv_is_a_formula(world: ConsoleWorld) -> None:
    await world.keep(replace(enriched(250), po_number='=HYPERLINK("https://evil.example")'))
    async with world.person() as client:
        (row,) = csv.DictReader(io.StringIO((await client.get("/orders.csv")).text))
        assert row["po_number"].startswith("'=")


async def test_the_overview_says_that_all_is_fine_or_what_is_not(world: ConsoleWorld) -> None:
    async with world.person() as client:
        assert (await client.get("/.json")).json()["summary"] == "All 2 stores are fine."
        await world.keep(failed(251, "other1"), failed(252, "other1"))
        overview = (await client.get("/.json")).json()
        assert overview["summary"] == "Office Supplies: 2 orders failed."
        assert [store["store"] for store in overview["stores"]] == ["other1", "abc123"]
        assert overview["service"] == ["No worker is running: orders wait until one starts."]
        page = (await client.get("/")).text
        assert page.index("Office Supplies") < page.index("Great Buys")


def fresh(order_id: int, *, create_age: float) -> Entry:
    """An order that was placed two minutes ago, so that the statistics count it."""
    entry, shift = enriched(order_id), time.time() - 120 - CREATED
    times = {stage: at + shift for stage, at in entry.times.items()}
    return replace(entry, times=times, announced_at=times[Stage.WEBHOOK_SENT], create_age=create_age)


async def test_the_overview_counts_the_share_in_the_window(world: ConsoleWorld) -> None:
    await world.keep(fresh(250, create_age=1.75), fresh(251, create_age=11.0))
    async with world.person() as client:
        (abc123, _) = (await client.get("/.json")).json()["stores"]
        assert (abc123["share_in_window"], abc123["share_in_window_7d"]) == (0.5, 0.5)
        assert "50.0" in (await client.get("/")).text


async def test_a_store_shows_its_hours_days_margins_and_stages(world: ConsoleWorld) -> None:
    await world.keep(*(fresh(250 + number, create_age=age) for number, age in enumerate((1.75, 9.2, 11.0))))
    await world.keep(replace(failed(260), times={Stage.CREATED: time.time() - 120}))
    async with world.person() as client:
        page = (await client.get("/stores/abc123")).text
        found = (await client.get("/stores/abc123.json")).json()
        (day,) = csv.DictReader(io.StringIO((await client.get("/stores/abc123.csv")).text))
    assert found["hours"][-1]["outcomes"]["created"] == found["days"][-1]["outcomes"]["created"] == 3
    assert (day["created"], day["failed"], day["missed_window"]) == ("3", "1", "1")
    assert "Margins of 3 creates: 1 with less than two seconds left, 1 after the window" in page
    assert "0.5 to 1 s left: 1" in page
    assert "after the window: 1" in page
    assert "8 to 8.5 s left: 1" in page
    assert re.search(r"4 orders</?|: 4 orders", page)
    assert "age when Create was sent" in page


async def test_a_store_whose_token_is_refused_comes_first(world: ConsoleWorld) -> None:
    from service.orders.state.per_store.credentials_breaker import Breaker

    await world.keep(failed(251, "other1"))
    begun, _ = await Transitions(world.redis).begin_attempt("abc123", 300)
    await Breaker(world.redis).open("abc123")
    assert await Transitions(world.redis).park(begun)
    async with world.person() as client:
        overview = (await client.get("/.json")).json()
        assert overview["summary"].startswith("Great Buys: BigCommerce refuses its access token; 1 order")
        assert overview["stores"][0]["severity"] == "down"


@pytest.mark.parametrize("path", ["/", "/orders", "/stores/abc123", "/orders/abc123/250"])
async def test_a_page_is_small(world: ConsoleWorld, path: str) -> None:
    for number in range(60):
        await world.keep(enriched(250 + number))
    async with world.person() as client:
        answer = await client.get(path, headers={"accept-encoding": "gzip"})
        assert int(answer.headers["content-length"]) < 15_000
        assert CREATED


async def test_a_first_visit_is_small(world: ConsoleWorld) -> None:
    for number in range(60):
        await world.keep(enriched(250 + number))
    total = 0
    async with world.person() as client:
        page = await client.get("/orders")
        paths = re.findall(r'(?:href|src)="(/static/[^"]*)"', page.text)
        for path in ("/orders", *(path.replace("&amp;", "&") for path in paths)):
            total += int((await client.get(path)).headers["content-length"])
    assert len(paths) == 4
    assert total < 80_000
