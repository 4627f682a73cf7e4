"""``enrich orders`` against a real Redis."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from service.orders.entry import Entry, Sent, Stage, Status
from tests.fakes.command import STORES, Enrich, Keep, Ran

pytestmark = pytest.mark.integration

CREATED = 1_768_078_800.0
"""2026-01-10T21:00:00Z"""


def enriched(order_id: int = 250, store: str = "abc123") -> Entry:
    return Entry(
        store,
        order_id,
        status=Status.CREATED,
        verified=True,
        po_number="PO-4711",
        fields={"Cost Center": "CC-210"},
        kept=["Source"],
        dropped={"Ship Window": "longer than 200 characters"},
        customer_id=101,
        source="webhook",
        webhook_id="msg_1",
        skew=0.25,
        attempts=1,
        upstream_calls=4,
        sent=Sent("create", "PO-4711", {"Cost Center": "CC-210"}, answered=True),
        times={Stage.CREATED: CREATED, Stage.WEBHOOK_SENT: CREATED + 1, Stage.SENT: CREATED + 1.5},
    )


def failed(order_id: int = 251, store: str = "abc123", reason: str = "Cost Center") -> Entry:
    return Entry(store, order_id, status=Status.FAILED, reason=reason)


def with_stores(folder: Path, *hashes: str) -> None:
    (folder / "stores.toml").write_text("".join(STORES.replace("abc123", name) for name in hashes))


def listed(ran: Ran) -> list[Any]:
    assert (ran.code, ran.err) == (0, "")
    return [(order["store"], order["order_id"]) for order in json.loads(ran.out)]


# ── list ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_list_shows_a_row_an_order_the_last_changed_first(enrich: Enrich, keep: Keep) -> None:
    keep(enriched(), age=60)
    keep(failed())
    head, *rows = enrich("orders", "list").out.splitlines()

    assert re.split(r"  +", head.strip()) == [
        "CHANGED (UTC)",
        "STORE",
        "ORDER",
        "OUTCOME",
        "VERIFIED",
        "PO NUMBER",
        "SENT AT",
        "REASON",
    ]
    changed = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert len(rows) == 2
    assert re.fullmatch(rf"{changed} +abc123 +251 +failed +Cost Center *", rows[0])
    assert re.fullmatch(rf"{changed} +abc123 +250 +created +yes +PO-4711 +1\.8 s *", rows[1])


def test_in_a_pipe_no_row_is_cut_or_folded(enrich: Enrich, keep: Keep) -> None:
    reason = "a reason of many words " * 20
    keep(failed(reason=reason.strip()))
    assert reason.strip() in enrich("orders", "list").out


@pytest.mark.parametrize("text", ["[/x]", "[red]PO[/red]", "[Account No] is a required extra field"])
def test_words_of_others_are_shown_as_they_are(enrich: Enrich, keep: Keep, text: str) -> None:
    order = failed(reason=text)
    order.po_number, order.fields, order.dropped = text, {text: text}, {text: text}
    keep(order)

    assert enrich("orders", "list").out.count(text) == 2
    assert enrich("orders", "show", "251").out.count(text) == 6


def test_list_without_orders_says_so(enrich: Enrich, keep: Keep) -> None:
    assert enrich("orders", "list") == Ran(0, "No orders.\n", "")
    assert enrich("orders", "list", "--json") == Ran(0, "[]\n", "")


def test_list_as_json_holds_whole_orders(enrich: Enrich, keep: Keep) -> None:
    keep(enriched(), failed())
    orders = json.loads(enrich("orders", "list", "--json").out)

    assert [order["order_id"] for order in orders] == [251, 250]
    assert orders[1] == json.loads(enrich("orders", "show", "250", "--json").out)


def test_list_is_of_all_stores_or_of_one(enrich: Enrich, keep: Keep, folder: Path) -> None:
    with_stores(folder, "abc123", "def456")
    keep(enriched(1), age=30)
    keep(enriched(1, "def456"), age=20)
    keep(enriched(2), age=10)

    assert listed(enrich("orders", "list", "--json")) == [("abc123", 2), ("def456", 1), ("abc123", 1)]
    assert listed(enrich("orders", "list", "--json", "--store", "def456")) == [("def456", 1)]


@pytest.mark.parametrize(("status", "ids"), [("failed", [3]), ("created", [2, 1]), ("waiting", [])])
def test_list_is_of_one_status_when_asked(enrich: Enrich, keep: Keep, status: str, ids: list[int]) -> None:
    keep(enriched(1), age=30)
    keep(enriched(2), age=20)
    keep(failed(3), age=10)
    assert [number for _, number in listed(enrich("orders", "list", "--json", "--status", status))] == ids


@pytest.mark.parametrize(("since", "ids"), [("30m", [3]), ("12h", [3, 2]), ("7d", [3, 2, 1]), ("9999-12-31", [])])
def test_list_goes_back_to_a_time_when_asked(enrich: Enrich, keep: Keep, since: str, ids: list[int]) -> None:
    keep(enriched(1), age=86_400)
    keep(enriched(2), age=3600)
    keep(enriched(3))
    assert [number for _, number in listed(enrich("orders", "list", "--json", "--since", since))] == ids


def test_list_is_no_longer_than_its_limit_whatever_the_number_of_stores(
    enrich: Enrich, keep: Keep, folder: Path
) -> None:
    with_stores(folder, "abc123", "def456")
    for number in range(4):
        keep(enriched(number + 1, "abc123" if number % 2 else "def456"), age=60 - number)
    assert listed(enrich("orders", "list", "--json", "--limit", "3")) == [("abc123", 4), ("def456", 3), ("abc123", 2)]


# ── show ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_show_tells_what_happened_and_when(enrich: Enrich, keep: Keep) -> None:
    keep(enriched())
    lines = [re.split(r"  +", line.strip()) for line in enrich("orders", "show", "250").out.splitlines()]

    assert lines == [
        ["order", "250 of abc123"],
        ["outcome", "created"],
        ["verified", "yes"],
        ["PO number", "PO-4711"],
        ["field Cost Center", "CC-210"],
        ["left out Ship Window", "longer than 200 characters"],
        ["kept", "Source (somebody else's value stays)"],
        ["attempts", "1, 4 calls to BigCommerce"],
        ["told by", "webhook"],
        ["STAGE", "MS SINCE THE ORDER"],
        ["created", "0"],
        ["webhook sent", "1000"],
        ["sent", "1750"],
    ]


def test_show_as_json_is_for_scripts(enrich: Enrich, keep: Keep) -> None:
    keep(enriched(), age=0)
    order = json.loads(enrich("orders", "show", "250", "--json").out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", order.pop("ended_at"))
    assert order == {
        "store": "abc123",
        "order_id": 250,
        "outcome": "created",
        "reason": None,
        "verified": True,
        "po_number": "PO-4711",
        "fields": {"Cost Center": "CC-210"},
        "kept": ["Source"],
        "dropped": {"Ship Window": "longer than 200 characters"},
        "trouble": None,
        "source": "webhook",
        "webhook_id": "msg_1",
        "customer_id": 101,
        "attempts": 1,
        "upstream_calls": 4,
        "sent": {
            "by": "create",
            "po_number": "PO-4711",
            "extra_fields": {"Cost Center": "CC-210"},
            "answered": True,
        },
        "order_created_at": "2026-01-10T21:00:00.000Z",
        "timeline_ms": {"created": 0, "webhook_sent": 1000, "sent": 1750},
    }


def test_show_of_an_unknown_order_is_one_line(enrich: Enrich, keep: Keep) -> None:
    keep(enriched())
    ran = enrich("orders", "show", "999")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "order 999: is not known for store abc123. Entries are kept for 30 days (failures 90); "
        "`enrich orders list` shows what there is.\n"
    )


@pytest.mark.parametrize("words", [("list",), ("show", "250")], ids=" ".join)
def test_an_unknown_store_is_one_line(enrich: Enrich, keep: Keep, folder: Path, words: tuple[str, ...]) -> None:
    with_stores(folder, "abc123", "def456")
    ran = enrich("orders", *words, "--store", "abc124")
    assert ran == Ran(2, "", "--store abc124: is not in the stores file. Did you mean abc123?\n")


def test_show_needs_the_store_where_there_are_several(enrich: Enrich, keep: Keep, folder: Path) -> None:
    with_stores(folder, "abc123", "def456")
    keep(enriched(250, "def456"))

    ran = enrich("orders", "show", "250")
    assert ran == Ran(2, "", "--store: is needed: 2 stores are configured. One of: abc123, def456.\n")
    assert enrich("orders", "show", "250", "--store", "def456").code == 0


def test_the_redis_of_a_running_up_is_found_without_its_url(
    enrich: Enrich, keep: Keep, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    keep(enriched())
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("ENRICH_DATA_DIR", str(Path(redis_url.removeprefix("unix://")).parent))
    assert listed(enrich("orders", "list", "--json")) == [("abc123", 250)]
