"""``enrich orders show`` against a real Redis."""

import asyncio
import json
import re
import threading
from pathlib import Path

import pytest

from service.orders.facts.fact import Fact
from service.orders.facts.store_facts import Facts
from service.orders.state.order_entry import Entry, Status
from service.redis.client import connect
from tests.fakes.cli import CommandResult, Enrich, Keep
from tests.fakes.orders import CREATED, enriched, listed, put_into_recovery, with_stores, worker_thread

pytestmark = pytest.mark.integration


def test_show_prints_the_facts_and_the_timeline(enrich: Enrich, keep: Keep) -> None:
    keep(enriched())
    lines = [re.split(r"  +", line.strip()) for line in enrich("orders", "show", "250").out.splitlines()]

    assert lines == [
        ["order", "250 of abc123"],
        ["outcome", "created"],
        ["verified", "yes"],
        ["PO number", "PO-4711"],
        ["field Cost Center", "CC-210"],
        ["not sent Ship Window", "longer than 200 characters"],
        ["kept", "Source (the existing value was kept)"],
        ["attempts", "1, 4 calls to BigCommerce"],
        ["source", "webhook"],
        ["STAGE", "AT (MS)", "STEP (MS)", "0 s", "10 s|"],
        ["created", "0", "|"],
        ["webhook sent", "1000", "1000", "####", "|"],
        ["sent", "1750", "750", "===", "|"],
        ["longest: from created to webhook sent, 1000 ms"],
    ]


def test_show_says_that_the_record_was_created_as_the_buyer(enrich: Enrich, keep: Keep) -> None:
    entry = enriched()
    entry.over_storefront = True
    keep(entry)
    shown = enrich("orders", "show", "250").out

    assert re.search(r"^created +over the storefront API, as the buyer *$", shown, re.MULTILINE)
    assert re.search(r"^sent as buyer +1750 +750 ", shown, re.MULTILINE)
    assert json.loads(enrich("orders", "show", "250", "--json").out)["via"] == "storefront"


def test_show_says_that_the_comment_is_not_kept(enrich: Enrich, keep: Keep) -> None:
    entry = enriched()
    entry.comment_not_kept = True
    keep(entry)
    assert re.search(r"^created +the order's comment is not kept", enrich("orders", "show", "250").out, re.MULTILINE)
    assert json.loads(enrich("orders", "show", "250", "--json").out)["comment_not_kept"] is True


def test_show_of_an_order_that_was_not_read_yet_prints_times_of_day(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    put_into_recovery(redis_url, Entry("abc123", 250, trouble="Get an Order: 503: down"))
    lines = enrich("orders", "show", "250").out.splitlines()

    assert re.fullmatch(r"outcome +queued: Get an Order: 503: down *", lines[1])
    assert re.fullmatch(r"STAGE +AT \(UTC\) *", lines[-3])
    assert re.fullmatch(r"queued +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", lines[-2])
    assert lines[-1].startswith("picked up")


def test_show_says_that_the_window_is_not_certain_where_the_date_was_set(enrich: Enrich, keep: Keep) -> None:
    entry = enriched()
    entry.window_opened_at = CREATED
    keep(entry)
    lines = enrich("orders", "show", "250").out.splitlines()

    assert [line.split()[1:3] for line in lines if line.startswith("window")] == [["not", "certain:"]]


def test_show_as_json_is_for_scripts(enrich: Enrich, keep: Keep) -> None:
    keep(enriched(), age=0)
    order = json.loads(enrich("orders", "show", "250", "--json").out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", order.pop("ended_at"))
    assert order == {
        "store": "abc123",
        "order_id": 250,
        "outcome": "created",
        "reason": None,
        "rule": None,
        "verified": True,
        "in_window": True,
        "via": "b2b",
        "comment_not_kept": False,
        "window_result": None,
        "missed_reason": None,
        "po_number": "PO-4711",
        "fields": {"Cost Center": "CC-210"},
        "by_hand": {},
        "actions": [],
        "kept": ["Source"],
        "dropped": {"Ship Window": "longer than 200 characters"},
        "trouble": None,
        "source": "webhook",
        "webhook_id": "msg_1",
        "customer_id": 101,
        "company_id": None,
        "attempts": 1,
        "upstream_calls": 4,
        "history": [],
        "sent": {
            "by": "create",
            "po_number": "PO-4711",
            "extra_fields": {"Cost Center": "CC-210"},
            "answered": True,
            "via": "b2b",
        },
        "order_created_at": "2026-01-10T21:00:00.000Z",
        "timeline_ms": {"created": 0, "webhook_sent": 1000, "sent": 1750},
    }


def test_show_names_the_facts_of_the_store(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep(enriched())

    async def learn() -> None:
        async with connect(redis_url) as redis:
            await Facts(redis).keep("abc123", {Fact.FIELD_NAME: "label"})

    asyncio.run(learn())
    shown = enrich("orders", "show", "250").out
    assert re.search(r"^store +records name their extra fields by label", shown, re.MULTILINE)
    assert json.loads(enrich("orders", "show", "250", "--json").out)["store_facts"] == {"field_name": "label"}


def test_show_of_an_unknown_order_is_one_line(enrich: Enrich, keep: Keep) -> None:
    keep(enriched())
    ran = enrich("orders", "show", "999")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "order 999: is unknown in store abc123. Orders are kept for 30 days (failed ones 90). "
        "Run `enrich orders list` to see them.\n"
    )


@pytest.mark.parametrize("words", [("list",), ("show", "250")], ids=" ".join)
def test_an_unknown_store_is_one_line(enrich: Enrich, keep: Keep, folder: Path, words: tuple[str, ...]) -> None:
    with_stores(folder, "abc123", "def456")
    ran = enrich("orders", *words, "--store", "abc124")
    assert ran == CommandResult(2, "", "--store abc124: is not in the stores file. Did you mean abc123?\n")


def test_show_needs_the_store_if_there_are_several(enrich: Enrich, keep: Keep, folder: Path) -> None:
    with_stores(folder, "abc123", "def456")
    keep(enriched(250, "def456"))

    ran = enrich("orders", "show", "250")
    assert ran == CommandResult(2, "", "--store: is required: 2 stores are configured. One of: abc123, def456.\n")
    assert enrich("orders", "show", "250", "--store", "def456").code == 0


def test_the_redis_of_a_running_up_is_found_without_its_url(
    enrich: Enrich, keep: Keep, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    keep(enriched())
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("ENRICH_DATA_DIR", str(Path(redis_url.removeprefix("unix://")).parent))
    assert listed(enrich("orders", "list", "--json")) == [("abc123", 250)]


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_show_waits_until_the_order_is_finished(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    put_into_recovery(redis_url, Entry("abc123", 250))
    seen = 0

    def attempt(entry: Entry) -> None:
        nonlocal seen
        seen += 1
        if seen > 10:
            entry.status = Status.UPDATED

    assert json.loads(enrich("orders", "show", "250", "--json").out)["outcome"] == "queued"
    with worker_thread(redis_url, attempt):
        ran = enrich("orders", "show", "250", "--wait", "--json")
    assert (ran.code, ran.err, json.loads(ran.out)["outcome"]) == (0, "", "updated")


def test_show_waits_for_an_order_whose_webhook_has_not_come_yet(enrich: Enrich, keep: Keep) -> None:
    coming = threading.Timer(0.3, keep, [enriched()])
    coming.start()
    ran = enrich("orders", "show", "250", "--wait", "--json")
    coming.join()
    assert (ran.code, json.loads(ran.out)["outcome"]) == (0, "created")


def test_show_of_an_order_that_is_not_finished_in_time_shows_it_as_it_is(
    enrich: Enrich, keep: Keep, redis_url: str
) -> None:
    put_into_recovery(redis_url, Entry("abc123", 250))
    ran = enrich("orders", "show", "250", "--wait", "--timeout", "0.3")
    assert (ran.code, ran.err) == (1, "Order 250 was not finished within 0.3 s. The workers continue with it.\n")
    assert re.search(r"^outcome +queued", ran.out, re.MULTILINE)


def test_show_of_an_order_that_never_comes_says_where_to_look(enrich: Enrich, keep: Keep) -> None:
    ran = enrich("orders", "show", "999", "--wait", "--timeout", "0.3")
    assert ran == CommandResult(
        2,
        "",
        "order 999: did not come within 0.3 s (store abc123). Run `enrich check`: it says whether webhooks and workers"
        " are in order.\n",
    )
