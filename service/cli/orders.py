"""``enrich orders``: what happened to each order."""

import asyncio
import heapq
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from service.cli.options import StoreOption, choose_store, find_redis, open_console, parse_since
from service.errors import ConfigError, Problem
from service.orders.entry import Entry, Stage, Status
from service.orders.ledger import Ledger
from service.redisdb import connect
from service.rules import load_configuration
from service.settings import Settings

app = typer.Typer(help="What happened to each order.", no_args_is_help=True)

COLOURS = {
    Status.CREATED: "green",
    Status.UPDATED: "green",
    Status.UNCHANGED: "green",
    Status.FAILED: "red",
    Status.SKIPPED: "dim",
}


@app.command("list")
def list_orders(
    store: StoreOption = None,
    status: Annotated[
        Status | None, typer.Option(help="Only orders that stand so; `--status failed` shows what needs a person.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only orders that changed since: a date, a time (UTC), or 30m, 12h, 7d.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the last changed first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array instead of a table.")] = False,
) -> None:
    """Show the orders that changed last.

    Example: enrich orders list --status failed --since 7d
    """
    back_to = parse_since(since).timestamp() if since else 0.0
    entries = asyncio.run(_list(store, status, back_to, limit))
    if as_json:
        typer.echo(json.dumps([as_dict(entry) for entry in entries], indent=2, ensure_ascii=False))
    else:
        open_console().print(_table(entries) if entries else "No orders.")


@app.command("show")
def show_order(
    order_id: Annotated[int, typer.Argument(metavar="ORDER", help="The order's id in the store.", min=1)],
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object instead of text.")] = False,
) -> None:
    """Show what happened to one order, and where its ten seconds went.

    Example: enrich orders show 250 --store abc123
    """
    entry = asyncio.run(_show(store, order_id))
    if as_json:
        typer.echo(json.dumps(as_dict(entry), indent=2, ensure_ascii=False))
        return
    console = open_console()
    console.print(_facts(entry))
    console.print(_timeline(entry))


def as_dict(entry: Entry) -> dict[str, Any]:
    """An entry for scripts: times as ISO 8601, the timeline in milliseconds since the order."""
    return {
        "store": entry.store,
        "order_id": entry.order_id,
        "outcome": entry.status.value,
        "reason": entry.reason,
        "verified": entry.verified,
        "po_number": entry.po_number,
        "fields": entry.fields,
        "kept": entry.kept,
        "dropped": entry.dropped,
        "trouble": None if entry.status.is_final else entry.trouble,
        "source": entry.source,
        "webhook_id": entry.webhook_id,
        "customer_id": entry.customer_id,
        "attempts": entry.attempts,
        "upstream_calls": entry.upstream_calls,
        "sent": asdict(entry.sent) if entry.sent else None,
        "ended_at": _iso(entry.ended_at),
        "order_created_at": _iso(entry.times.get(Stage.CREATED)),
        "timeline_ms": {stage.value: _ms(entry.age_at(stage)) for stage in Stage if stage in entry.times},
    }


async def _list(store: str | None, status: Status | None, since: float, limit: int) -> list[Entry]:
    async with _ledger() as (ledger, stores):
        wanted = [choose_store(store, stores)] if store else stores
        found = [entry for name in wanted for entry in await _newest(ledger, name, status, since, limit)]
    return heapq.nlargest(limit, found, key=_changed_at)


async def _newest(ledger: Ledger, store: str, status: Status | None, since: float, limit: int) -> list[Entry]:
    found: list[Entry] = []
    async for entry in ledger.entries(store, failed_only=status is Status.FAILED, since=since):
        if status is None or entry.status is status:
            found.append(entry)
            if len(found) == limit:
                break
    return found


async def _show(store: str | None, order_id: int) -> Entry:
    async with _ledger() as (ledger, stores):
        name = choose_store(store, stores)
        entry = await ledger.get(name, order_id)
    if entry is None:
        raise ConfigError(
            Problem(
                f"order {order_id}",
                f"is not known for store {name}.",
                "Entries are kept for 30 days (failures 90); `enrich orders list` shows what there is.",
            )
        )
    return entry


@asynccontextmanager
async def _ledger() -> AsyncIterator[tuple[Ledger, list[str]]]:
    settings = Settings.load()
    redis_url = find_redis(settings)
    stores = list(load_configuration(settings.enrich_config).stores)
    async with connect(redis_url) as redis:
        yield Ledger(redis), stores


def _table(entries: list[Entry]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("CHANGED (UTC)", "STORE", "ORDER", "OUTCOME", "VERIFIED", "PO NUMBER"):
        table.add_column(column, no_wrap=True)
    table.add_column("SENT AT", justify="right", no_wrap=True)
    table.add_column("REASON", overflow="fold")
    for entry in entries:
        sent = entry.age_at(Stage.SENT)
        table.add_row(
            datetime.fromtimestamp(_changed_at(entry), UTC).strftime("%Y-%m-%d %H:%M:%S"),
            entry.store,
            str(entry.order_id),
            Text(entry.status.value, COLOURS.get(entry.status, "yellow")),
            {True: "yes", False: "no", None: ""}[entry.verified],
            Text(entry.po_number or ""),  # shoppers' and BigCommerce's words are not rich's markup
            f"{sent:.1f} s" if sent is not None else "",
            Text(_why(entry)),
        )
    return table


def _facts(entry: Entry) -> Table:
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    rows = {
        "order": f"{entry.order_id} of {entry.store}",
        "outcome": entry.status.value + (f": {_why(entry)}" if _why(entry) else ""),
        "verified": {True: "yes", False: "no", None: "" if entry.status.is_final else "not yet"}[entry.verified],
        "PO number": entry.po_number or "none",
        **{f"field {name}": value for name, value in entry.fields.items()},
        **{f"left out {name}": reason for name, reason in entry.dropped.items()},
        **({"kept": ", ".join(entry.kept) + " (somebody else's value stays)"} if entry.kept else {}),
        "attempts": f"{entry.attempts}, {entry.upstream_calls} calls to BigCommerce",
        "told by": entry.source or "",
    }
    for name, value in rows.items():
        facts.add_row(Text(name), Text(value))
    return facts


def _timeline(entry: Entry) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("STAGE", no_wrap=True)
    table.add_column("MS SINCE THE ORDER", justify="right")
    for stage in Stage:
        if stage in entry.times:
            age = _ms(entry.age_at(stage))
            table.add_row(stage.value.replace("_", " "), "" if age is None else str(age))
    return table


def _why(entry: Entry) -> str:
    return entry.reason or ("" if entry.status.is_final else entry.trouble or "")


def _changed_at(entry: Entry) -> float:
    return entry.ended_at or max(entry.times.values(), default=0.0)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
