"""``enrich demo``: see it work, with no account and no Redis."""

import asyncio
import math
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service import logs
from service.cli.orders import COLOURS
from service.demo.run import Placed, run
from service.orders.create_window import LENGTH_S
from service.orders.state.entry import Status


def demo(
    orders: Annotated[int, typer.Option(min=1, max=1000, help="How many orders to place.")] = 25,
    rate: Annotated[float, typer.Option(min=0.1, max=50, help="Orders per second.")] = 5.0,
) -> None:
    """See it work on this machine, with no account and no Redis.

    Starts a stand-in for BigCommerce, Redis, receiver and worker, and places orders of many kinds. Ends with a table
    of outcomes; exit code 0 only if every order came out as it must and each that had the time was created inside
    its window and verified.

    Example: enrich demo --orders 100 --rate 10
    """
    logs.configure("console", "ERROR")
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="enrich-demo-"))
    where = f"The logs of all processes are in {folder}"
    console.print("Starting Redis, a stand-in for BigCommerce, the receiver and a worker …")
    try:
        placed = asyncio.run(_watched(console, orders, rate, folder))
    except Exception:
        console.print(where, soft_wrap=True)
        raise
    except BaseException as end:  # Ctrl-C, SIGTERM, or nobody reads what is written
        shutil.rmtree(folder)
        raise KeyboardInterrupt from end
    console.print(summary(placed))
    wrong = [order for order in placed if order.wrong]
    for order in wrong:
        console.print(
            f"order {order.order_id} ({order.demo.kind}): {'; '.join(order.wrong)}",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    if wrong or len(placed) < orders:
        console.print(where, soft_wrap=True)
        sys.exit(1)
    shutil.rmtree(folder)
    console.print("[green]Every order came out as it must.[/]")


async def _watched(console: Console, orders: int, rate: float, folder: Path) -> list[Placed]:
    if task := asyncio.current_task():
        # Like Ctrl-C, so that nothing is left running.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if not console.is_terminal:
        told: set[int] = set()
        return await run(orders, rate, folder, lambda placed: _tell_ended(console, placed, told))
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        return await run(orders, rate, folder, lambda placed: live.update(_board(placed, orders), refresh=True))


def _tell_ended(console: Console, placed: Iterable[Placed], told: set[int]) -> None:
    for order in placed:
        if order.has_ended and order.order_id not in told:
            told.add(order.order_id)
            console.print("  ".join(_row(order)).rstrip(), highlight=False, soft_wrap=True)


def _board(placed: list[Placed], orders: int) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ORDER", "KIND", "OUTCOME", "PO NUMBER", "SENT AT", "VERIFIED"):
        table.add_column(column, no_wrap=True)
    for order in placed:
        table.add_row(*_row(order))
    ended = sum(order.has_ended for order in placed)
    return Group(table, f"{len(placed)} of {orders} placed, {ended} ended")


def _row(order: Placed) -> tuple[str, ...]:
    entry, age = order.entry, order.age_at_create
    if entry is None:
        return (str(order.order_id), f"{order.demo.kind:26}", "placed", "", "", "")
    outcome = f"{entry.status.value} {entry.reason or ''}".strip()
    return (
        str(order.order_id),
        f"{order.demo.kind:26}",
        f"[{COLOURS.get(entry.status, 'yellow')}]{escape(f'{outcome:26}')}[/]",
        f"{entry.po_number or '':10}",
        f"{age:4.2f} s" if age is not None else "      ",
        {True: "yes", False: "no", None: ""}[entry.verified],
    )


def summary(placed: Sequence[Placed]) -> Table:
    """How many orders had which outcome, and how old those that were created in time were then."""
    table = Table(title="Outcomes", title_justify="left", header_style="bold")
    for column in ("outcome", "orders", "verified"):
        table.add_column(column, justify="left" if column == "outcome" else "right")
    counts = Counter(_outcome(order) for order in placed)
    verified = Counter(_outcome(order) for order in placed if order.entry and order.entry.verified)
    for outcome, count in sorted(counts.items()):
        # There is no record to verify for an order that was skipped.
        shown = "" if outcome.startswith(Status.SKIPPED) else str(verified[outcome])
        table.add_row(Text(outcome), str(count), shown)
    ages = sorted(age for order in placed if (age := order.age_at_create) is not None)
    if ages:
        table.add_section()
        for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
            table.add_row(f"age at create, {name}", f"{percentile(ages, share):.2f} s", "")
        table.add_row("window", f"{LENGTH_S:.2f} s", "")
    return table


def _outcome(order: Placed) -> str:
    if order.entry is None:
        return "not seen"
    return f"{order.entry.status.value}{f': {order.entry.reason}' if order.entry.reason else ''}"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of these values, at least one, that no fewer than ``share`` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
