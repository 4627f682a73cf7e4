"""``enrich orders list``: show the orders that changed last."""

import asyncio
from typing import Annotated

import typer

from service.cli.common.options import AnyStoreOption, choose_stores, parse_since
from service.cli.common.output import open_console, print_json
from service.cli.orders.entry_format import as_table
from service.cli.orders.search import OrderFilter, find, open_ledger
from service.orders.entry_report import as_dict
from service.orders.state.order_entry import Entry, Status
from service.orders.state.transitions import WRITES_OFF


def list_orders(
    store: AnyStoreOption = None,
    status: Annotated[
        Status | None,
        typer.Option(
            help="Only orders with this outcome. `--status failed` and `--status waiting` show the orders that "
            "need your attention."
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only orders whose REASON contains this text. Case does not matter."),
    ] = None,
    po: Annotated[
        str | None,
        typer.Option(
            "--po", metavar="TEXT", help="Only orders whose PO number contains this text. Case does not matter."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only orders that changed since then: a date, a time (UTC), or 30m, 12h, 7d ago.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most N orders, the last changed first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
) -> None:
    """Show the orders that changed last.

    Shows only orders that match all given filters. REASON says why an order failed or was skipped. An order that waits
    for the value of a required rule has the reason `value`, with the name of the rule. One that is held because nothing
    is written for its store has `writes_off`, and its values are those that would be sent. For another order that is
    not finished, REASON is the problem that delays it; --reason searches all of these.

    Example: enrich orders list --reason "cost center" --since 7d
    """
    order_filter = OrderFilter(status, reason, po, parse_since(since).timestamp() if since else 0.0)
    entries = asyncio.run(_list(store, order_filter, limit))
    if as_json:
        print_json([as_dict(entry) for entry in entries])
    else:
        open_console().print(as_table(entries) if entries else "No orders.")
        if any(entry.reason == WRITES_OFF for entry in entries):
            typer.echo("Orders with the reason writes_off are held. `enrich stores list` says why.", err=True)


async def _list(store: str | None, order_filter: OrderFilter, limit: int) -> list[Entry]:
    async with open_ledger() as (redis, stores):
        return await find(redis, choose_stores(store, stores), order_filter, limit)
