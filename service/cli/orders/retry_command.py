"""``enrich orders retry``: enrich finished orders again."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from service.cli.common.ledger import open_ledger
from service.cli.common.options import DryRunOption, YesOption, choose_store, choose_stores, confirm, parse_since
from service.cli.common.output import print_json
from service.cli.orders.requeue import (
    RequeueItem,
    RequeueOptions,
    RequeueResult,
    TimeoutOption,
    WaitOption,
    exit_on_failure,
    requeue_orders,
    show_results,
)
from service.errors import ConfigError, Problem
from service.orders.search import OrderFilter, find
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Status

# A filter that matches more orders than this needs a confirmation.
CONFIRM_ABOVE = 20


def retry_orders(
    order_ids: Annotated[
        list[int] | None, typer.Argument(metavar="ORDER", help="The IDs of the orders in the store.", min=1)
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="The store's hash. Default: all stores for a filter; the only configured store for order IDs.",
        ),
    ] = None,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="Retry all failed orders.")] = False,
    status: Annotated[
        Status | None, typer.Option(help="`failed`: the same as --all-failed. No other outcome can be a filter here.")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only failed orders whose reason contains this text. Case does not matter."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="With a filter: only orders that failed since then: a date, a time (UTC), or 30m, 12h, 7d ago."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of text.")] = False,
) -> None:
    """Enrich orders again, after you have fixed the cause.

    Name orders by ID, or select failed orders with a filter. Each order is read again without the cache, the current
    rules are applied, and the values are written to its record. Values of other people on the record are handled as
    existing_values says. You can retry an order with any outcome; an order that waits for a value is attempted at once,
    and a filter never selects it. An order in progress is not queued again; an unknown
    order is reported, and the others are still queued. A filter that matches more than 20 orders asks for confirmation.

    Exit code 1 if an order is unknown, or with --wait if an order failed or was not finished in time.

    Example: enrich orders retry --reason "cost center" --since 7d --wait
    """
    order_filter = _order_filter(order_ids, all_failed, status, reason, since)
    options = RequeueOptions(dry_run, timeout if wait else None, as_json)
    items = asyncio.run(_failed(store, order_filter) if order_filter else _named(store, order_ids or []))
    if order_filter and len(items) > CONFIRM_ABOVE and not dry_run:
        confirm(f"Queue {len(items)} failed orders again?", yes=yes)
    items = asyncio.run(_retry(items, options))
    if as_json:
        print_json([item.as_dict() for item in items])
    elif not items:
        typer.echo("No failed order matches.")
    show_results(items, options)
    exit_on_failure(items, options)


def _order_filter(
    order_ids: Sequence[int] | None, all_failed: bool, status: Status | None, reason: str | None, since: str | None
) -> OrderFilter | None:
    """The filter for failed orders, or None when orders are named by ID. Raises ConfigError."""
    if status not in (None, Status.FAILED):
        raise ConfigError(
            Problem(
                f"--status {status}", "only failed orders can be selected by status.", "Name other orders by their IDs."
            )
        )
    filters = all_failed or status is not None or reason is not None
    if order_ids:
        if filters or since:
            raise ConfigError(
                Problem("ORDER", "cannot be combined with a filter.", "Name orders by ID, or use a filter.")
            )
        return None
    if not filters:
        raise ConfigError(
            Problem("ORDER", "is missing.", "Name orders by ID, or use a filter: --all-failed, --reason TEXT.")
        )
    return OrderFilter(Status.FAILED, reason, since=parse_since(since).timestamp() if since else 0.0)


async def _failed(store: str | None, order_filter: OrderFilter) -> list[RequeueItem]:
    async with open_ledger() as (redis, stores):
        found = await find(redis, choose_stores(store, stores), order_filter)
    return [RequeueItem.planned(entry.store, entry.order_id, entry) for entry in found]


async def _named(store: str | None, order_ids: Sequence[int]) -> list[RequeueItem]:
    async with open_ledger() as (redis, stores):
        name = choose_store(store, stores)
        entries = {entry.order_id: entry for entry in await Ledger(redis).get_many(name, order_ids)}
    return [
        RequeueItem.planned(name, order_id, entries[order_id])
        if order_id in entries
        else RequeueItem(name, order_id, RequeueResult.UNKNOWN)
        for order_id in dict.fromkeys(order_ids)
    ]


async def _retry(items: Sequence[RequeueItem], options: RequeueOptions) -> list[RequeueItem]:
    async with open_ledger() as (redis, _):
        return await requeue_orders(redis, items, "retry", options)
