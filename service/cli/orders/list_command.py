"""``enrich orders list``: the orders that changed last."""

import asyncio
from typing import Annotated

import typer

from service.cli.common.options import AnyStoreOption, choose_stores, parse_since
from service.cli.common.output import open_console, print_json
from service.cli.orders.entry_format import as_dict, as_table
from service.cli.orders.search import Wanted, find, open_ledger
from service.orders.state.entry import Entry, Status


def list_orders(
    store: AnyStoreOption = None,
    status: Annotated[
        Status | None, typer.Option(help="Only orders that stand so; `--status failed` shows what needs a person.")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only orders with this in their REASON, in capitals or not."),
    ] = None,
    po: Annotated[
        str | None,
        typer.Option("--po", metavar="TEXT", help="Only orders with this in their PO number, in capitals or not."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only orders that changed since: a date, a time (UTC), or 30m, 12h, 7d.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the last changed first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array instead of a table.")] = False,
) -> None:
    """Show the orders that changed last.

    An order must meet every filter that is given. REASON is why an order failed or was skipped; of one that is still
    on its way, it is what has kept it so far, and --reason searches that too.

    Example: enrich orders list --reason "cost center" --since 7d
    """
    wanted = Wanted(status, reason, po, parse_since(since).timestamp() if since else 0.0)
    entries = asyncio.run(_list(store, wanted, limit))
    if as_json:
        print_json([as_dict(entry) for entry in entries])
    else:
        open_console().print(as_table(entries) if entries else "No orders.")


async def _list(store: str | None, wanted: Wanted, limit: int) -> list[Entry]:
    async with open_ledger() as (redis, stores):
        return await find(redis, choose_stores(store, stores), wanted, limit)
