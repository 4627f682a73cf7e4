"""``enrich orders retry``: orders that have ended are enriched anew."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from service.cli.common.options import DryRunOption, YesOption, choose_store, choose_stores, confirm, parse_since
from service.cli.common.output import print_json
from service.cli.orders.requeue import (
    Item,
    Manner,
    Result,
    TimeoutOption,
    WaitOption,
    carry_out,
    exit_unless_well,
    show,
)
from service.cli.orders.search import Wanted, find, open_ledger
from service.errors import ConfigError, Problem
from service.orders.state.entry import Status
from service.orders.state.ledger import Ledger

# A filter that takes more orders than this is asked about first.
MANY = 20


def retry_orders(
    order_ids: Annotated[
        list[int] | None, typer.Argument(metavar="ORDER", help="The orders' ids in the store.", min=1)
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="The store's hash. Left out: a filter takes all stores' orders, ids are those of the only store.",
        ),
    ] = None,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="All failed orders.")] = False,
    status: Annotated[
        Status | None, typer.Option(help="`failed`, as for `list`: the same as --all-failed. Others by their ids.")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only failed orders with this in their reason, in capitals or not."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Of these, only orders that failed since: a date, a time (UTC), or 30m, 12h, 7d."),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array instead of lines.")] = False,
) -> None:
    """Enrich orders anew, after what kept them has been mended.

    Name orders, or let a filter take failed ones. Each is read again, with the rules as they are now and nothing from
    the cache, and its values are put onto its record; what somebody else wrote there is treated as ever. An order may
    have ended in any way; one that is still on its way is not queued twice, and one that is not known is refused
    without hindering the others. More than 20 orders by a filter have to be agreed to.

    Exit code 1 if an order is not known, and with --wait if any has failed or has not ended in time.

    Example: enrich orders retry --reason "cost center" --since 7d --wait
    """
    wanted = _wanted(order_ids, all_failed, status, reason, since)
    manner = Manner(dry_run, timeout if wait else None, as_json)
    items = asyncio.run(_failed(store, wanted) if wanted else _named(store, order_ids or []))
    if wanted and len(items) > MANY and not dry_run:
        confirm(f"Queue {len(items)} failed orders anew?", yes=yes)
    items = asyncio.run(_retry(items, manner))
    if as_json:
        print_json([item.as_dict() for item in items])
    elif not items:
        typer.echo("No failed order fits.")
    show(items, manner)
    exit_unless_well(items, manner)


def _wanted(
    order_ids: Sequence[int] | None, all_failed: bool, status: Status | None, reason: str | None, since: str | None
) -> Wanted | None:
    """Which failed orders the filters take; None when orders are named instead."""
    if status not in (None, Status.FAILED):
        raise ConfigError(
            Problem(
                f"--status {status}", "is no filter here: only failed orders are taken.", "Name others by their ids."
            )
        )
    filters = all_failed or status is not None or reason is not None
    if order_ids:
        if filters or since:
            raise ConfigError(Problem("ORDER", "cannot stand beside a filter.", "Name orders, or filter failed ones."))
        return None
    if not filters:
        raise ConfigError(
            Problem("ORDER", "is missing.", "Name orders, or take failed ones: --all-failed, --reason TEXT.")
        )
    return Wanted(Status.FAILED, reason, since=parse_since(since).timestamp() if since else 0.0)


async def _failed(store: str | None, wanted: Wanted) -> list[Item]:
    async with open_ledger() as (redis, stores):
        found = await find(redis, choose_stores(store, stores), wanted)
    return [Item.planned(entry.store, entry.order_id, entry) for entry in found]


async def _named(store: str | None, order_ids: Sequence[int]) -> list[Item]:
    async with open_ledger() as (redis, stores):
        name = choose_store(store, stores)
        entries = {entry.order_id: entry for entry in await Ledger(redis).get_many(name, order_ids)}
    return [
        Item.planned(name, order_id, entries[order_id]) if order_id in entries else Item(name, order_id, Result.UNKNOWN)
        for order_id in dict.fromkeys(order_ids)
    ]


async def _retry(items: Sequence[Item], manner: Manner) -> list[Item]:
    async with open_ledger() as (redis, _):
        return await carry_out(redis, items, "retry", manner)
