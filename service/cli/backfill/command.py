"""``enrich backfill``: enrich existing orders."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service import audit
from service.cli.backfill.dry_run import DryRunOptions, parameters, show_dry_run
from service.cli.backfill.progress import ProgressDisplay
from service.cli.common.options import DryRunOption, StoreOption, one_format, parse_since
from service.cli.common.output import open_console, print_json
from service.cli.common.session import open_session
from service.cli.common.stopping import EXIT_STOPPED, run_until_stopped
from service.cli.common.writes import note_if_not_written
from service.errors import ConfigError, Problem
from service.orders.backfill.progress import BackfillProgress, DateRange
from service.orders.backfill.runner import MIN_ORDER_AGE_S, Backfill
from service.orders.state.keys import backfill_lock_key
from service.orders.state.order_entry import Status
from service.orders.state.per_store.run_lock import single_run
from service.orders.state.queue import Queue


def backfill(
    since: Annotated[str, typer.Option(help="Orders created since then: a date, a time (UTC), or 30m, 12h, 7d ago.")],
    until: Annotated[
        str | None, typer.Option(help="Orders created until then. Default: five minutes ago.", show_default=False)
    ] = None,
    store: StoreOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also enrich finished orders, and start at the first order.")
    ] = False,
    dry_run: DryRunOption = False,
    compare: Annotated[
        int,
        typer.Option(
            metavar="COUNT",
            min=0,
            max=250,
            help="With --dry-run: for the N newest orders, show what would be sent beside what was sent.",
        ),
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of a table.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="With --dry-run: print the comparison as CSV, for a spreadsheet.")
    ] = False,
) -> None:
    """Enrich existing orders.

    Reads the store's orders in the order of their IDs and queues those that are not finished. New orders have priority
    in the API quota. A worker must be running (`enrich worker` or `enrich up`).

    You can stop the command at any time (Ctrl-C, SIGTERM): the workers finish the few orders that are queued. Run the
    same command again to continue. Orders younger than five minutes are left to the webhooks.

    --dry-run counts the orders, and shows what the rules would give now for the newest of them, differences first. OLD
    is what the orders were enriched with, if they were; NEW is what the rules give. With --again it shows what a change
    of rules would do to finished orders.

    Exit code 0: all orders are finished. 1: an order failed, or some orders are not finished. 2: wrong usage, or
    BigCommerce or Redis did not answer. 130: stopped.

    \b
    Example: enrich backfill --since 2026-01-01 --dry-run
             enrich backfill --since 2026-01-01 --again --dry-run --compare 250
             enrich backfill --since 2026-01-01 --until 2026-02-01 --store abc123
    """
    one_format(as_json=as_json, as_csv=as_csv)
    if as_csv and not dry_run:
        raise ConfigError(Problem("--csv", "needs --dry-run.", "Use --json for the result of a backfill."))
    date_range = _date_range(since, until, again=again, now=datetime.now(UTC))
    if dry_run:
        asyncio.run(show_dry_run(date_range, store, DryRunOptions(compare, as_json, as_csv)))
    elif code := asyncio.run(_run(date_range, store, as_json)):
        raise typer.Exit(code)


def _date_range(since: str, until: str | None, *, again: bool, now: datetime) -> DateRange:
    begin = parse_since(since, now=now)
    latest = now - timedelta(seconds=MIN_ORDER_AGE_S)
    end = min(latest, parse_since(until, now=now, option="--until")) if until else latest
    if begin >= end:
        end_text = end.strftime("%Y-%m-%d %H:%M UTC")
        cure = "Orders younger than five minutes are left to the webhooks." if end == latest else ""
        raise ConfigError(Problem(f"--since {since}", f"must be before {end_text}.", cure))
    return DateRange(begin, end, name=f"{since}..{until or ''}", again=again)


async def _run(date_range: DateRange, wanted: str | None, as_json: bool) -> int:
    async with open_session(needs_redis=True) as session:
        assert session.redis is not None
        store = session.store(wanted)
        if not (await Queue(session.redis).counts()).workers:
            cure = "Start `enrich up` or `enrich worker` first."
            raise ConfigError(Problem("backfill", "no worker is running.", cure))
        name = store.store.hash
        await note_if_not_written(session.redis, [store])
        async with single_run(session.redis, backfill_lock_key(name), what=f"backfill of {name}"):
            action = audit.Action(audit.system_user(), audit.ActionName.BACKFILL, name, detail=date_range.name)
            await audit.record(session.redis, action)
            with ProgressDisplay(Console(stderr=True, highlight=False)) as display:
                run = Backfill(session.api(store), session.redis, date_range, watch=display.show)
                try:
                    stopped = not await run_until_stopped(run.run())
                except Exception:
                    _print_remaining(run.course)
                    raise
    if as_json:
        print_json({**parameters(store.store.hash, date_range), **_result(run.course, stopped=stopped)})
    else:
        open_console().print(_summary(run.course))
    if stopped:
        typer.echo("Stopped.", err=True)
    if not run.course.is_finished:
        _print_remaining(run.course)
    if stopped:
        return EXIT_STOPPED
    return int(not run.course.is_finished or any(status is Status.FAILED for status, _ in run.course.outcomes))


def _summary(progress: BackfillProgress) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("OUTCOME", no_wrap=True)
    table.add_column("ORDERS", justify="right", no_wrap=True)
    table.add_column("REASON", overflow="fold")
    for (status, reason), orders in progress.outcomes.most_common():
        table.add_row(status.value, str(orders), Text(reason))
    rest = {
        "already finished": progress.known,
        "elsewhere": progress.elsewhere,
        "not finished": len(progress.in_flight),
    }
    reasons = {"elsewhere": "queued by a webhook or another command, or waiting for a status change or a value"}
    for name, orders in rest.items():
        if orders or not (progress.outcomes or any(rest.values())):
            table.add_row(name, str(orders), reasons.get(name, "") if orders else "")
    return table


def _result(progress: BackfillProgress, *, stopped: bool) -> dict[str, Any]:
    outcomes = [
        {"outcome": status.value, "reason": reason or None, "orders": orders}
        for (status, reason), orders in progress.outcomes.most_common()
    ]
    return {
        "began_after": progress.began_after,
        "reached": progress.reached,
        "finished": progress.is_finished,
        "stopped": stopped,
        "orders": progress.seen,
        "ended_before": progress.known,
        "elsewhere": progress.elsewhere,
        "not_ended": sorted(progress.in_flight),
        "outcomes": outcomes,
    }


def _print_remaining(progress: BackfillProgress) -> None:
    """Print on stderr which orders are not finished, and how to continue."""
    if progress.in_flight:
        why = f" (order {min(progress.in_flight)}: {progress.trouble})" if progress.trouble else ""
        typer.echo(f"{len(progress.in_flight)} orders are not finished{why}. The workers continue with them.", err=True)
    after = f" after order {progress.reached}" if progress.reached else ""
    typer.echo(f"Run the same command again to continue{after}.", err=True)
