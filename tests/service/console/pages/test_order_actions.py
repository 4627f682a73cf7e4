"""What operators do with an order: set values by hand, clear them; and who did what."""

from dataclasses import replace

import httpx
import pytest
from structlog.testing import capture_logs

from service import audit
from service.console.people.access import Role
from service.console.values_form import ValuesForm
from service.orders.state.keys import entry_key
from service.orders.state.order_entry import Sent, Status
from service.orders.state.set_values import ByHand, SetValue
from tests.fakes.console import ConsoleWorld
from tests.fakes.orders import enriched, failed

SET = "/orders/abc123/251/set"
CONFIGS = "GET /api/v3/io/orders/extra-fields"
COST_CENTER = {"fieldName": "Cost Center", "fieldType": 0, "maximumLength": 10}


@pytest.fixture
async def stocked(world: ConsoleWorld) -> ConsoleWorld:
    pagination = {"totalCount": 1, "offset": 0, "limit": 250}
    world.upstream.on(CONFIGS, {"code": 200, "data": [COST_CENTER], "meta": {"pagination": pagination}})
    await world.keep(failed(251))
    return world


async def test_values_by_hand_are_set_and_the_order_is_queued_with_them(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.OPERATOR, who="ana") as client:
        with capture_logs() as logs:
            answer = await client.post(SET, data={"po_number": " 4711-D ", "field:Cost Center": "CC-1"})
        assert answer.headers["location"] == "/orders/abc123/251?done=set"
        page = (await client.get(answer.headers["location"])).text
    entry = await stocked.entry(251)
    assert entry.status is Status.QUEUED
    assert entry.values_by_hand == {"po_number": "4711-D", "Cost Center": "CC-1"}
    assert entry.by_hand
    assert {value.who for value in entry.by_hand.values.values()} == {"ana"}
    lines = [line for line in logs if line["event"] == "console_action"]
    assert [(line["who"], line["action"], line["orders"], line["detail"]) for line in lines] == [
        ("ana", "orders set", [251], "Cost Center, po_number")
    ]
    assert "The values are set, and the order was queued." in page
    assert "ana</bdi>: set values by hand" in page


async def test_a_second_click_sets_nothing_twice(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.OPERATOR) as client:
        first, second = [await client.post(SET, data={"po_number": "4711-D"}) for _ in range(2)]
    assert first.headers["location"].endswith("done=set")
    assert second.headers["location"].endswith("done=set_already")
    assert len(await audit.actions_of(stocked.redis, "abc123", 251)) == 1


async def test_a_value_that_cannot_be_taken_is_named_and_the_form_keeps_what_was_written(
    stocked: ConsoleWorld,
) -> None:
    async with stocked.person(Role.OPERATOR) as client:
        answer = await client.post(
            SET, data={"po_number": "4711-D", "field:Cost Center": "CC-1234567890", "replace": "on"}
        )
    assert answer.status_code == 400
    assert "Cost Center: the text has 13 characters, the field takes 10." in answer.text.replace("&#34;", '"')
    assert "--field" not in answer.text
    assert 'value="4711-D"' in answer.text
    assert 'value="CC-1234567890"' in answer.text
    assert 'name="replace" value="on" checked' in answer.text
    assert (await stocked.entry(251)).status is Status.FAILED


async def test_an_empty_form_says_so(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.OPERATOR) as client:
        answer = await client.post(SET, data={"po_number": "  "})
    assert (answer.status_code, "Write at least one value." in answer.text) == (400, True)
    assert (await stocked.entry(251)).values_by_hand == {}


async def test_values_are_set_where_bigcommerce_cannot_be_asked_for_the_fields(world: ConsoleWorld) -> None:
    await world.keep(failed(251))
    world.upstream.on(CONFIGS, httpx.ConnectError("no network"))
    async with world.person(Role.OPERATOR) as client:
        answer = await client.post(SET, data={"field:Cost Center": "CC-1"})
    assert answer.headers["location"].endswith("done=set")
    assert (await world.entry(251)).values_by_hand == {"Cost Center": "CC-1"}


async def test_clearing_lets_the_rules_decide_again(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.OPERATOR, who="ben") as client:
        await client.post(SET, data={"po_number": "4711-D"})
        assert "Clear values by hand" in (await client.get("/orders/abc123/251")).text
        first, second = [await client.post("/orders/abc123/251/clear") for _ in range(2)]
        page = (await client.get("/orders/abc123/251")).text
    assert first.headers["location"].endswith("done=cleared")
    assert second.headers["location"].endswith("done=cleared_already")
    assert (await stocked.entry(251)).values_by_hand == {}
    assert "Clear values by hand" not in page
    actions = await audit.actions_of(stocked.redis, "abc123", 251)
    assert [(action.who, action.detail) for action in actions] == [("ben", "clear"), ("ben", "po_number")]


async def test_a_post_from_another_site_and_one_for_another_store_set_nothing(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.ADMIN) as client:
        crossed = await client.post(SET, data={"po_number": "EVIL"}, headers={"sec-fetch-site": "cross-site"})
    async with stocked.person(Role.ADMIN, ["other1"]) as client:
        others = await client.post(SET, data={"po_number": "EVIL"})
    async with stocked.person(Role.VIEWER) as client:
        viewers = await client.post(SET, data={"po_number": "EVIL"})
    assert [answer.status_code for answer in (crossed, others, viewers)] == [403, 404, 403]
    assert (await stocked.entry(251)).values_by_hand == {}


async def test_the_value_that_the_order_lacks_comes_first_in_the_form(world: ConsoleWorld) -> None:
    configured = world.live.current.stores["abc123"]
    entry = replace(failed(251), reason="Budget Code: the text has 49 characters", fields={"Budget Code": "x"})
    form = ValuesForm.of(entry, configured, [])
    assert [row.name for row in form.rows] == ["po_number", "Budget Code", "Cost Center"]


async def test_the_form_shows_what_the_order_has_or_its_rule_found(world: ConsoleWorld) -> None:
    configured = world.live.current.stores["abc123"]
    entry = replace(failed(251), given={"po_number": ("PO-1", 0), "Cost Center": ("CC-1", 0)}, po_number="PO-2")
    form = ValuesForm.of(entry, configured, [])
    assert {row.name: (row.now, row.written) for row in form.rows} == {
        "po_number": ("PO-2", ""),
        "Cost Center": ("CC-1", ""),
    }


async def test_text_of_shoppers_is_text_in_the_form_too(stocked: ConsoleWorld) -> None:
    nasty = '"><script>alert(1)</script>'
    await stocked.keep(replace(enriched(250), po_number=nasty, fields={nasty: nasty}))
    async with stocked.person(Role.OPERATOR) as client:
        await client.post("/orders/abc123/250/set", data={"po_number": nasty})
        pages = [
            (await client.get("/orders/abc123/250")).text,
            (await client.post("/orders/abc123/250/set", data={f"field:{nasty}": nasty, "po_number": "x"})).text,
        ]
    for page in pages:
        assert "<script>alert" not in page


async def test_a_page_of_an_order_that_is_in_progress_looks_again_by_itself(world: ConsoleWorld) -> None:
    await world.keep(replace(enriched(250), verified=None), enriched(252))
    async with world.person() as client:
        moving, ended = [(await client.get(f"/orders/abc123/{number}")).text for number in (250, 252)]
    assert 'hx-get="/orders/abc123/250" hx-trigger="every 2s" hx-select="#outcome"' in moving
    assert "hx-trigger" not in ended


async def test_the_control_panel_is_linked_for_real_stores(world: ConsoleWorld, sandbox_world: ConsoleWorld) -> None:
    await world.keep(enriched(250))
    await sandbox_world.keep(enriched(250, "sandbox"))

    async def url(of: ConsoleWorld, store: str) -> object:
        async with of.person() as client:
            answer: httpx.Response = await client.get(f"/orders/{store}/250.json")
        return answer.json()["control_panel_url"]

    assert await url(world, "abc123") == "https://store-abc123.mybigcommerce.com/manage/orders/250"
    assert await url(sandbox_world, "sandbox") is None


async def test_a_value_by_hand_is_shown_with_who_set_it_also_where_no_rule_gives_it(world: ConsoleWorld) -> None:
    values = {
        "po_number": SetValue("4711-D", "ana", 1_768_078_900.0),
        "Budget": SetValue("B-1", "ana", 1_768_078_900.0),
    }
    sent = Sent("update", "4711-D", {"Budget": "B-1"}, answered=True)
    entry = replace(enriched(250), po_number="4711-D", fields={"Budget": "B-1"}, sent=sent)
    await world.keep(replace(entry, given={"po_number": ("PO-1", 0)}))
    # Attempts never write these.
    await world.redis.hset(entry_key("abc123", 250), "by_hand", ByHand("1", values).to_json())  # type: ignore[misc]
    async with world.person() as client:
        rows = {row["name"]: row for row in (await client.get("/orders/abc123/250.json")).json()["values"]}
        page = (await client.get("/orders/abc123/250")).text
    po, budget = rows["po_number"], rows["Budget"]
    assert (po["found"], po["sent"], po["by_hand"], po["state"]) == ("PO-1", "4711-D", "4711-D", "on the record")
    assert (budget["rule"], budget["sent"], budget["by_hand"]) == ([], "B-1", "B-1")
    assert (budget["state"], budget["why"]) == ("on the record", None)
    assert 'by hand</span> <span class="muted"><bdi>ana</bdi>' in page
