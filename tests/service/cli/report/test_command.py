"""``enrich report`` against a real Redis."""

import asyncio
import csv
import io
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.orders.facts.fact import Fact
from service.orders.facts.store_facts import Facts
from service.orders.state.order_entry import Entry, Sent, Stage, Status
from service.orders.state.transitions import Transitions
from service.orders.statistics.counting import count_finished
from service.redis.client import connect
from tests.fakes.cli import CommandResult, Enrich
from tests.fakes.orders import with_stores

pytestmark = pytest.mark.integration

Finish = Callable[..., None]


@pytest.fixture
def finish(folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Finish:
    """Finishes orders as a worker does, with their counters."""
    monkeypatch.setenv("REDIS_URL", redis_url)

    async def finish_all(entries: tuple[Entry, ...], merges: bool) -> None:
        async with connect(redis_url) as redis:
            for entry in entries:
                counters = count_finished(entry, merges=merges, now=time.time())
                await Transitions(redis).finish(entry, counters=counters)

    return lambda *entries, merges=False: asyncio.run(finish_all(entries, merges))


def placed(order_id: int, *, days_ago: int = 0, age: float = 2.0, store: str = "abc123", **changes: Any) -> Entry:
    """An order that was created ``age`` seconds after it was placed, at noon or, today, just now."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    at = (midnight - timedelta(days=days_ago - 0.5)).timestamp() if days_ago else midnight.timestamp()
    entry = Entry(
        store,
        order_id,
        status=Status.CREATED,
        verified=True,
        source="webhook",
        announced_at=at + 1,
        create_age=age,
        sent=Sent("create", "PO1", {}, answered=True),
        times={
            Stage.CREATED: at,
            Stage.WEBHOOK_SENT: at + 1,
            Stage.RECEIVED: at + 1.25,
            Stage.QUEUED: at + 1.255,
            Stage.SENT: at + age,
            Stage.ANSWERED: at + age + 0.2,
        },
    )
    return replace(entry, **changes)


def late(order_id: int, **changes: Any) -> Entry:
    """An order that an Update has written, because the record was there."""
    sent = Sent("update", "PO1", {}, answered=True)
    return placed(order_id, **{"age": 3.0, "status": Status.UPDATED, "sent": sent, **changes})


def failed(order_id: int, reason: str, **changes: Any) -> Entry:
    return placed(order_id, status=Status.FAILED, reason=reason, verified=None, create_age=None, **changes)


def day(days_ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days_ago)).strftime("%Y-%m-%d")


def rows(ran: CommandResult) -> list[list[str]]:
    assert (ran.code, ran.err) == (0, "")
    return [re.split(r"  +", line.strip()) for line in ran.out.splitlines()]


def test_the_report_has_a_row_for_each_day_and_says_why_windows_were_missed(enrich: Enrich, finish: Finish) -> None:
    finish(placed(1, days_ago=2), placed(2, days_ago=2), late(3, days_ago=2), failed(4, "po_number", days_ago=2))
    finish(placed(5, days_ago=1, age=1.0))

    lines = rows(enrich("report"))
    assert lines[2] == [
        *("STORE", "DAY", "ORDERS", "CREATED", "UPDATED", "UNCHANGED", "SKIPPED", "FAILED", "IN WINDOW"),
        *("AGE P50", "P95", "P99", "WEBHOOK P50", "P95"),
    ]
    assert lines[3][:9] == ["abc123", day(2), "4", "2", "1", "0", "0", "1", "66.7 %"]
    assert lines[4] == ["abc123", day(1), "1", "1", "0", "0", "0", "0", "100 %", *["1.1 s"] * 3, "1.2 s", "1.3 s"]
    assert lines[5][:9] == ["abc123", "total", "5", "3", "1", "0", "0", "1", "75.0 %"]
    assert ["75.0 % in the window: 3 of 4 orders that count."] in lines
    assert ["abc123", "record was there", "1"] in lines
    assert ["abc123", "po_number", "1"] in lines
    assert ["abc123: not known yet: it takes three orders that agree"] in lines


def test_a_share_below_one_is_never_shown_as_all(enrich: Enrich, finish: Finish) -> None:
    finish(*(placed(order_id) for order_id in range(2, 2002)), late(1))
    assert "99.9 % in the window: 2000 of 2001" in enrich("report").out


def test_the_report_says_how_many_records_were_created_over_the_storefront(enrich: Enrich, finish: Finish) -> None:
    finish(placed(1), placed(2, over_storefront=True), placed(3, over_storefront=True), late(4))
    assert "Records created over the storefront API, as the buyer: 2." in enrich("report").out
    assert json.loads(enrich("report", "--json").out)["total"]["over_storefront"] == 2
    (row,) = csv.DictReader(io.StringIO(enrich("report", "--csv").out))
    assert row["over_storefront"] == "2"


def test_a_report_without_any_says_nothing_of_the_storefront(enrich: Enrich, finish: Finish) -> None:
    finish(placed(1))
    assert "storefront" not in enrich("report").out


def test_stores_that_merge_have_a_table_of_their_own(enrich: Enrich, finish: Finish, folder: Path) -> None:
    with_stores(folder, "abc123", "def456")
    finish(placed(1))
    finish(late(2, store="def456"), merges=True)

    out = enrich("report").out
    creating, _, merging = out.partition("Stores that let the platform be first")
    assert "def456" not in creating
    assert "MERGED" not in creating
    assert re.search(r"def456 +\S+ +1 +0 +1 ", merging)
    assert "100 % in the window: 1 of 1 orders" in creating


def test_a_store_that_changed_its_strategy_shows_both(enrich: Enrich, finish: Finish) -> None:
    finish(placed(1))
    finish(late(2), merges=True)
    lines = rows(enrich("report"))
    assert lines[2][9] == "MERGED"
    assert lines[3][2:10] == ["2", "1", "1", "0", "0", "0", "100 %", "1"]


def test_as_json_the_report_has_all_figures(enrich: Enrich, finish: Finish, redis_url: str) -> None:
    finish(placed(1), late(2), failed(3, "x"))

    async def learn() -> None:
        async with connect(redis_url) as redis:
            for order_id, age in enumerate((4.0, 5.0, 6.0)):
                await Facts(redis).observe("abc123", Fact.CREATE_TAKEN_UNTIL, age, order_id=order_id)

    asyncio.run(learn())
    found = json.loads(enrich("report", "--json").out)

    (store,) = found["stores"]
    assert [each["day"] for each in store["days"]] == [day(0)]
    assert store["total"] == found["total"]
    assert found["total"]["outcomes"] == {"created": 1, "updated": 1, "unchanged": 0, "skipped": 0, "failed": 1}
    assert found["total"]["window"] == {"made": 1, "missed": 1, "share": 0.5}
    assert found["total"]["missed_reasons"] == {"record was there": 1}
    assert found["total"]["failures"] == {"x": 1}
    assert found["total"]["webhook_delay_ms"]["orders"] == 2
    assert found["total"]["stages_ms"]["queued"]["p50"] == pytest.approx(5, abs=2)
    assert found["total"]["margins_ms"] == [[6900, 7000, 1], [7900, 8000, 1]]
    assert store["real_window"]["create_taken_until_s"]["seconds"] == 4.0
    assert store["real_window"]["record_there_from_s"] is None


def test_a_month_as_csv_has_a_row_for_each_day_and_a_column_for_each_reason(enrich: Enrich, finish: Finish) -> None:
    finish(placed(1, days_ago=20), late(2, days_ago=20), failed(3, "=evil()", days_ago=10), placed(4, days_ago=1))
    out = enrich("report", "--since", day(30), "--until", day(5), "--csv").out
    table = list(csv.DictReader(io.StringIO(out, newline="")))

    assert [(row["store"], row["day"], row["orders"]) for row in table] == [
        ("abc123", day(20), "2"),
        ("abc123", day(10), "1"),
    ]
    assert [row["share_in_window"] for row in table] == ["0.5", ""]
    assert [row["missed: record was there"] for row in table] == ["1", "0"]
    assert [row["failed: =evil()"] for row in table] == ["0", "1"]
    assert float(table[0]["create_age_p50_s"]) == pytest.approx(2.1, abs=0.1)


def test_a_day_ends_before_until(enrich: Enrich, finish: Finish) -> None:
    finish(placed(1, days_ago=3), placed(2, days_ago=2))
    found = json.loads(enrich("report", "--since", day(3), "--until", day(2), "--json").out)
    assert [each["day"] for each in found["stores"][0]["days"]] == [day(3)]


def test_without_orders_the_report_says_so(enrich: Enrich, finish: Finish) -> None:
    ran = enrich("report", "--since", "1d")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("No orders were finished that were placed from ")
    assert json.loads(enrich("report", "--json").out)["total"]["orders"] == 0
    assert enrich("report", "--csv").out.startswith("store,day,orders,created")


def test_the_report_needs_no_secrets(enrich: Enrich, finish: Finish, folder: Path) -> None:
    finish(placed(1))
    (folder / "stores.toml").write_text('[stores.abc123]\naccess_token = "env:NOT_SET"\n')
    assert "100 % in the window" in enrich("report").out


def test_wrong_options_name_the_cure(enrich: Enrich, finish: Finish) -> None:
    assert enrich("report", "--since", "1d", "--until", "2d").err.startswith("--since 1d: must be before --until 2d.")
    assert enrich("report", "--json", "--csv").code == 2
