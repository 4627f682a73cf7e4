import asyncio
from collections.abc import Callable
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from service.cli import demo
from service.cli.demo import percentile, summary
from service.demo.orders import comment, form_field, guest, late, no_record
from service.demo.run import Addresses, DemoError, Placed, Visit
from service.orders.state.order_entry import Entry, Status
from tests.fakes.cli import Enrich


def placed(order_id: int, make: Any = form_field, age: float | None = None, **values: Any) -> Placed:
    return Placed(order_id, make("4700-D"), Entry("sandbox", order_id, create_age=age, **values))


CREATED = {"status": Status.CREATED, "verified": True, "po_number": "4700-D"}
ORDERS = [
    placed(1, age=0.5, **CREATED),
    placed(2, age=1.25, **CREATED),
    placed(3, comment, age=2.75, **CREATED | {"verified": False}),
    placed(4, late, age=16.0, status=Status.UPDATED, verified=True),
    placed(5, guest, status=Status.SKIPPED, reason="guest"),
    placed(6, status=Status.FAILED, reason="[/Account No]"),
    Placed(7, form_field("4700-D")),
    placed(8, no_record, age=17.5, **CREATED),
]


def rows(orders: list[Placed]) -> list[list[str]]:
    console = Console(file=StringIO(), width=80)
    console.print(summary(orders))
    assert isinstance(console.file, StringIO)
    lines = [line for line in console.file.getvalue().splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_the_summary_counts_outcomes_and_shows_ages_at_create() -> None:
    assert rows(ORDERS) == [
        ["created", "4", "3"],
        ["failed: [/Account No]", "1", "0"],
        ["not seen", "1", "0"],
        ["skipped: guest", "1", ""],
        ["updated", "1", "1"],
        ["age at create, p50", "1.25 s", ""],
        ["age at create, p99", "2.75 s", ""],
        ["age at create, worst", "2.75 s", ""],
        ["window", "10.00 s", ""],
    ]


def test_the_summary_without_created_orders_has_no_ages() -> None:
    assert rows(ORDERS[3:5]) == [["skipped: guest", "1", ""], ["updated", "1", "1"]]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300).map(sorted), st.integers(0, 100))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], percent: int) -> None:
    def enough(value: float) -> bool:
        return Fraction(sum(other <= value for other in values), len(values)) >= Fraction(percent, 100)

    assert percentile(values, percent / 100) == next(value for value in values if enough(value))


# ── the command, without the processes ──────────────────────────────────────────────────────────────────────────


OnProgress = Callable[[list[Placed]], None]


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[Path]]:
    """The demo's own folders that are still there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return lambda: list(tmp_path.glob("enrich-demo-*"))


def end_with(monkeypatch: pytest.MonkeyPatch, orders: list[Placed], error: BaseException | None = None) -> None:
    """Make the demo end with these orders, or with this error."""

    async def run(count: int, rate: float, folder: Path, on_progress: OnProgress, visit: Visit | None) -> list[Placed]:
        on_progress(orders)
        on_progress(orders)
        if error:
            raise error
        if visit:
            addresses = Addresses("http://sandbox", "http://receiver", "unix:///redis.sock", 8123)
            await visit.on_open(addresses)
            staying = asyncio.ensure_future(visit.stay(addresses, orders))
            await asyncio.sleep(0)
            staying.cancel()  # as Ctrl-C does
            await staying
        return orders

    monkeypatch.setattr(demo, "run", run)


def test_a_successful_demo_exits_0_and_leaves_no_files(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, folders: Callable[[], list[Path]]
) -> None:
    end_with(monkeypatch, ORDERS[:2])
    ran = enrich("demo", "--orders", "2")
    lines = ran.out.splitlines()

    assert (ran.code, ran.err, folders()) == (0, "", [])
    assert lines[1].split() == ["1", "PO", "in", "a", "form", "field", "created", "4700-D", "0.50", "s", "yes"]
    assert lines[2].split() == ["2", "PO", "in", "a", "form", "field", "created", "4700-D", "1.25", "s", "yes"]
    assert lines[3].strip() == "Outcomes"
    assert lines[-2] == "Every order has the expected outcome."
    assert lines[-1].endswith("enrich demo --keep")


def test_a_demo_with_an_unexpected_outcome_exits_1_and_says_where_the_logs_are(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, folders: Callable[[], list[Path]]
) -> None:
    order = placed(6, status=Status.FAILED, reason="[/Account No]")
    order.deviations = ["failed [/Account No], not created ", "not verified"]
    end_with(monkeypatch, [order])
    ran = enrich("demo", "--orders", "1")

    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines()[-2:] == [
        "order 6 (PO in a form field): failed [/Account No], not created ; not verified",
        f"The logs of all processes are in {folders()[0]}",
    ]


def test_a_demo_that_could_not_place_every_order_exits_1(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, folders: Callable[[], list[Path]]
) -> None:
    end_with(monkeypatch, ORDERS[:2])
    assert enrich("demo", "--orders", "3").code == 1


def test_a_demo_that_cannot_run_says_why_and_where_the_logs_are(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, folders: Callable[[], list[Path]]
) -> None:
    end_with(monkeypatch, [], DemoError("The demo's processes did not start (ConnectError)."))
    ran = enrich("demo")

    assert (ran.code, ran.err) == (2, "The demo's processes did not start (ConnectError).\n")
    assert ran.out.splitlines()[-1] == f"The logs of all processes are in {folders()[0]}"


def test_an_interrupted_demo_exits_130_and_leaves_no_files(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, folders: Callable[[], list[Path]]
) -> None:
    end_with(monkeypatch, [], KeyboardInterrupt())
    ran = enrich("demo")
    assert (ran.code, ran.err, folders()) == (130, "", [])


def test_a_demo_that_is_kept_open_names_the_console_and_prints_no_link_into_a_log(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, folders: Callable[[], list[Path]]
) -> None:
    end_with(monkeypatch, ORDERS[:2])
    ran = enrich("demo", "--keep", "--orders", "2")

    assert (ran.code, ran.err, folders()) == (0, "", [])
    assert ran.out.count("Console: http://127.0.0.1:8123/\n") == 2
    assert "code=" not in ran.out
    assert "Every order has the expected outcome." in ran.out
    assert "export REDIS_URL=unix:///redis.sock" in ran.out


def test_a_demo_that_is_kept_open_exits_1_if_an_order_deviates(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, folders: Callable[[], list[Path]]
) -> None:
    order = placed(6, status=Status.FAILED, reason="[/Account No]")
    order.deviations = ["not verified"]
    end_with(monkeypatch, [order])
    ran = enrich("demo", "--keep", "--orders", "1")
    assert (ran.code, folders()) == (1, [])
