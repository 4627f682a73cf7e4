"""``enrich orders show --as-buyer`` against a real Redis and a sandbox over HTTP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.cli.orders import as_buyer
from service.sandbox.demo import DEMO_STORE, DEMO_STORE_HASH
from tests.fakes.cli import CommandResult, Enrich, Keep
from tests.fakes.orders import enriched
from tests.fakes.processes.threaded_sandbox import ServedSandbox, served_sandbox
from tests.fakes.stacks.preview import configure

pytestmark = pytest.mark.integration

OLD = 100_000
"""Seconds: an order so old has B2B Edition's own record."""
ACCOUNT_NO = {"Account No": "ERP-10001"}


@pytest.fixture(scope="module")
def served() -> Iterator[ServedSandbox]:
    with served_sandbox() as served:
        yield served


@pytest.fixture
def sandbox(folder: Path, served: ServedSandbox) -> ServedSandbox:
    """A sandbox without orders that ``enrich`` talks to."""
    served.reset()
    configure(folder, served)
    return served


@pytest.fixture
def place(sandbox: ServedSandbox, keep: Keep) -> Any:
    """Places an old order with a record, and an entry in the ledger."""

    def place_one(customer_id: int = 101, **placed: Any) -> int:
        placed = {"age": OLD, "buyer_po": "A-1", "buyer_extra_fields": ACCOUNT_NO, **placed}
        order_id = sandbox.place(customer_id, **placed)
        keep(enriched(order_id, DEMO_STORE_HASH))
        return order_id

    return place_one


def sight(ran: CommandResult) -> list[list[str]]:
    """The lines about the buyer, as their columns."""
    lines = [line.strip() for line in ran.out.splitlines()]
    first = lines.index("As the buyer sees it in the Buyer Portal")
    return [re.split(r"  +", line) for line in lines[first + 1 :]]


def look(enrich: Enrich, order_id: int, *words: str) -> CommandResult:
    return enrich("orders", "show", str(order_id), "--as-buyer", *words)


def test_it_shows_what_the_buyer_sees(enrich: Enrich, place: Any, sandbox: ServedSandbox) -> None:
    order_id = place()
    ran = look(enrich, order_id)

    assert (ran.code, ran.err) == (0, "")
    lines = sight(ran)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", lines[6].pop())
    assert lines == [
        ["The buyer sees what B2B Edition's record holds."],
        ["buyer", "customer 101, on channel 1"],
        ["PO number", "A-1"],
        ["field Account No", "ERP-10001"],
        ["status", "Awaiting Fulfillment"],
        ["total", "141.9000 USD"],
        ["placed"],
        ["PRODUCT", "QUANTITY", "SKU", "NAME", "IMAGE"],
        [
            "111",
            "2",
            "CARTON-50",
            "Shipping Carton, 50 pcs",
            f"{sandbox.url}/products/111/images/1.svg (storefront)",
        ],
    ]


def test_without_the_option_the_storefront_is_not_asked(enrich: Enrich, place: Any, sandbox: ServedSandbox) -> None:
    ran = enrich("orders", "show", str(place()))
    assert "Buyer Portal" not in ran.out
    assert sandbox.run(sandbox.sandbox.calls())["total"] == 0


def test_a_po_that_the_buyer_does_not_see_stands_first(enrich: Enrich, place: Any, sandbox: ServedSandbox) -> None:
    order_id = place(buyer_po=None)
    sandbox.run(sandbox.sandbox.write_record(order_id, po_number="A-2"))
    sandbox.run(sandbox.sandbox.faults(storefront_lag=3600))
    ran = look(enrich, order_id)

    assert ran.code == 0
    lines = sight(ran)
    assert lines[0] == ["! The record holds the PO number A-2, and the buyer does not see it."]
    assert ["PO number", "none"] in lines


def test_an_order_that_the_buyer_does_not_see_is_said_to_be_none(enrich: Enrich, place: Any) -> None:
    ran = look(enrich, place(company_id=5003))
    assert ran.code == 0
    text = " ".join(ran.out.split())
    assert "! B2B Edition has a record of the order with PO number A-1, and the buyer does not see the order." in text
    assert "order none: Get Order Details: 404: Order Does not Exist" in text


def test_what_cannot_be_read_is_not_shown_and_exits_with_1(enrich: Enrich, place: Any, sandbox: ServedSandbox) -> None:
    order_id = place()
    sandbox.run(sandbox.sandbox.faults(refuse_buyers=True))
    ran = look(enrich, order_id)

    assert ran.code == 1
    assert f"{order_id} of sandbox" in ran.out
    text = " ".join(ran.out.split())
    assert "? What the buyer sees is unknown, so nothing was compared: Get Order Details: 401" in text
    assert "BigCommerce does not accept this customer on the storefront." in text


def test_b2b_edition_away_hides_nothing_of_the_entry(enrich: Enrich, place: Any, sandbox: ServedSandbox) -> None:
    order_id = place()
    sandbox.run(sandbox.sandbox.faults(b2b_down=True))
    ran = look(enrich, order_id)

    assert (ran.code, ran.err) == (1, "")
    assert "longest: from created to webhook sent" in ran.out
    assert sight(ran)[0][0].startswith("not shown: Get User Details by BigCommerce Customer ID: 503")


@pytest.mark.parametrize(("customer_id", "reason"), [(0, "A guest placed the order"), (150, "Super Admin")])
def test_where_there_is_no_buyer_to_look_as_it_says_so(
    enrich: Enrich, place: Any, customer_id: int, reason: str
) -> None:
    ran = look(enrich, place(customer_id))
    assert ran.code == 1
    assert reason in sight(ran)[0][0]


def test_json_has_the_buyers_view_beside_the_entry(enrich: Enrich, place: Any, sandbox: ServedSandbox) -> None:
    order_id = place(buyer_po=None)
    sandbox.run(sandbox.sandbox.write_record(order_id, po_number="A-2"))
    sandbox.run(sandbox.sandbox.faults(storefront_lag=3600))
    ran = look(enrich, order_id, "--json")

    assert (ran.code, ran.err) == (0, "")
    shown = json.loads(ran.out)
    assert shown["outcome"] == "created"
    view = shown["as_buyer"]
    assert (view["customer_id"], view["channel_id"], view["not_shown"], view["absent"]) == (101, 1, {}, {})
    assert (view["order"]["order_id"], view["order"]["po_number"]) == (order_id, "")
    assert view["order"]["extra_fields"] == ACCOUNT_NO
    assert view["record"] == {"po_number": "A-2", "extra_fields": ACCOUNT_NO, "company_id": 5001}
    assert view["differences"] == [
        {
            "kind": "po_number",
            "name": "",
            "recorded": "A-2",
            "seen": "",
            "sentence": "The record holds the PO number A-2, and the buyer does not see it.",
        }
    ]
    assert view["products"][0]["thumbnail"]["source"] == "storefront"
    assert "example.com" not in ran.out
    assert "Market Street" not in ran.out


def test_json_without_a_buyer_has_the_reason(enrich: Enrich, place: Any) -> None:
    ran = look(enrich, place(0), "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["as_buyer"] == {
        "order": None,
        "not_shown": {"order": "A guest placed the order: guests have no Buyer Portal."},
    }


def test_text_of_shoppers_is_text(enrich: Enrich, place: Any) -> None:
    ran = look(enrich, place(buyer_po="[red]A-1[/red]\x1b[2J<script>"))
    assert ["PO number", "[red]A-1[/red][2J<script>"] in sight(ran)


def test_it_says_that_it_waits_for_the_quota(
    enrich: Enrich, folder: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_buyer, "TOLD_FROM_S", 0.0)
    with served_sandbox(storefront_quota=2, storefront_quota_window=1.0) as sandbox:
        configure(folder, sandbox)
        order_id = sandbox.place(age=OLD)
        keep(enriched(order_id, DEMO_STORE_HASH))
        ran = look(enrich, order_id)

    assert ran.code == 0
    line = r"Get Order (Details|Products|Images): waiting 1 s for BigCommerce's quota; orders go first\."
    assert any(re.fullmatch(line, each) for each in ran.err.splitlines())


@pytest.mark.parametrize(("seconds", "told"), [(1.9, ""), (2.0, "waiting 2 s"), (41.2, "waiting 42 s")])
def test_short_waits_are_not_told(seconds: float, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    as_buyer._say_that_it_waits("Get an Order", seconds)
    said = capsys.readouterr().err
    assert told in said
    assert bool(said) == bool(told)


def test_pictures_need_a_scope_of_their_own_and_it_is_named(enrich: Enrich, folder: Path, keep: Keep) -> None:
    with served_sandbox(storefront_images=False) as sandbox:
        store = DEMO_STORE.model_dump(mode="json") | {"missing_scopes": ["products"]}
        sandbox.run(sandbox.sandbox.put_store(**store))
        configure(folder, sandbox)
        order_id = sandbox.place(age=OLD)
        keep(enriched(order_id, DEMO_STORE_HASH))
        ran = look(enrich, order_id)

    assert ran.code == 0
    assert "may lack the scope Products (read-only), which only pictures need." in " ".join(ran.out.split())
