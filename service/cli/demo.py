"""``enrich demo``: the whole service against the sandbox, without an account or Redis."""

import asyncio
import math
import signal
import sys
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
from service.demo.folder import DemoFolder
from service.demo.run import Placed, run
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.order_entry import Status

KIND_WIDTH = 29
"""The longest kind of order."""


def demo(
    orders: Annotated[int, typer.Option(min=1, max=1000, help="How many orders to place.")] = 25,
    rate: Annotated[float, typer.Option(min=0.1, max=50, help="Orders per second.")] = 5.0,
) -> None:
    """Try the service on this machine, without an account or Redis.

    Starts a stand-in for BigCommerce, Redis, a receiver and a worker. Places orders of many kinds, shows them live,
    and ends with a table of outcomes.

    Exit code 0 only if every order has the expected outcome, was verified, and was created inside its window where
    that was possible.

    Example: enrich demo --orders 100 --rate 10
    """
    logs.configure("console", "ERROR")
    console = Console()
    was_terminal = console.is_terminal
    folder = DemoFolder()
    log_hint = f"The logs of all processes are in {folder.path}"
    console.print("Starting Redis, a stand-in for BigCommerce, the receiver and a worker …")
    try:
        placed = asyncio.run(_run_with_progress(console, orders, rate, folder.path))
    except BaseException as end:
        # Ctrl-C, SIGTERM, a closed pipe or terminal: nobody wants the logs.
        if not isinstance(end, Exception) or (was_terminal and not console.is_terminal):
            folder.remove()
            raise KeyboardInterrupt from end
        folder.keep()
        console.print(log_hint, soft_wrap=True)
        raise
    console.print(summary(placed))
    failed = [order for order in placed if order.deviations]
    for order in failed:
        console.print(
            f"order {order.order_id} ({order.demo.kind}): {'; '.join(order.deviations)}",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    if failed or len(placed) < orders:
        folder.keep()
        console.print(log_hint, soft_wrap=True)
        sys.exit(1)
    folder.remove()
    console.print("[green]Every order has the expected outcome.[/]")


async def _run_with_progress(console: Console, orders: int, rate: float, folder: Path) -> list[Placed]:
    if task := asyncio.current_task():
        # They end it like Ctrl-C, so that nothing is left behind. `nohup` has it ignore SIGHUP.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    if not console.is_terminal:
        printed: set[int] = set()
        return await run(orders, rate, folder, lambda placed: _print_finished(console, placed, printed))
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        return await run(orders, rate, folder, lambda placed: live.update(_live_table(placed, orders), refresh=True))


def _print_finished(console: Console, placed: Iterable[Placed], printed: set[int]) -> None:
    for order in placed:
        if order.is_finished and order.order_id not in printed:
            printed.add(order.order_id)
            console.print("  ".join(_row(order)).rstrip(), highlight=False, soft_wrap=True)


def _live_table(placed: list[Placed], orders: int) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ORDER", "KIND", "OUTCOME", "PO NUMBER", "SENT AT", "VERIFIED"):
        table.add_column(column, no_wrap=True)
    for order in placed:
        table.add_row(*_row(order))
    finished = sum(order.is_finished for order in placed)
    return Group(table, f"{len(placed)} of {orders} placed, {finished} finished")


def _row(order: Placed) -> tuple[str, ...]:
    entry, age = order.entry, order.age_at_create
    if entry is None:
        return (str(order.order_id), f"{order.demo.kind:{KIND_WIDTH}}", "placed", "", "", "")
    outcome = f"{entry.status.value} {entry.reason or ''}".strip()
    return (
        str(order.order_id),
        f"{order.demo.kind:{KIND_WIDTH}}",
        f"[{COLOURS.get(entry.status, 'yellow')}]{escape(f'{outcome:26}')}[/]",
        f"{entry.po_number or '':10}",
        f"{age:4.2f} s" if age is not None else "      ",
        {True: "yes", False: "no", None: ""}[entry.verified],
    )


def summary(placed: Sequence[Placed]) -> Table:
    """A table of the orders by outcome, and of the ages at which orders were created."""
    table = Table(title="Outcomes", title_justify="left", header_style="bold")
    for column in ("outcome", "orders", "verified"):
        table.add_column(column, justify="left" if column == "outcome" else "right")
    counts = Counter(_outcome(order) for order in placed)
    verified = Counter(_outcome(order) for order in placed if order.entry and order.entry.verified)
    for outcome, count in sorted(counts.items()):
        # An order that was skipped has no record to verify.
        shown = "" if outcome.startswith(Status.SKIPPED) else str(verified[outcome])
        table.add_row(Text(outcome), str(count), shown)
    ages = sorted(age for order in placed if order.demo.in_window and (age := order.age_at_create) is not None)
    if ages:
        table.add_section()
        for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
            table.add_row(f"age at create, {name}", f"{percentile(ages, share):.2f} s", "")
        table.add_row("window", f"{WINDOW_LENGTH_S:.2f} s", "")
    return table


def _outcome(order: Placed) -> str:
    if order.entry is None:
        return "not seen"
    return f"{order.entry.status.value}{f': {order.entry.reason}' if order.entry.reason else ''}"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that at least ``share`` of the values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
