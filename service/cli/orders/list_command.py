"""``enrich orders list``: show the orders that changed last."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from service.cli.common.ledger import open_ledger
from service.cli.common.options import (
    AnyStoreOption,
    CsvOption,
    JsonArrayOption,
    choose_stores,
    one_format,
    parse_span,
)
from service.cli.common.output import open_console, print_csv, print_json
from service.cli.orders.entry_format import as_table
from service.errors import ConfigError, Problem
from service.orders.entry_report import as_csv, as_dict
from service.orders.failures.failure_kinds import cures_of
from service.orders.search import OrderFilter, find
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
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TEXT",
            help="Only orders whose extra field NAME contains this text. `NAME=` for any text. May be repeated.",
        ),
    ] = None,
    customer: Annotated[
        int | None, typer.Option(metavar="ID", min=1, help="Only orders of the customer with this ID in the store.")
    ] = None,
    company: Annotated[
        int | None,
        typer.Option(
            metavar="ID",
            min=1,
            help="Only orders of the Company with this ID in B2B Edition. Known only where a rule names `company`.",
        ),
    ] = None,
    late: Annotated[
        bool,
        typer.Option(
            "--late",
            help="Only orders that missed their window. Retries and later changes do not count, and neither do orders "
            "that waited for their status or a required value.",
        ),
    ] = False,
    margin_below: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Only orders whose Create was sent with less than so much of the window left."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only orders that changed since then: a date, a time (UTC), or 30m, 12h, 7d ago.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only orders that changed until then. A date means its beginning.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most N orders, the last changed first.")] = 50,
    as_json: JsonArrayOption = False,
    as_csv_: CsvOption = False,
) -> None:
    """Show the orders that changed last.

    Shows only orders that match all given filters. REASON says why an order failed or was skipped. An order that waits
    for the value of a required rule has the reason `value`, with the name of the rule; one that is held because nothing
    is written for its store has `writes_off`, and its values are those that would be sent. For another order that is
    not finished, REASON is the problem that delays it; --reason searches all of these. NOT SENT names the fields that
    were left out, and those where the existing value was kept; MISSED WINDOW says why an order missed its window. These
    two columns are there if an order needs them.

    Needs only Redis: it also works while the stores file is broken or its secrets are missing.

    \b
    Example: enrich orders list --reason "cost center" --since 7d
             enrich orders list --late --since 7d --limit 1000 --csv > late.csv
    """
    one_format(as_json=as_json, as_csv=as_csv_)
    begin, end = parse_span(since, until)
    order_filter = OrderFilter(
        status,
        reason,
        po,
        since=begin.timestamp() if begin else 0.0,
        until=end.timestamp() if end else None,
        customer_id=customer,
        company_id=company,
        fields=dict(map(_parse_field, field or [])),
        margin_below=margin_below,
        late=late,
    )
    entries = asyncio.run(_list(store, order_filter, limit))
    if as_json:
        print_json([as_dict(entry) for entry in entries])
    elif as_csv_:
        print_csv(*as_csv(entries))
    else:
        open_console().print(as_table(entries) if entries else "No orders.")
        if any(entry.reason == WRITES_OFF for entry in entries):
            typer.echo("Orders with the reason writes_off are held. `enrich stores list` says why.", err=True)
        for sentence in cures_of(entries):
            Console(stderr=True, highlight=False).print(Text(sentence), soft_wrap=True)


def _parse_field(text: str) -> tuple[str, str]:
    name, separator, part = text.partition("=")
    if not separator or not name.strip():
        cure = 'Write --field "Cost Center=CC-1".'
        raise ConfigError(Problem(f"--field {text}", "must be a name and a text, with = between them.", cure))
    return name.strip(), part


async def _list(store: str | None, order_filter: OrderFilter, limit: int) -> Sequence[Entry]:
    async with open_ledger(read_only=True) as (redis, stores):
        return await find(redis, choose_stores(store, stores), order_filter, limit)
