"""``enrich preview``: show what would be sent for real orders, and why. Read-only."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from service.cli.common.comparison_tables import (
    comparison_as_csv,
    comparison_as_dict,
    comparison_summary,
    comparison_table,
)
from service.cli.common.options import CsvOption, StoreOption, one_format, parse_span
from service.cli.common.output import open_console, print_csv, print_json
from service.cli.common.session import open_session
from service.cli.preview import csv_tables, tables
from service.cli.preview.reader import Reader, Selection, open_reader
from service.configuration import ConfiguredStore, load_configuration
from service.errors import ConfigError, CredentialsRefused, Problem
from service.orders.document.loading import NoCompanyUser
from service.orders.document.partial_loader import LoadedOrder
from service.orders.preview import try_expression
from service.rules import Needs
from service.rules.expression import Expression
from service.rules.pattern import Pattern
from service.stores import did_you_mean

MOST_ORDERS = 250
"""The most that one list call of the core API gives."""

ALL_ROOTS = Needs.of([Expression.compile("@", "--document").reads])

_SCOPES = {
    "metafields": "Orders (read-only)",
    "customer": "Customers (read-only)",
    "user": "B2B Edition",
    "company": "B2B Edition",
    "cart": "Carts (read-only)",
    "quote": "B2B Edition",
    "record": "B2B Edition",
    "transactions": "Order Transactions (read-only)",
}


@dataclass(frozen=True, slots=True)
class PreviewOptions:
    """The command's options: either one order or the newest ones, ``against`` another stores file or not."""

    order_id: int | None
    selected: Selection
    against: Path | None
    document: bool
    expression: Expression | None
    pattern: Pattern | None
    as_json: bool
    as_csv: bool


def show_preview(
    order_id: Annotated[
        int | None, typer.Argument(metavar="ORDER", help="The ID of the order in the store.", min=1, show_default=False)
    ] = None,
    store: StoreOption = None,
    last: Annotated[
        int | None, typer.Option(min=1, max=250, help="Show a table of the N newest orders instead of one order.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only orders placed since then: a date, a time (UTC), or 30m, 12h, 7d ago. At most 250."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only orders placed until then.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare with the rules of this stores file: what they would send beside what is sent now.",
        ),
    ] = None,
    document: Annotated[
        bool, typer.Option("--document", help="Show everything that rules can read from the order, as JSON.")
    ] = False,
    expression: Annotated[
        str | None,
        typer.Option(
            "--try",
            metavar="EXPRESSION",
            help="Evaluate this JMESPath expression instead of the rules, like `from` in a rule.",
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN", help="With --try: apply this regular expression to the result, like `match` in a rule."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text and tables.")] = False,
    as_csv: CsvOption = False,
) -> None:
    """Show what would be sent for a real order, and why.

    Sends nothing. For one order it shows the outcome, the source of each value, the body of Create an Order, and what
    is on B2B Edition's record already. For the newest orders (--last) it shows the values that the rules give.
    Everything is read from BigCommerce, nothing from the cache.

    To find where a store's PO numbers are, and to write the rule for them:

    \b
        enrich preview 250 --document                  look for the PO number in the order's data
        enrich preview 250 --try 'order.staff_notes'   see what an expression gives
        enrich preview 250 --try 'order.staff_notes' --match 'PO[ #:]*([A-Z0-9-]+)'
        enrich preview --last 20 --try '…'             see what it gives for other orders
        enrich preview --last 20                       after you wrote the rule: see which orders have a PO number

    Before you change rules that are in use, write the new ones into a copy of the stores file:

    \b
        enrich preview --last 50 --against stores.new.toml
        enrich preview --since 2026-01-01 --until 2026-02-01 --against stores.new.toml --csv > january.csv

    Example: enrich preview 250 --store abc123
    """
    one_format(as_json=as_json, as_csv=as_csv)
    begin, end = parse_span(since, until)
    many = last is not None or begin is not None or end is not None
    _check(order_id, many=many, document=document, tries=expression is not None, matches=match is not None)
    if against and (document or expression is not None):
        raise ConfigError(Problem("--against", "compares rules.", "Leave out --document and --try."))
    if as_csv and not many:
        raise ConfigError(
            Problem("--csv", "is for tables of several orders.", "Use --last 20, or --json for one order.")
        )
    options = PreviewOptions(
        order_id,
        Selection(last or MOST_ORDERS, begin, end),
        against,
        document,
        None if expression is None else Expression.compile(expression, "--try"),
        None if match is None else Pattern.compile(match, "--match"),
        as_json,
        as_csv,
    )
    asyncio.run(_run(options, store))


def _check(order_id: int | None, *, many: bool, document: bool, tries: bool, matches: bool) -> None:
    problem = None
    if order_id is not None and many:
        problem = Problem(
            "ORDER and --last", "cannot be combined.", "Name one order, or use --last, --since or --until for several."
        )
    elif document and many:
        problem = Problem("--document and --last", "cannot be combined.", "Name the order whose document you want.")
    elif document and tries:
        problem = Problem("--document and --try", "cannot be combined.", "Use one of them.")
    elif matches and not tries:
        problem = Problem("--match", "needs --try.", "The `match` of a rule is in the stores file.")
    elif order_id is None and not many:
        problem = Problem("ORDER", "is missing.", "Name an order by its ID, or use --last 20 for the newest ones.")
    if problem:
        raise ConfigError(problem)


async def _run(options: PreviewOptions, wanted: str | None) -> None:
    async with open_session() as session:
        reader = open_reader(session, session.store(wanted))
        if options.against:
            await _show_comparison(options, reader, _other_rules(options.against, reader.configured.store.hash))
        elif options.order_id is None:
            await _show_newest(options, reader)
        elif options.document:
            await _show_document(options, reader, options.order_id)
        elif options.expression:
            await _show_tried(options, reader, options.order_id, options.expression)
        else:
            await _show_order(options, reader, options.order_id)


def _other_rules(path: Path, store: str) -> ConfiguredStore:
    """The store in another stores file. Raises ConfigError."""
    stores = load_configuration(path).stores
    if store not in stores:
        cure = did_you_mean(store, list(stores)) or "Copy the tables of the store into it."
        raise ConfigError(Problem(str(path), f"has no [stores.{store}].", cure))
    return stores[store]


async def _show_comparison(options: PreviewOptions, reader: Reader, other: ConfiguredStore) -> None:
    selected, store = options.selected, reader.configured.store.hash
    if options.order_id is not None:
        selected = Selection(1, only=frozenset({options.order_id}))
    found = await reader.compared(selected, other)
    if options.order_id is not None and not found:
        raise reader.unknown_order(options.order_id)
    _note_limit(options, len(found))
    if options.as_json:
        print_json([comparison_as_dict(each, store) for each in found])
    elif options.as_csv:
        print_csv(*comparison_as_csv(found, store))
    elif found:
        open_console().print(comparison_table(found))
        typer.echo(comparison_summary(found))
    else:
        typer.echo("No orders.")


def _note_limit(options: PreviewOptions, found: int) -> None:
    """Say on stderr that there may be more orders in a range of dates than are shown."""
    selected = options.selected
    if (selected.since or selected.until) and found == selected.count:
        typer.echo(f"Only the newest {found} orders of this time are shown; there may be more.", err=True)


async def _show_order(options: PreviewOptions, reader: Reader, order_id: int) -> None:
    shown = await reader.preview(order_id)
    if options.as_json:
        print_json(tables.as_dict(shown, reader.configured.store.hash))
        return
    console = open_console()
    for part in tables.preview_parts(shown, reader.configured.store.hash):
        console.print(part, soft_wrap=not isinstance(part, Table))  # JSON must not be folded: people copy it


async def _show_newest(options: PreviewOptions, reader: Reader) -> None:
    if options.expression:
        await _show_newest_tried(options, reader, options.expression)
        return
    store, console = reader.configured.store.hash, open_console()
    previews = await reader.previews(options.selected)
    _note_limit(options, len(previews))
    if options.as_json:
        print_json([tables.as_dict(each, store) for each in previews])
    elif options.as_csv:
        print_csv(*csv_tables.previews(previews, store))
    elif previews:
        console.print(tables.previews_table(previews))
        console.print(tables.summary(previews), soft_wrap=True)
    else:
        console.print("No orders.")


async def _show_newest_tried(options: PreviewOptions, reader: Reader, expression: Expression) -> None:
    store, console = reader.configured.store.hash, open_console()
    found = await reader.newest(options.selected, Needs.of([expression.reads]))
    _note_limit(options, len(found))
    tried = [(each, try_expression(expression, options.pattern, each.document)) for each in found]
    if options.as_json:
        print_json([tables.tried_as_dict(each, one, store) for each, one in tried])
    elif options.as_csv:
        print_csv(*csv_tables.tried(tried, store))
    elif tried:
        console.print(tables.tried_table(tried, with_pattern=options.pattern is not None))
        console.print(tables.tried_summary(tried))
    else:
        console.print("No orders.")


async def _show_document(options: PreviewOptions, reader: Reader, order_id: int) -> None:
    loaded = await reader.order(order_id, ALL_ROOTS)
    _print_gaps(loaded)
    console = open_console()
    if console.is_terminal and not options.as_json:
        console.print(tables.coloured_json(loaded.document), soft_wrap=True)
    else:
        print_json(loaded.document)


async def _show_tried(options: PreviewOptions, reader: Reader, order_id: int, expression: Expression) -> None:
    loaded = await reader.order(order_id, Needs.of([expression.reads]))
    _print_gaps(loaded)
    tried = try_expression(expression, options.pattern, loaded.document)
    if options.as_json:
        print_json(tables.tried_as_dict(loaded, tried, reader.configured.store.hash))
    else:
        open_console().print(tables.tried_facts(tried, with_pattern=options.pattern is not None))


def _print_gaps(loaded: LoadedOrder) -> None:
    """Print on stderr which parts of the document could not be loaded, and why."""
    for part, error in loaded.gaps.items():
        if isinstance(error, NoCompanyUser):
            line = f"{part} is empty: {error}."
        else:
            line = f"{part} could not be read: {error}."
            if isinstance(error, CredentialsRefused):
                line += f" The access token may lack the scope {_SCOPES[part]}."
        typer.echo(line, err=True)
