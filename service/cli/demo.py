"""``enrich demo``: the whole service against the sandbox, without an account or Redis."""

import asyncio
import math
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service import logs
from service.cli.console.links import admin_link
from service.cli.orders import COLOURS
from service.console.address import ConsoleAddress
from service.demo.folder import DemoFolder
from service.demo.run import Addresses, Placed, Stay, Visit, run
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.order_entry import Status
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET

ORDERS = 25

KEPT_ORDERS = 200
"""Enough for lists with pages and for charts."""

KIND_WIDTH = 29
"""The longest kind of order."""


def demo(
    orders: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="How many orders to place; 25 by default, 200 with --keep.", show_default=False
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=50, help="Orders per second.")] = 5.0,
    keep: Annotated[
        bool, typer.Option("--keep", help="Also run the console, and keep everything open until you press Ctrl-C.")
    ] = False,
) -> None:
    """Try the service on this machine, without an account or Redis.

    Starts a stand-in for BigCommerce, Redis, a receiver and a worker. Places orders of many kinds, shows them live,
    and ends with a table of outcomes.

    With --keep there is a console as well, the web page for people, and some of the orders need a person: look around,
    set a missing value, see what the buyer sees. On a terminal, a link is printed that signs in once.

    Exit code 0 only if every order has the expected outcome, was verified, and was created inside its window where
    that was possible.

    \b
    Example: enrich demo --orders 100 --rate 10
             enrich demo --keep
    """
    logs.configure("console", "ERROR")
    console = Console()
    was_terminal = console.is_terminal
    folder = DemoFolder()
    log_hint = f"The logs of all processes are in {folder.path}"
    count = orders or (KEPT_ORDERS if keep else ORDERS)
    others = "the receiver, a worker and the console" if keep else "the receiver and a worker"
    console.print(f"Starting Redis, a stand-in for BigCommerce, {others} …")
    visit = Visit(partial(_show_link, console), partial(_stay, console, count, folder.path)) if keep else None
    try:
        placed = asyncio.run(_run_with_progress(console, count, rate, folder.path, visit))
    except BaseException as end:
        # Ctrl-C, SIGTERM, a closed pipe or terminal: nobody wants the logs.
        if not isinstance(end, Exception) or (was_terminal and not console.is_terminal):
            folder.remove()
            raise KeyboardInterrupt from end
        folder.keep()
        console.print(log_hint, soft_wrap=True)
        raise
    if keep:  # they were shown, and everybody has had the time to read the logs
        folder.remove()
        sys.exit(any(order.deviations for order in placed))
    if not _show_outcomes(console, placed, count):
        folder.keep()
        console.print(log_hint, soft_wrap=True)
        sys.exit(1)
    folder.remove()
    console.print("To look around in the console, with orders that need a person: enrich demo --keep", soft_wrap=True)


def _show_outcomes(console: Console, placed: Sequence[Placed], count: int) -> bool:
    """Print the summary and what deviates; whether every order has the expected outcome."""
    console.print(summary(placed))
    failed = [order for order in placed if order.deviations]
    for order in failed:
        console.print(
            f"order {order.order_id} ({order.demo.kind}): {'; '.join(order.deviations)}",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    if failed or len(placed) < count:
        return False
    console.print("[green]Every order has the expected outcome.[/]")
    return True


async def _show_link(console: Console, addresses: Addresses) -> None:
    """Print where the console is, and on a terminal a link that signs in: a log must not make an admin."""
    assert addresses.console_port
    address = ConsoleAddress.of(None, port=addresses.console_port)
    console.print(f"Console: {address.url('/')}", soft_wrap=True, highlight=False)
    if console.is_terminal:
        link = await admin_link(addresses.redis, address)
        console.print(
            f"Sign in (the link works once, within 15 minutes): {link}", soft_wrap=True, markup=False, highlight=False
        )


async def _stay(console: Console, count: int, folder: Path, addresses: Addresses, placed: list[Placed]) -> None:
    """Keep everything open until it is interrupted."""
    _show_outcomes(console, placed, count)
    await _show_link(console, addresses)
    console.print("Commands work, too, in another terminal after this:")
    for name, value in {"REDIS_URL": addresses.redis, "ENRICH_CONFIG": folder / "stores.toml"}.items():
        console.print(f"    export {name}={value}", soft_wrap=True, markup=False, highlight=False)
    for name, value in {
        "SANDBOX_ACCESS_TOKEN": SANDBOX_ACCESS_TOKEN,
        "SANDBOX_CLIENT_SECRET": SANDBOX_CLIENT_SECRET,
    }.items():
        console.print(f"    export {name}={value}", soft_wrap=True, markup=False, highlight=False)
    console.print("Everything stays open until you press Ctrl-C; then all of it is removed.")
    with suppress(asyncio.CancelledError):  # the usual end of it
        await asyncio.Event().wait()


async def _run_with_progress(
    console: Console, orders: int, rate: float, folder: Path, visit: Visit | None
) -> list[Placed]:
    if task := asyncio.current_task():
        # They end it like Ctrl-C, so that nothing is left behind. `nohup` has it ignore SIGHUP.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    if not console.is_terminal:
        printed: set[int] = set()
        return await run(orders, rate, folder, lambda placed: _print_finished(console, placed, printed), visit)
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        if visit:
            visit = replace(visit, stay=_after(live, visit.stay))
        return await run(
            orders, rate, folder, lambda placed: live.update(_live_table(placed, orders), refresh=True), visit
        )


def _after(live: Live, stay: Stay) -> Stay:
    """End the live table before what follows it."""

    async def ended(addresses: Addresses, placed: list[Placed]) -> None:
        live.stop()
        await stay(addresses, placed)

    return ended


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
