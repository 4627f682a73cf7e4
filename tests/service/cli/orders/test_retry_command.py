"""``enrich orders retry`` against a real Redis, with a worker thread."""

import asyncio
import io
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from service.cli.orders import requeue, retry_command
from service.orders.state.order_entry import Entry, Status
from tests.fakes.cli import CommandResult, Enrich, Keep
from tests.fakes.orders import (
    enriched,
    entries,
    failed,
    let_wait_for_a_value,
    put_into_recovery,
    with_stores,
    worker_thread,
)
from tests.fakes.redis.server import running_redis

pytestmark = pytest.mark.integration

NO_WORKER = "No worker is running. The orders wait until you start `enrich worker` or `enrich up`.\n"


def results(ran: CommandResult) -> dict[int, str]:
    return {item["order_id"]: item["result"] for item in json.loads(ran.out)}


def succeed(entry: Entry) -> None:
    entry.status, entry.verified = Status.UPDATED, True


# ── which orders ────────────────────────────────────────────────────────────────────────────────────────────────


def test_named_orders_are_requeued_whatever_their_outcome(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep(enriched(250), failed(251))
    ran = enrich("orders", "retry", "251", "250", "251")

    assert ran == CommandResult(0, "order 251 of abc123: queued\norder 250 of abc123: queued\n", NO_WORKER)
    for entry in entries(redis_url, [250, 251]):
        assert (entry.status, entry.reason, entry.source, entry.start_over) == (Status.QUEUED, None, "retry", True)


def test_an_unknown_order_is_reported_and_the_others_are_queued(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep(failed(251))
    ran = enrich("orders", "retry", "999", "251")

    assert (ran.code, ran.out) == (1, "order 251 of abc123: queued\n")
    assert ran.err.splitlines()[0] == (
        "order 999 of abc123: is unknown. Does it belong to another store? Use `enrich backfill` for old orders."
    )
    assert entries(redis_url, [999]) == []
    assert results(enrich("orders", "retry", "999", "--json")) == {999: "unknown"}


def test_an_order_in_progress_is_not_queued_again(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    put_into_recovery(redis_url, Entry("abc123", 250, trouble="BigCommerce refuses the store's credentials"))
    ran = enrich("orders", "retry", "250")

    assert (ran.code, ran.out) == (
        0,
        "order 250 of abc123: is already in progress, not queued again (BigCommerce refuses the store's credentials)\n",
    )
    (entry,) = entries(redis_url, [250])
    assert (entry.source, entry.start_over) == ("webhook", False)


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("--all-failed", [3, 2, 1]),
        ("--status failed", [3, 2, 1]),
        ("--reason COST", [3, 1]),
        ("--reason cost --since 12h", [3]),
        ("--all-failed --since 12h", [3, 2]),
        ("--all-failed --store def456", [2]),
        ("--reason nothing", []),
    ],
)
def test_a_filter_selects_failed_orders_only(
    enrich: Enrich, keep: Keep, folder: Path, redis_url: str, words: str, ids: list[int]
) -> None:
    with_stores(folder, "abc123", "def456")
    skipped = Entry("abc123", 4, status=Status.SKIPPED, reason="no Cost Center")
    keep(failed(1), skipped, age=86_400)
    keep(failed(2, "def456", "po_number"), age=60)
    keep(failed(3), age=30)

    expected = dict.fromkeys(ids, "dry_run")
    assert results(enrich("orders", "retry", "--json", "--dry-run", *words.split())) == expected
    assert results(enrich("orders", "retry", "--json", *words.split())) == dict.fromkeys(ids, "queued")
    assert results(enrich("orders", "retry", "--json", *words.split())) == {}


def test_an_order_that_waits_is_retried_by_its_id_only(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep(failed(1))
    let_wait_for_a_value(redis_url, Entry("abc123", 2), "Cost Center")

    for words in (["--all-failed"], ["--reason", "cost center"]):
        assert results(enrich("orders", "retry", "--json", "--dry-run", *words)) == {1: "dry_run"}
    assert results(enrich("orders", "retry", "--json", "2")) == {2: "queued"}
    (entry,) = entries(redis_url, [2])
    assert (entry.status, entry.reason, entry.rule, entry.start_over) == (Status.QUEUED, None, None, True)


def test_a_dry_run_queues_nothing(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep(failed(251, reason="[bold]no"))
    put_into_recovery(redis_url, Entry("abc123", 250))
    ran = enrich("orders", "retry", "251", "250", "--dry-run", "--wait")

    assert ran == CommandResult(
        0,
        "order 251 of abc123: would be queued; its status is failed ([bold]no)\n"
        "order 250 of abc123: is already in progress, not queued again\n",
        "",
    )
    assert entries(redis_url, [251])[0].status is Status.FAILED


def test_no_matching_order_prints_a_message(enrich: Enrich, keep: Keep) -> None:
    keep(enriched())
    assert enrich("orders", "retry", "--all-failed", "--wait") == CommandResult(0, "No failed order matches.\n", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "ORDER: is missing. Name orders by ID, or use a filter: --all-failed, --reason TEXT.\n"),
        ("--since 7d", "ORDER: is missing. Name orders by ID, or use a filter: --all-failed, --reason TEXT.\n"),
        ("250 --all-failed", "ORDER: cannot be combined with a filter. Name orders by ID, or use a filter.\n"),
        ("250 --since 7d", "ORDER: cannot be combined with a filter. Name orders by ID, or use a filter.\n"),
        (
            "--status skipped",
            "--status skipped: only failed orders can be selected by status. Name other orders by their IDs.\n",
        ),
        ("250 --store abc124", "--store abc124: is not in the stores file. Did you mean abc123?\n"),
        ("--all-failed --store abc124", "--store abc124: is not in the stores file. Did you mean abc123?\n"),
    ],
)
def test_a_mistake_is_one_line(enrich: Enrich, keep: Keep, words: str, line: str) -> None:
    assert enrich("orders", "retry", *words.split()) == CommandResult(2, "", line)


@pytest.mark.parametrize("timeout", ["nan", "-1"])
def test_an_invalid_timeout_is_refused(enrich: Enrich, keep: Keep, timeout: str) -> None:
    ran = enrich("orders", "retry", "250", "--wait", "--timeout", timeout)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"enrich orders retry: Invalid value for '--timeout': [^\n]+ See [^\n]+\n", ran.err)


# ── many orders ─────────────────────────────────────────────────────────────────────────────────────────────────


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def many_failed(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three failed orders, where more than two need a confirmation."""
    monkeypatch.setattr(retry_command, "CONFIRM_ABOVE", 2)
    keep(*(failed(number) for number in (1, 2, 3)))


@pytest.mark.usefixtures("many_failed")
def test_many_orders_need_yes_without_a_terminal(
    enrich: Enrich, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert enrich("orders", "retry", "--all-failed") == CommandResult(
        2, "", "--yes: is required without a terminal. The question was: Queue 3 failed orders again?\n"
    )
    assert {entry.status for entry in entries(redis_url, [1, 2, 3])} == {Status.FAILED}
    assert results(enrich("orders", "retry", "--all-failed", "--dry-run", "--json")) == dict.fromkeys(
        [3, 2, 1], "dry_run"
    )
    assert enrich("orders", "retry", "--all-failed", "--yes").code == 0
    assert {entry.status for entry in entries(redis_url, [1, 2, 3])} == {Status.QUEUED}


@pytest.mark.usefixtures("many_failed")
@pytest.mark.parametrize(
    ("answer", "code", "status"), [("y\n", 0, "queued"), ("n\n", 1, "failed"), ("", 130, "failed")]
)
def test_many_orders_ask_for_confirmation_on_a_terminal(
    enrich: Enrich, redis_url: str, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, status: str
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    ran = enrich("orders", "retry", "--all-failed")

    assert ran.code == code
    assert ran.err.startswith("Queue 3 failed orders again? [y/N]:")
    assert ran.err.endswith("Nothing was done.\n") == (code == 1)
    assert {entry.status for entry in entries(redis_url, [1, 2, 3])} == {status}


@pytest.mark.usefixtures("many_failed")
def test_named_orders_need_no_confirmation(enrich: Enrich) -> None:
    assert enrich("orders", "retry", "1", "2", "3").code == 0


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_wait_ends_with_a_table_of_results(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep(enriched(250), failed(251))
    put_into_recovery(redis_url, Entry("abc123", 252))
    with worker_thread(redis_url, succeed):
        ran = enrich("orders", "retry", "250", "251", "252", "--wait")

    head, *rows = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert head.startswith("CHANGED (UTC)")
    assert [re.split(r"  +", row.strip())[2:5] for row in rows] == [
        ["250", "updated", "yes"],
        ["251", "updated", "yes"],
        ["252", "updated", "yes"],
    ]


@pytest.mark.parametrize("status", [Status.CREATED, Status.UNCHANGED, Status.SKIPPED, Status.FAILED, Status.WAITING])
def test_the_exit_code_of_a_wait_says_whether_all_succeeded(
    enrich: Enrich, keep: Keep, redis_url: str, status: Status
) -> None:
    keep(failed(250), failed(251))

    def attempt(entry: Entry) -> None:
        entry.status = Status.UPDATED if entry.order_id == 250 else status

    with worker_thread(redis_url, attempt):
        ran = enrich("orders", "retry", "250", "251", "--wait", "--json")

    assert ran.err == ""
    assert [(item["order_id"], item["order"]["outcome"]) for item in json.loads(ran.out)] == [
        (250, "updated"),
        (251, status),
    ]
    assert ran.code == (1 if status in (Status.FAILED, Status.WAITING) else 0)


def test_a_wait_with_an_unknown_order_exits_1(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep(failed(250))
    with worker_thread(redis_url, succeed):
        ran = enrich("orders", "retry", "999", "250", "--wait", "--json")

    assert ran.code == 1
    assert [(item["result"], item["order"] and item["order"]["outcome"]) for item in json.loads(ran.out)] == [
        ("unknown", None),
        ("queued", "updated"),
    ]


def test_a_wait_times_out_and_warns_at_once_that_no_worker_is_running(enrich: Enrich, keep: Keep) -> None:
    keep(failed(250))
    ran = enrich("orders", "retry", "250", "--wait", "--timeout", "0.3")

    assert ran.code == 1
    assert ran.err == NO_WORKER + "1 of 1 orders were not finished within 0.3 s. The workers continue with them.\n"
    assert re.search(r" 250 +queued ", ran.out)


def test_progress_is_shown_on_a_terminal(
    enrich: Enrich, keep: Keep, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(failed(250), failed(251))
    monkeypatch.setenv("FORCE_COLOR", "1")
    with worker_thread(redis_url, succeed):
        ran = enrich("orders", "retry", "--all-failed", "--wait", "--json")

    assert ran.code == 0
    assert "waiting for the orders" in ran.err
    assert "/2" in ran.err


async def test_a_redis_that_dies_during_a_wait_is_one_line(
    enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled, count_queued = threading.Event(), requeue._count_queued

    async def counting(*arguments: Any) -> int:
        left = await count_queued(*arguments)
        polled.set()
        return left

    monkeypatch.setattr(requeue, "_count_queued", counting)
    async with running_redis() as redis:
        monkeypatch.setenv("REDIS_URL", redis.url)
        await asyncio.to_thread(put_into_recovery, redis.url, Entry("abc123", 250))
        waiting = asyncio.create_task(asyncio.to_thread(enrich, "orders", "retry", "250", "--wait"))
        assert await asyncio.to_thread(polled.wait, 10)
        redis.kill()
        ran = await waiting

    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(
        re.escape(NO_WORKER) + r"REDIS_URL: Redis does not answer \(\w+\)\. Check that .* is correct\.\n",
        ran.err,
    )
