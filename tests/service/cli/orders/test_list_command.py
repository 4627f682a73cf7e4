"""``enrich orders list`` against a real Redis."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from service.orders.state.order_entry import Entry, Status
from tests.fakes.cli import CommandResult, Enrich, Keep
from tests.fakes.orders import enriched, failed, let_wait_for_a_value, listed, put_into_recovery, with_stores

pytestmark = pytest.mark.integration


def test_list_shows_a_row_for_each_order_the_last_changed_first(enrich: Enrich, keep: Keep) -> None:
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
        "NOT SENT",
    ]
    changed = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert len(rows) == 2
    assert re.fullmatch(rf"{changed} +abc123 +251 +failed +Cost Center *", rows[0])
    assert re.fullmatch(
        rf"{changed} +abc123 +250 +created +yes +PO-4711 +1\.8 s +kept: Source; left out: Ship Window *", rows[1]
    )


def test_in_a_pipe_no_row_is_cut_or_folded(enrich: Enrich, keep: Keep) -> None:
    reason = "a reason of many words " * 20
    keep(failed(reason=reason.strip()))
    assert reason.strip() in enrich("orders", "list").out


@pytest.mark.parametrize("text", ["[/x]", "[red]PO[/red]", "[Account No] is a required extra field"])
def test_texts_of_others_are_shown_unchanged(enrich: Enrich, keep: Keep, text: str) -> None:
    order = failed(reason=text)
    order.po_number, order.fields, order.dropped = text, {text: text}, {text: text}
    keep(order)

    assert enrich("orders", "list").out.count(text) == 3
    assert enrich("orders", "show", "251").out.count(text) == 6


def test_list_says_what_to_do_about_each_kind_of_failure_once(enrich: Enrich, keep: Keep) -> None:
    keep(enriched(), failed(251), failed(252), failed(253, reason="po_number"), failed(254, reason="not_persisted"))
    assert enrich("orders", "list").err.splitlines() == [
        "not_persisted: Retry; if it fails again, contact BigCommerce's support.",
        "po_number, Cost Center: Correct the order, the rule, or the default value of the field; then retry.",
    ]
    assert enrich("orders", "list", "--status", "created").err == ""
    assert enrich("orders", "list", "--json").err == ""


def test_list_without_orders_says_so(enrich: Enrich, keep: Keep) -> None:
    assert enrich("orders", "list") == CommandResult(0, "No orders.\n", "")
    assert enrich("orders", "list", "--json") == CommandResult(0, "[]\n", "")


def test_list_as_json_holds_whole_orders(enrich: Enrich, keep: Keep) -> None:
    keep(enriched(), failed())
    orders = json.loads(enrich("orders", "list", "--json").out)

    assert [order["order_id"] for order in orders] == [251, 250]
    assert orders[1] | {"actions": []} == json.loads(enrich("orders", "show", "250", "--json").out)


def test_list_shows_all_stores_or_one(enrich: Enrich, keep: Keep, folder: Path) -> None:
    with_stores(folder, "abc123", "def456")
    keep(enriched(1), age=30)
    keep(enriched(1, "def456"), age=20)
    keep(enriched(2), age=10)

    assert listed(enrich("orders", "list", "--json")) == [("abc123", 2), ("def456", 1), ("abc123", 1)]
    assert listed(enrich("orders", "list", "--json", "--store", "def456")) == [("def456", 1)]


@pytest.mark.parametrize(("status", "ids"), [("failed", [3]), ("created", [2, 1]), ("waiting", [])])
def test_list_filters_by_status(enrich: Enrich, keep: Keep, status: str, ids: list[int]) -> None:
    keep(enriched(1), age=30)
    keep(enriched(2), age=20)
    keep(failed(3), age=10)
    assert [number for _, number in listed(enrich("orders", "list", "--json", "--status", status))] == ids


@pytest.mark.parametrize(
    "words", ["--status waiting", "--reason value", "--reason 'cost center'", "--status waiting --reason COST"]
)
def test_an_order_that_waits_for_a_value_is_shown_with_its_rule(
    enrich: Enrich, keep: Keep, redis_url: str, words: str
) -> None:
    keep(enriched(1))
    let_wait_for_a_value(redis_url, Entry("abc123", 2), "Cost Center")

    (row,) = enrich("orders", "list", *shlex.split(words)).out.splitlines()[1:]
    assert re.search(r" 2 +waiting .* value: Cost Center *$", row)
    (order,) = json.loads(enrich("orders", "list", "--json", *shlex.split(words)).out)
    assert (order["outcome"], order["reason"], order["rule"]) == ("waiting", "value", "Cost Center")
    assert "waiting: value: Cost Center" in enrich("orders", "show", "2").out


@pytest.mark.parametrize(("since", "ids"), [("30m", [3]), ("12h", [3, 2]), ("7d", [3, 2, 1]), ("9999-12-31", [])])
def test_list_filters_by_time(enrich: Enrich, keep: Keep, since: str, ids: list[int]) -> None:
    keep(enriched(1), age=86_400)
    keep(enriched(2), age=3600)
    keep(enriched(3))
    assert [number for _, number in listed(enrich("orders", "list", "--json", "--since", since))] == ids


def test_list_applies_its_limit_to_all_stores_together(enrich: Enrich, keep: Keep, folder: Path) -> None:
    with_stores(folder, "abc123", "def456")
    for number in range(4):
        keep(enriched(number + 1, "abc123" if number % 2 else "def456"), age=60 - number)
    assert listed(enrich("orders", "list", "--json", "--limit", "3")) == [("abc123", 4), ("def456", 3), ("abc123", 2)]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("--reason COST", [2, 1]),
        ("--reason cost --status failed", [1]),
        ("--reason cost --po po-47", [2]),
        ("--po 4711", [3, 2]),
        ("--po 4711 --limit 1", [3]),
        ("--po [4711]", []),
        ("--reason credentials", [4]),
    ],
)
def test_list_shows_orders_that_match_every_filter(
    enrich: Enrich, keep: Keep, redis_url: str, words: str, ids: list[int]
) -> None:
    skipped = enriched(2)
    skipped.status, skipped.reason = Status.SKIPPED, "no Cost Center"
    keep(failed(1), age=30)
    keep(skipped, age=20)
    keep(enriched(3), age=10)
    put_into_recovery(redis_url, Entry("abc123", 4, trouble="BigCommerce refuses the store's credentials"))

    assert [number for _, number in listed(enrich("orders", "list", "--json", *words.split()))] == ids


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("--customer 7", [2]),
        ("--company 12", [2]),
        ("--field 'cost center=cc-9'", [2]),
        ("--field 'Cost Center=' --field Dock=b", [2]),
        ("--field Dock=b --customer 101", []),
        ("--late", [3]),
        ("--margin-below 8", [3]),
        ("--until 45m", [1]),
        ("--since 90m --until 15m", [2, 1]),
    ],
)
def test_list_finds_orders_by_who_placed_them_by_fields_and_by_their_window(
    enrich: Enrich, keep: Keep, words: str, ids: list[int]
) -> None:
    second, third = enriched(2), enriched(3)
    second.customer_id, second.company_id, second.fields = 7, 12, {"Cost Center": "CC-9", "Dock": "b"}
    third.window_result, third.missed_reason, third.create_age = "missed", "slow: read", 10.2
    keep(failed(1), age=3600)
    keep(second, age=1800)
    keep(third)
    ran = enrich("orders", "list", "--json", *shlex.split(words))
    assert [number for _, number in listed(ran)] == ids


def test_an_order_that_missed_its_window_is_shown_with_the_reason(enrich: Enrich, keep: Keep) -> None:
    order = enriched()
    order.window_result, order.missed_reason = "missed", "slow: read"
    keep(order, enriched(2))
    head, *rows = enrich("orders", "list").out.splitlines()
    assert head.rstrip().endswith("  MISSED WINDOW")
    assert sorted(row.rstrip().endswith("  slow: read") for row in rows) == [False, True]
    assert re.search("window +missed: slow: read", enrich("orders", "show", "250").out)


def test_list_as_csv_has_a_column_for_each_field_and_no_formulas(enrich: Enrich, keep: Keep) -> None:
    order = enriched()
    order.po_number, order.fields = "=HYPERLINK(1)", {"Cost Center": 'a "b",\nc', "Dock": "-1"}
    keep(order)
    (row,) = csv.DictReader(io.StringIO(enrich("orders", "list", "--csv").out, newline=""))

    assert (row["store"], row["order_id"], row["outcome"], row["verified"]) == ("abc123", "250", "created", "true")
    assert (row["po_number"], row["Cost Center"], row["Dock"]) == ("'=HYPERLINK(1)", 'a "b",\nc', "'-1")
    assert (row["kept"], row["left_out"], row["create_age_s"]) == ("Source", "Ship Window", "1.75")
    assert row["order_created_at"] == "2026-01-10T21:00:00.000Z"


def test_list_as_csv_without_orders_has_its_head(enrich: Enrich, keep: Keep) -> None:
    assert enrich("orders", "list", "--csv").out.startswith("store,order_id,")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--json --csv", "--json and --csv: cannot be combined. Use one of them."),
        (
            "--field Dock",
            '--field Dock: must be a name and a text, with = between them. Write --field "Cost Center=CC-1".',
        ),
        ("--since 1h --until 2h", "--since 1h: must be before --until 2h. Exchange them?"),
    ],
)
def test_wrong_options_name_the_cure(enrich: Enrich, keep: Keep, words: str, line: str) -> None:
    assert enrich("orders", "list", *words.split()) == CommandResult(2, "", f"{line}\n")


UNREADABLE = "[stores.abc123\n"
SECRET_MISSING = '[stores.abc123]\naccess_token = "env:NOT_SET"\nclient_secret = "env:NOT_SET"\npo_number = "a ||| b"\n'


def test_list_and_show_need_no_secrets_and_no_valid_rules(enrich: Enrich, keep: Keep, folder: Path) -> None:
    keep(enriched())
    (folder / "stores.toml").write_text(SECRET_MISSING)
    assert listed(enrich("orders", "list", "--json")) == [("abc123", 250)]
    assert enrich("orders", "show", "250").code == 0


@pytest.mark.parametrize("text", [UNREADABLE, "", None])
def test_without_a_readable_stores_file_list_and_show_use_the_stores_that_redis_knows(
    enrich: Enrich, keep: Keep, folder: Path, text: str | None
) -> None:
    keep(enriched(), failed(1, "def456"))
    path = folder / "stores.toml"
    path.unlink() if text is None else path.write_text(text)

    ran = enrich("orders", "list", "--json")
    assert (ran.code, sorted(order["store"] for order in json.loads(ran.out))) == (0, ["abc123", "def456"])
    first, last = ran.err.splitlines()
    assert first.startswith("stores.toml")
    assert last == "Showing the stores that Redis knows: abc123, def456."
    assert re.match(r"order +1 of def456", enrich("orders", "show", "1", "--store", "def456").out)


def test_commands_that_change_orders_still_need_the_whole_stores_file(enrich: Enrich, keep: Keep, folder: Path) -> None:
    keep(failed())
    (folder / "stores.toml").write_text(SECRET_MISSING)
    ran = enrich("orders", "retry", "251")
    assert (ran.code, ran.out) == (2, "")
    assert "NOT_SET" in ran.err
