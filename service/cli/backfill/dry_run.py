"""``enrich backfill --dry-run``: how much there is to do, and what the rules would give. Queues nothing."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import typer
from rich.table import Table

from service.bigcommerce import Api, Budget
from service.cli.backfill.progress import resume_message
from service.cli.common.comparison_tables import (
    comparison_as_csv,
    comparison_as_dict,
    comparison_summary,
    comparison_table,
)
from service.cli.common.output import open_console, print_csv, print_json
from service.cli.common.session import Session, open_session
from service.cli.preview.reader import Selection, open_reader
from service.configuration import ConfiguredStore
from service.orders.backfill.progress import DateRange, DryRunSummary
from service.orders.backfill.runner import Backfill
from service.orders.preview_comparison import Comparison

# One read and one Update for each order, and its share of the calls that serve many orders: people, verification.
CALLS_PER_ORDER = 2.5
# B2B Edition's documented quota, used until a response has reported the store's own.
DEFAULT_CALLS_PER_MINUTE = 150.0


@dataclass(frozen=True, slots=True)
class DryRunOptions:
    """``compare`` is for how many of the newest orders the result is shown."""

    compare: int
    as_json: bool
    as_csv: bool


async def show_dry_run(date_range: DateRange, wanted: str | None, options: DryRunOptions) -> None:
    """List the orders, compare what would be sent for the newest with what was sent, and print both."""
    async with open_session(needs_redis=True) as session:
        assert session.redis is not None
        store = session.store(wanted)
        summary = await Backfill(session.api(store), session.redis, date_range).survey()
        quota = await Budget(session.redis).left(store.store.hash, Api.B2B)
        compared = await _compare(session, store, summary, options.compare)
    calls_per_minute = quota.limit / quota.window_s * 60 if quota else DEFAULT_CALLS_PER_MINUTE
    minutes = math.ceil((summary.to_queue - summary.by_guests) * CALLS_PER_ORDER / calls_per_minute)
    name = store.store.hash
    if options.as_json:
        counts = {key: value for key, value in asdict(summary).items() if key != "newest"}
        print_json(
            {
                **parameters(name, date_range),
                "dry_run": True,
                **counts,
                "estimated_minutes": minutes,
                "comparison": [comparison_as_dict(each, name) for each in compared],
            }
        )
    elif options.as_csv:
        print_csv(*comparison_as_csv(compared, name))
    else:
        _print(summary, minutes, calls_per_minute, compared)


async def _compare(
    session: Session, store: ConfiguredStore, summary: DryRunSummary, count: int
) -> Sequence[Comparison]:
    newest = list(summary.newest)[-count:] if count else []
    if not newest:
        return []
    reader = open_reader(session, store)
    return await reader.compared_with_ledger(Selection(count, only=frozenset(newest)))


def _print(summary: DryRunSummary, minutes: int, calls_per_minute: float, compared: Sequence[Comparison]) -> None:
    console = open_console()
    console.print(_counts_table(summary, minutes, calls_per_minute))
    if compared:
        of = "" if len(compared) == summary.to_queue else f"the newest {len(compared)} of "
        console.print(
            f"\nWhat the rules give for {of}these orders, beside what they were enriched with:", soft_wrap=True
        )
        console.print(comparison_table(compared))
        console.print(comparison_summary(compared), soft_wrap=True)
    if summary.began_after:
        typer.echo(resume_message(summary.began_after), err=True)


def _counts_table(summary: DryRunSummary, minutes: int, calls_per_minute: float) -> Table:
    guests = (
        f", {summary.by_guests} of them guest orders, which need no call to B2B Edition" if summary.by_guests else ""
    )
    rows = {
        "orders": str(summary.orders),
        "already finished": str(summary.known),
        "queued or waiting": str(summary.elsewhere),
        "to be queued": f"{summary.to_queue}{guests}",
        "estimated time": f"{_minutes(minutes)}, at 2 to 3 calls per order and {calls_per_minute:g} calls per minute. "
        "New orders have priority."
        if summary.to_queue
        else "none: there is nothing to do",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _minutes(minutes: int) -> str:
    return "about a minute" if minutes <= 1 else f"about {minutes} minutes"


def parameters(store: str, date_range: DateRange) -> dict[str, Any]:
    """What a backfill was asked for, for scripts."""
    since, until = (moment.isoformat(timespec="seconds") for moment in (date_range.since, date_range.until))
    return {"store": store, "since": since, "until": until, "again": date_range.again}
