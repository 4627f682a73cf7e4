"""The rules editor: what rules give for real orders, saving into the stores file, versions, and what it refuses."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.configuration.in_force import ConfigurationsInForce
from service.console.people.access import Role
from service.rules import Evaluation, RuleSet
from tests.fakes.console import STORES, ConsoleWorld, EvaluatorHere
from tests.fakes.orders import enriched

NASTY = "<script>alert(1)</script>\"'&\u202e"
PO_FIELD = "order.billing_address.form_fields[?name=='PO Number'].value | [0]"
NEW = f"""\
[stores.abc123.po_number]
# the field of the checkout
from = ["{PO_FIELD}", "order.customer_message"]

[stores.abc123.extra_fields]
"Cost Center" = {{ from = "metafields.checkout.cost_center", default = "NONE" }}
"""


def order(order_id: int, message: str = "", po: str = "") -> dict[str, Any]:
    return {
        "id": order_id,
        "date_created": "Sat, 28 Nov 2026 10:00:00 +0000",
        "customer_id": 101,
        "status_id": 11,
        "channel_id": 1,
        "is_deleted": False,
        "customer_message": message,
        "billing_address": {"form_fields": [{"name": "PO Number", "value": po}]},
    }


@pytest.fixture
def orders(world: ConsoleWorld) -> None:
    """Two orders of a Company user in BigCommerce."""
    upstream, found = world.upstream, [order(251, "PO-251", "PO-X"), order(250, NASTY)]
    upstream.on("GET /v2/orders", found)
    config = {"id": "1", "fieldName": "Cost Center", "labelName": "Cost Center", "fieldType": 0}
    upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": [config]})
    for each in found:
        upstream.on(f"GET /v2/orders/{each['id']}", each | {"consignments": []})
        upstream.on(f"GET /v3/orders/{each['id']}/metafields", {"data": [], "meta": {"pagination": {"total_pages": 1}}})
    upstream.on("GET /v3/orders/metafields", {"data": [], "meta": {"pagination": {"total_pages": 1}}})
    user = {"id": 5, "companyId": 9, "bcId": 101, "email": "ada@example.com", "extraFields": []}
    upstream.on("GET /api/v3/io/users/customer/101", {"code": 200, "data": user})


class Editor:
    """Somebody with the page open: what they see and what they post."""

    def __init__(self, client: httpx.AsyncClient, store: str = "abc123") -> None:
        self.client, self.path = client, f"/rules/{store}"
        self.page = ""

    async def open(self, query: str = "") -> str:
        return self._see(await self.client.get(self.path + query))

    async def post(self, action: str, text: str | None = None, **fields: str) -> httpx.Response:
        data = {"opened": self.value("opened"), "version": self.value("version"), "as": "toml"}
        data |= {"text": self.value("text") if text is None else text} | fields
        # A browser sends each line break as CR LF.
        data["text"] = data["text"].replace("\n", "\r\n")
        answer = await self.client.post(f"{self.path}/{action}", data=data)
        if answer.status_code == 200:
            self._see(answer)
        return answer

    async def compare_and_save(self, text: str) -> httpx.Response:
        await self.post("compare", text)
        return await self.post("save", text)

    def value(self, name: str) -> str:
        """The value of a hidden field, or of the text of the rules."""
        found = re.search(rf'name="{name}"[^>]*?value="([^"]*)"', self.page)
        found = found or re.search(rf'name="{name}"[^>]*>\n(.*?)</textarea>', self.page, re.DOTALL)
        return html.unescape(found[1]) if found else ""

    @property
    def rows(self) -> list[str]:
        """The rows of the comparison as text, what is replaced in [], what is new in {}."""
        body = re.search(r'class="blocks comparison".*?<tbody>(.*?)</tbody>', self.page, re.DOTALL)
        rows = re.findall(r"<tr.*?</tr>", body[1], re.DOTALL) if body else []
        marked = (
            row.replace("<del>", "[").replace("</del>", "]").replace("<ins>", "{").replace("</ins>", "}")
            for row in rows
        )
        return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", row)).split()) for row in marked]

    def _see(self, answer: httpx.Response) -> str:
        assert answer.status_code == 200, answer.text
        self.page = answer.text
        return answer.text


def file_of(world: ConsoleWorld) -> Path:
    return world.folder / "stores.toml"


async def test_what_rules_give_is_found_once_until_they_or_an_order_change(
    world: ConsoleWorld, orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[RuleSet] = []
    evaluate = EvaluatorHere.evaluate

    async def noted(self: EvaluatorHere, rules: RuleSet, documents: Sequence[Mapping[str, Any]]) -> list[Evaluation]:
        found.append(rules)
        return await evaluate(self, rules, documents)

    monkeypatch.setattr(EvaluatorHere, "evaluate", noted)
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        first = editor.rows
        await editor.open()
        assert (len(found), editor.rows) == (1, first)
        await editor.post("compare", NEW)
        await editor.post("compare", NEW)
        assert len(found) == 2
        await world.keep(replace(enriched(251), written={"po_number": ["PO-X"]}))
        await editor.open()
        assert len(found) == 3


async def test_a_page_that_opens_does_not_wait_for_the_orders(
    world: ConsoleWorld, orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.console.pages.rules._OPENING_WAIT_S", 0.0)
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        assert "Reading the last orders" in await editor.open()
        assert editor.rows == []
        await editor.post("compare")
        assert len(editor.rows) == 2


async def test_the_edited_rules_are_held_against_those_of_the_file(world: ConsoleWorld, orders: None) -> None:
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        assert editor.rows == ["251 PO-251 NONE sent", f"250 {NASTY} NONE sent"]
        await editor.post("compare", NEW)
        assert editor.rows == ["251 [ PO-251 ] { PO-X } NONE sent", f"250 {NASTY} NONE sent"]
        assert "1 of 2 orders would differ." in editor.page
        assert "<script>alert" not in editor.page
        assert file_of(world).read_text() == STORES


async def test_saving_changes_the_rules_and_no_other_byte(world: ConsoleWorld, orders: None) -> None:
    async with world.person(Role.ADMIN, who="ben") as client:
        editor = Editor(client)
        await editor.open()
        with capture_logs() as logs:
            answer = await editor.compare_and_save(NEW)
        assert (answer.status_code, answer.headers["location"]) == (303, "/rules/abc123?done=saved")
        old_rules = re.findall(r"(?m)^(?:po_number = \{|extra_fields).*\n", STORES)
        head, tail = STORES.split("".join(old_rules))
        assert file_of(world).read_text() == head + "\n" + NEW + tail
        assert [entry for entry in logs if entry["event"] == "console_action"] == [
            {
                "event": "console_action",
                "who": "ben",
                "role": "admin",
                "action": "save_rules",
                "store": "abc123",
                "orders": [],
                "orders_count": 0,
                "detail": "",
                "log_level": "info",
            }
        ]
        world.live.poll()
        assert world.live.current.stores["abc123"].rules.rules[0].rule.sources[0] == PO_FIELD


async def test_nothing_is_saved_before_its_comparison_was_shown(world: ConsoleWorld, orders: None) -> None:
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        assert (await editor.post("save", NEW)).status_code == 200
        assert "Look at it, then save." in editor.page
        assert file_of(world).read_text() == STORES
        assert (await editor.post("save", NEW)).status_code == 303


async def test_rules_that_are_those_of_the_file_are_not_saved(world: ConsoleWorld, orders: None) -> None:
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        await editor.post("save")
        assert "there is nothing to save" in editor.page
        assert (await client.get("/rules/abc123.json")).json()["versions"] == []


async def test_nothing_is_saved_while_the_orders_cannot_be_read(world: ConsoleWorld) -> None:
    world.upstream.on("GET /v2/orders", 403)
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        for _ in range(2):
            assert (await editor.compare_and_save(NEW)).status_code == 200
            assert "could not be read" in editor.page
        assert file_of(world).read_text() == STORES


async def test_the_second_of_two_who_save_sees_what_the_first_saved(world: ConsoleWorld, orders: None) -> None:
    async with world.person(Role.ADMIN, who="ana") as one, world.person(Role.ADMIN, who="ben") as two:
        first, second = Editor(one), Editor(two)
        await first.open()
        await second.open()
        other = NEW.replace("NONE", "0")
        await first.post("compare", NEW)
        await second.post("compare", other)
        assert (await first.post("save", NEW)).status_code == 303
        saved = file_of(world).read_text()
        assert (await second.post("save", other)).status_code == 200
        assert "stores.toml has changed since this page was opened. Nothing was saved." in second.page
        assert file_of(world).read_text() == saved
        assert second.rows[0] == "251 PO-X [ NONE ] { 0 } sent"
        assert second.value("text") == other
        assert (await second.post("save", other)).status_code == 303
        assert 'default = "0"' in file_of(world).read_text()


async def test_a_file_that_was_changed_by_hand_meanwhile_is_not_overwritten(world: ConsoleWorld, orders: None) -> None:
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        await editor.post("compare", NEW)
        by_hand = STORES.replace("Great Buys", "Greater Buys")
        file_of(world).write_text(by_hand)
        assert (await editor.post("save", NEW)).status_code == 200
        assert file_of(world).read_text() == by_hand
        await editor.post("save", NEW)
        assert "Greater Buys" in file_of(world).read_text()
        assert PO_FIELD in file_of(world).read_text()


@pytest.mark.parametrize(
    ("posted", "named"),
    [
        ('[stores.abc123]\naccess_token = "stolen"\n', "[stores.abc123] access_token"),
        ('[bigcommerce]\napi_url = "https://evil.test"\n', "[bigcommerce]"),
        ('[stores.other1.po_number]\nvalue = "stolen"\n', "[stores.other1]"),
        ('[stores.abc123]\npo_number.secret = "stolen"\n', "[stores.abc123.po_number] secret: unknown key"),
        ("[stores.abc123.po_number]\nfrom = 'order.('\n", "this is not JMESPath"),
        ("[stores.abc123.po_number]\nform = 'order.id'\n", 'Did you mean "from"?'),
        ("[stores.abc123.po_number]\nfrom = 'ordr.id'\n", 'Did you mean "order"?'),
        ("[stores.abc123.po_number\n", "this is not TOML"),
        ("", "there is nothing to do for this store"),
    ],
)
async def test_what_is_no_rule_is_refused_with_the_sentences_of_check(
    world: ConsoleWorld, orders: None, posted: str, named: str
) -> None:
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        for action in ("compare", "save"):
            assert (await editor.post(action, posted)).status_code == 200
            problems = " ".join(re.findall(r'<li class="severity-down">.*?</li>', editor.page))
            assert named in html.unescape(problems)
            assert "stolen" not in problems
            assert editor.value("text") == posted
        assert file_of(world).read_text() == STORES


async def test_a_file_that_cannot_be_replaced_shows_what_to_paste(
    world: ConsoleWorld, orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: Path, target: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        await editor.compare_and_save(NEW)
        assert "stores.toml cannot be changed here: it is mounted as a single file." in editor.page
        pasted = re.search(r'<pre class="text" tabindex="0">(.*?)</pre>', editor.page, re.DOTALL)
        assert pasted
        assert html.unescape(pasted[1]) == NEW
        assert file_of(world).read_text() == STORES


async def test_a_version_is_compared_and_taken_back(world: ConsoleWorld, orders: None) -> None:
    async with world.person(Role.ADMIN, who="ana") as client:
        editor = Editor(client)
        await editor.open()
        before = editor.value("text")
        await editor.compare_and_save(NEW)
        versions = (await client.get("/rules/abc123.json")).json()["versions"]
        assert [(each["who"], each["rules"]) for each in versions] == [("ana", NEW), ("outside the console", before)]
        await editor.open(f"?version={versions[1]['id']}&as=toml")
        assert "-from = " in html.unescape(editor.page)
        assert editor.rows[0] == "251 [ PO-X ] { PO-251 } NONE sent"
        with capture_logs() as logs:
            assert (await editor.post("save")).status_code == 303
        assert [entry["action"] for entry in logs if entry["event"] == "console_action"] == ["take_back_rules"]
        await editor.open()
        assert editor.rows[0] == "251 PO-251 NONE sent"
        await editor.open("?version=1")
        assert "not kept any more" in editor.page


async def test_a_root_that_was_not_read_is_not_empty(world: ConsoleWorld, orders: None) -> None:
    text = NEW.replace('["' + PO_FIELD, '["quote.referenceNumber", "' + PO_FIELD)
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        await editor.post("compare", text)
        assert editor.rows[0] == "251 [ PO-251 ] { not read } NONE [ sent ] { not read }"
        assert "Not read: quote." in editor.page
        assert "GET /api/v3/io/rfq" not in world.upstream.asked


async def test_a_po_is_found_and_used_with_one_click(world: ConsoleWorld, orders: None) -> None:
    for path in ("/v3/customers", "/v3/orders/251/transactions", "/api/v3/io/orders/251", "/api/v3/io/companies/9"):
        world.upstream.on(f"GET {path}", 500)
    world.upstream.on("GET /api/v3/io/rfq", 500)
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        await editor.post("compare", do="find", find="po-x", find_order="251")
        assert PO_FIELD in map(html.unescape, re.findall(r'name="add" value="([^"]*)"', editor.page))
        assert "Order 251 has it in 1 place. Not read: " in editor.page
        await editor.post("compare", add=PO_FIELD, add_to="", find="po-x", find_order="251")
        assert f'"order.customer_message", "{PO_FIELD}"' in editor.value("text")


async def test_orders_that_have_ended_otherwise_are_named_and_not_changed(world: ConsoleWorld, orders: None) -> None:
    await world.keep(enriched(251))
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        await editor.post("compare", NEW)
        assert "1 of these orders have ended with other values" in editor.page
        await editor.post("save", NEW)
    assert (await world.entry(251)).po_number == "PO-4711"


async def test_it_says_in_how_many_processes_the_file_is_in_force(world: ConsoleWorld, orders: None) -> None:
    published = ConfigurationsInForce(world.redis)
    await published.publish("worker a:1", world.live.digest)
    await published.publish("receiver b:2", "another")
    async with world.person(Role.ADMIN) as client:
        page = await Editor(client).open()
        assert "in force in 1 of 2 processes. Not yet in: receiver b:2" in " ".join(page.split())
        await published.remove("receiver b:2")
        assert "in force in 1 of 1 processes." in await Editor(client).open()


async def test_a_form_changes_one_rule_and_keeps_comments(world: ConsoleWorld, orders: None) -> None:
    file_of(world).write_text(STORES.replace("extra_fields", "# why\nextra_fields"))
    async with world.person(Role.ADMIN) as client:
        editor = Editor(client)
        await editor.open()
        fields = {
            "as": "form",
            "rule-0-kind": "po_number",
            "rule-0-from": f"{PO_FIELD}\r\n\r\norder.customer_message\r\n",
        }
        fields |= {"rule-1-kind": "field", "rule-1-name": "Cost Center", "rule-1-value": "7", "rule-2-kind": "field"}
        await editor.post("compare", **fields)
        assert editor.rows[0] == "251 [ PO-251 ] { PO-X } [ NONE ] { 7 } sent"
        assert (await editor.post("save", **fields)).status_code == 303
        written = file_of(world).read_text()
        assert "# why\n" in written
        assert f'po_number = {{ from = ["{PO_FIELD}", "order.customer_message"] }}' in written


async def test_a_file_that_is_not_valid_cannot_be_edited(world: ConsoleWorld) -> None:
    file_of(world).write_text(STORES.replace("[stores.other1]", "[stores.other1]\ntypo = 1"))
    async with world.person(Role.ADMIN) as client:
        page = html.unescape(await Editor(client).open())
        assert "[stores.other1] typo: unknown key." in page
        assert "<form id" not in page
        assert (await Editor(client).post("save", NEW)).status_code == 200
