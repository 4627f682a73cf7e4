"""``enrich backfill`` against a sandbox and a real Redis; a worker runs only where a test starts one."""

import asyncio
import csv
import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rich.console import Console

from service.cli.backfill.command import _date_range
from service.cli.backfill.progress import ProgressDisplay
from service.errors import ConfigError
from service.orders.backfill.progress import BackfillProgress, ListedOrder
from service.orders.state.job_kinds import RECOVERY
from service.orders.state.keys import backfill_lock_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import Queue
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.fakes.cli import Enrich, Keep
from tests.fakes.processes.threaded_sandbox import ServedSandbox, served_sandbox
from tests.fakes.stores_file import SANDBOX_STORES

pytestmark = pytest.mark.integration

DAY = 86_400


@pytest.fixture
def sandbox(folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedSandbox]:
    """A sandbox that ``enrich`` talks to, beside an empty Redis."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    with served_sandbox(core_quota=10_000) as served:
        (folder / "stores.toml").write_text(SANDBOX_STORES.format(url=served.url))
        yield served


@contextmanager
def worker_thread(redis_url: str, *, failing: frozenset[int] = frozenset()) -> Iterator[None]:
    """A worker thread that finishes every queued order."""
    stop = threading.Event()

    async def work() -> None:
        async with connect(redis_url) as redis:
            transitions = Transitions(redis)
            while not stop.is_set():
                await Queue(redis).heartbeat("test", 0)
                for job in await redis.zrange(RECOVERY.queue, 0, -1):
                    order_id = int(job.decode().rpartition(":")[2])
                    entry, _ = await transitions.begin_attempt("sandbox", order_id)
                    failed = order_id in failing
                    entry.status = Status.FAILED if failed else Status.UPDATED
                    entry.reason = "[/red] Cost Center" if failed else None
                    await transitions.finish(entry)
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    try:
        with Redis.from_url(redis_url) as redis:
            while not redis.exists("enrich:workers:test"):
                stop.wait(0.01)
        yield
    finally:
        stop.set()
        thread.join()


def queued(redis_url: str) -> int:
    with Redis.from_url(redis_url) as redis:
        found = redis.zcard(RECOVERY.queue)
    assert isinstance(found, int)
    return found


def shown(out: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in out.splitlines()]


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_backfill_ends_with_its_orders_and_prints_the_outcomes(
    enrich: Enrich, sandbox: ServedSandbox, redis_url: str
) -> None:
    orders = [sandbox.place(age=DAY) for _ in range(4)]
    with worker_thread(redis_url, failing=frozenset(orders[:1])):
        ran = enrich("backfill", "--since", "30d")

    assert ran.code == 1, "one has failed"
    assert shown(ran.out) == [
        ["OUTCOME", "ORDERS", "REASON"],
        ["updated", "3"],
        ["failed", "1", "[/red] Cost Center"],
    ]
    assert re.fullmatch(r"(\d of 4 orders done, \d in progress\n)+", ran.err)


def test_the_next_run_continues_and_says_so(enrich: Enrich, sandbox: ServedSandbox, redis_url: str) -> None:
    orders = [sandbox.place(age=DAY) for _ in range(12)]
    with worker_thread(redis_url):
        assert enrich("backfill", "--since", "30d").code == 0
        ran = enrich("backfill", "--since", "30d")

    assert ran.code == 0
    assert shown(ran.out)[1:] == [["already finished", "11"]]
    assert ran.err.startswith(f"Continuing after order {orders[-1]}, where an earlier run stopped.\n")


def test_json_is_for_scripts(enrich: Enrich, sandbox: ServedSandbox, redis_url: str) -> None:
    last = [sandbox.place(age=DAY) for _ in range(2)][-1]
    with worker_thread(redis_url):
        answer: dict[str, Any] = json.loads(enrich("backfill", "--since", "30d", "--json").out)

    assert datetime.fromisoformat(answer.pop("since")) < datetime.fromisoformat(answer.pop("until"))
    assert answer == {
        "store": "sandbox",
        "again": False,
        "began_after": 0,
        "reached": last,
        "finished": True,
        "stopped": False,
        "orders": 2,
        "ended_before": 0,
        "elsewhere": 0,
        "not_ended": [],
        "outcomes": [{"outcome": "updated", "reason": None, "orders": 2}],
    }


def test_a_store_without_matching_orders_exits_0(enrich: Enrich, sandbox: ServedSandbox, redis_url: str) -> None:
    with worker_thread(redis_url):
        ran = enrich("backfill", "--since", "30d")
    assert (ran.code, shown(ran.out)[1:]) == (0, [["already finished", "0"], ["elsewhere", "0"], ["not finished", "0"]])


def test_a_terminal_shows_a_bar_and_a_pipe_shows_lines() -> None:
    state = BackfillProgress(total=200, seen=100, known=40, in_flight={7: ListedOrder(7, 0.0, 101)})

    assert re.search(r"orders, 1 in progress [━╸╺]+ +40/200", displayed(state, terminal=True))
    assert displayed(state, terminal=False) == "40 of 200 orders done, 1 in progress\n"
    assert displayed(replace(state, total=None), terminal=False) == "40 orders done, 1 in progress\n"


def test_a_problem_is_printed_once_and_its_end_too() -> None:
    stuck = BackfillProgress(
        total=1, seen=1, in_flight={7: ListedOrder(7, 0.0, 101)}, workers=0, trouble="Get Company: [/x]"
    )
    well = replace(stuck, workers=1, trouble=None)

    assert displayed(stuck, stuck, well, terminal=False).splitlines() == [
        "No worker is running. Start one to continue.",
        "No order was finished for a while. Order 7: Get Company: [/x]",
        "0 of 1 orders done, 1 in progress",
        "Workers are running again.",
    ]


def displayed(*states: BackfillProgress, terminal: bool) -> str:
    """What the display prints for these states of a backfill."""
    seen = io.StringIO()
    console = Console(file=seen, force_terminal=terminal, no_color=True, width=100, highlight=False)
    with ProgressDisplay(console) as display:
        for state in states:
            display.show(state)
    return seen.getvalue()


# ── not running ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_worker_nothing_is_started(enrich: Enrich, sandbox: ServedSandbox, redis_url: str) -> None:
    sandbox.place(age=DAY)
    ran = enrich("backfill", "--since", "30d")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "backfill: no worker is running. Start `enrich up` or `enrich worker` first.\n"
    assert (queued(redis_url), sandbox.calls()) == (0, {})


def test_a_second_backfill_of_a_store_is_refused(enrich: Enrich, sandbox: ServedSandbox, redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.set(backfill_lock_key("sandbox"), "web-1, process 4711")
    with worker_thread(redis_url):
        ran = enrich("backfill", "--since", "30d")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("backfill of sandbox: is already running (web-1, process 4711). Stop it,")
    assert ran.err.count("\n") == 1


def test_refused_credentials_stop_it_and_it_says_how_to_continue(
    enrich: Enrich, sandbox: ServedSandbox, redis_url: str
) -> None:
    sandbox.run(sandbox.sandbox.faults(refuse_credentials=["sandbox"]))
    with worker_thread(redis_url):
        ran = enrich("backfill", "--since", "30d")

    assert (ran.code, ran.out) == (2, "")
    first, second = ran.err.splitlines()
    assert first == "Run the same command again to continue."
    assert second.startswith("Get a Count of Orders: 401: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--since", "3m"), r"--since 3m: must be before \d{4}-.* UTC\. Orders younger than five minutes are left to"),
        (("--since", "2026-01-02", "--until", "2026-01-01"), "--since 2026-01-02: must be before 2026-01-01 00:00 UTC"),
        (("--since", "last week"), "--since last week: is not a valid time. "),
        (("--since", "7d", "--until", "soon"), "--until soon: is not a valid time. "),
        ((), "enrich backfill: Missing option '--since'"),
    ],
)
def test_an_invalid_time_is_one_line(
    enrich: Enrich, sandbox: ServedSandbox, words: tuple[str, ...], message: str
) -> None:
    ran = enrich("backfill", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert re.match(message, ran.err)


def test_until_is_five_minutes_ago_at_the_latest() -> None:
    now = datetime(2026, 1, 10, tzinfo=UTC)
    latest = now - timedelta(minutes=5)
    assert _date_range("7d", None, again=False, now=now).until == latest
    assert _date_range("7d", "2027-01-01", again=False, now=now).until == latest
    assert _date_range("7d", "1d", again=False, now=now).until == now - timedelta(days=1)
    with pytest.raises(ConfigError):
        _date_range("4m", None, again=False, now=now)


# ── a dry run ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dry_run_shows_the_amount_of_work_and_queues_nothing(
    enrich: Enrich, sandbox: ServedSandbox, keep: Keep, redis_url: str
) -> None:
    orders = [sandbox.place(age=DAY) for _ in range(5)] + [sandbox.place(0, age=DAY) for _ in range(3)]
    keep(Entry("sandbox", orders[0], status=Status.UPDATED))
    with Redis.from_url(redis_url) as redis:
        before = {key: redis.dump(key) for key in redis.keys("*")}
        ran = enrich("backfill", "--since", "30d", "--dry-run")
        after = {key: redis.dump(key) for key in redis.keys("*")}

    assert (ran.code, ran.err) == (0, "")
    assert shown(ran.out)[:4] == [
        ["orders", "8"],
        ["already finished", "1"],
        ["queued or waiting", "0"],
        ["to be queued", "7, 3 of them guest orders, which need no call to B2B Edition"],
    ]
    assert shown(ran.out)[4][1].startswith(
        "about a minute, at 2 to 3 calls per order and 150 calls per minute. New orders"
    )
    assert {key for key in after if not key.startswith(b"enrich:budget:")} == set(before)
    assert all(after[key] == before[key] for key in before)


def test_a_dry_run_without_orders_says_that_there_is_nothing_to_do(enrich: Enrich, sandbox: ServedSandbox) -> None:
    ran = enrich("backfill", "--since", "30d", "--dry-run")
    assert (ran.code, shown(ran.out)[3:]) == (
        0,
        [["to be queued", "0"], ["estimated time", "none: there is nothing to do"]],
    )


def test_a_dry_run_as_json(enrich: Enrich, sandbox: ServedSandbox) -> None:
    async def place() -> None:
        await asyncio.gather(*(sandbox.sandbox.place_order(customer_id=101, age=DAY) for _ in range(70)))

    sandbox.run(place())
    answer: dict[str, Any] = json.loads(enrich("backfill", "--since", "30d", "--dry-run", "--json").out)

    assert (answer["dry_run"], answer["orders"], answer["to_queue"], answer["estimated_minutes"]) == (True, 70, 70, 2)


def test_a_dry_run_shows_what_the_rules_give_beside_what_orders_have_differences_first(
    enrich: Enrich, sandbox: ServedSandbox, keep: Keep
) -> None:
    same, other, unknown = (sandbox.place(age=DAY, customer_message=f"PO-{number}") for number in (1, 2, 3))
    keep(Entry("sandbox", same, status=Status.CREATED, po_number="PO-1"))
    keep(Entry("sandbox", other, status=Status.UPDATED, po_number="PO-0"))

    ran = enrich("backfill", "--since", "30d", "--again", "--dry-run")
    _, heading, columns, *rows, said = [line for line in shown(ran.out)[4:] if line != [""]]
    assert heading[0].startswith("What the rules give for these orders, beside what they were enriched with")
    assert columns == ["ORDER", "CREATED (UTC)", "CUSTOMER", "VALUE", "OLD", "NEW"]
    assert [[row[0], *row[-3:]] for row in rows] == [
        [str(unknown), "outcome", "not enriched", "sent"],
        ["PO NUMBER", "PO NUMBER", "—", "PO-3"],
        [str(other), "PO NUMBER", "PO-0", "PO-2"],
        [str(same), "no difference", "PO-1", "PO-1"],
    ]
    assert said == ["2 of 3 orders differ: PO NUMBER on 2, outcome on 1."]


def test_a_dry_run_compares_only_the_newest_orders_that_would_be_queued(
    enrich: Enrich, sandbox: ServedSandbox, keep: Keep
) -> None:
    orders = [sandbox.place(age=DAY, customer_message="PO-1") for _ in range(4)]
    keep(Entry("sandbox", orders[3], status=Status.UPDATED))
    answer = json.loads(enrich("backfill", "--since", "30d", "--dry-run", "--compare", "2", "--json").out)
    assert [each["order_id"] for each in answer["comparison"]] == [orders[2], orders[1]]
    assert "newest" not in answer
    none = json.loads(enrich("backfill", "--since", "30d", "--dry-run", "--compare", "0", "--json").out)
    assert none["comparison"] == []


def test_a_dry_run_as_csv(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = sandbox.place(age=DAY, customer_message="PO-1")
    ran = enrich("backfill", "--since", "30d", "--dry-run", "--csv")
    (row,) = csv.DictReader(io.StringIO(ran.out, newline=""))
    assert (row["order_id"], row["old outcome"], row["new po_number"]) == (str(order), "not enriched", "PO-1")


def test_csv_without_a_dry_run_is_refused(enrich: Enrich, sandbox: ServedSandbox) -> None:
    ran = enrich("backfill", "--since", "30d", "--csv")
    assert (ran.code, ran.err) == (2, "--csv: needs --dry-run. Use --json for the result of a backfill.\n")
