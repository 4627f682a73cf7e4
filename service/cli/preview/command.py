"""``enrich preview``: show what would be sent for real orders, and why. Read-only."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from service.bigcommerce import QuotaWaitingApi
from service.bigcommerce.models import Record
from service.cli.common.options import StoreOption
from service.cli.common.output import open_console, print_json
from service.cli.common.session import Session, open_session
from service.cli.preview import tables
from service.configuration import ConfiguredStore
from service.errors import ConfigError, CredentialsRefused, NotFound, Problem
from service.orders.document.cache import Cache
from service.orders.document.loading import NoCompanyUser
from service.orders.document.partial_loader import LoadedOrder, load_newest, load_order, of_company
from service.orders.preview import Preview, preview, try_expression
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry
from service.orders.state.per_store.super_admins import SuperAdminBook, SuperAdmins
from service.redis.client import TRANSIENT_ERRORS
from service.rules import Needs
from service.rules.expression import Expression
from service.rules.pattern import Pattern

# A person waits, but many orders may need a whole window of B2B Edition's quota (60 s).
QUOTA_TIMEOUT_S = 65.0

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
    """The command's options: either one order or the newest ones."""

    order_id: int | None
    last: int | None
    document: bool
    expression: Expression | None
    pattern: Pattern | None
    as_json: bool


def show_preview(
    order_id: Annotated[
        int | None, typer.Argument(metavar="ORDER", help="The ID of the order in the store.", min=1, show_default=False)
    ] = None,
    store: StoreOption = None,
    last: Annotated[
        int | None, typer.Option(min=1, max=250, help="Show a table of the N newest orders instead of one order.")
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

    Example: enrich preview 250 --store abc123
    """
    _check(order_id, last, document=document, tries=expression is not None, matches=match is not None)
    options = PreviewOptions(
        order_id,
        last,
        document,
        None if expression is None else Expression.compile(expression, "--try"),
        None if match is None else Pattern.compile(match, "--match"),
        as_json,
    )
    asyncio.run(_run(options, store))


def _check(order_id: int | None, last: int | None, *, document: bool, tries: bool, matches: bool) -> None:
    problem = None
    if order_id is not None and last is not None:
        problem = Problem(
            "ORDER and --last", "cannot be combined.", "Name one order, or use --last for the newest ones."
        )
    elif document and last is not None:
        problem = Problem("--document and --last", "cannot be combined.", "Name the order whose document you want.")
    elif document and tries:
        problem = Problem("--document and --try", "cannot be combined.", "Use one of them.")
    elif matches and not tries:
        problem = Problem("--match", "needs --try.", "The `match` of a rule is in the stores file.")
    elif order_id is None and last is None:
        problem = Problem("ORDER", "is missing.", "Name an order by its ID, or use --last 20 for the newest ones.")
    if problem:
        raise ConfigError(problem)


async def _run(options: PreviewOptions, wanted: str | None) -> None:
    async with open_session() as session:
        configured = session.store(wanted)
        api = session.api(configured)
        api.max_wait_s = QUOTA_TIMEOUT_S
        # Not the workers' cache: a value that was just fixed in BigCommerce must show.
        reader = Reader(session, configured, api, Cache(None, configured.store.hash))
        if options.order_id is None:
            await _show_newest(options, reader, options.last or 1)
        elif options.document:
            await _show_document(options, reader, options.order_id)
        elif options.expression:
            await _show_tried(options, reader, options.order_id, options.expression)
        else:
            await _show_order(options, reader, options.order_id)


@dataclass(frozen=True, slots=True)
class Reader:
    """Loads orders, records and entries of one store."""

    session: Session
    configured: ConfiguredStore
    api: QuotaWaitingApi
    cache: Cache

    async def order(self, order_id: int, needs: Needs) -> LoadedOrder:
        """One order's document. Raises ConfigError when there is no such order."""
        try:
            return await load_order(self.api, self.cache, order_id, needs)
        except NotFound as missing:
            raise ConfigError(
                Problem(
                    f"order {order_id}",
                    f"was not found ({missing.operation}: {missing.status}).",
                    f"Run `enrich preview --last 20` to see the newest orders of {self.configured.store.hash}.",
                )
            ) from None

    async def newest(self, count: int, needs: Needs) -> list[LoadedOrder]:
        """The documents of the newest orders, with a progress bar on a terminal."""
        with _progress() as report:
            return await load_newest(self.api, self.cache, count, needs, report)

    async def preview(self, order_id: int) -> Preview:
        """The preview of one order. Raises the error when something could not be read."""
        loaded = await self.order(order_id, self._needs)
        if loaded.trouble:
            raise loaded.trouble
        configs, record, entry = await asyncio.gather(
            self.api.b2b.extra_field_configs(), self._record(loaded), self._entry(order_id)
        )
        company_id = record.company_id if record else None
        if company_id or loaded.customer_id in await self._super_admins():
            loaded = await of_company(self.api, self.cache, loaded, self._needs, company_id)
            if loaded.trouble:
                raise loaded.trouble
        return preview(
            self.configured, loaded, configs, record, entry.written, by_hand=entry.values_by_hand, now=time.time()
        )

    async def previews(self, count: int) -> list[Preview]:
        """The previews of the newest orders, without their records."""
        configs = await self.api.b2b.extra_field_configs()
        found, known = await self.newest(count, self._needs), await self._super_admins()
        orders = [
            await of_company(self.api, self.cache, loaded, self._needs, None) if loaded.customer_id in known else loaded
            for loaded in found
        ]
        return [preview(self.configured, loaded, configs, now=time.time()) for loaded in orders]

    @property
    def _needs(self) -> Needs:
        # The user is needed even if no rule names it: an order is skipped if its buyer is not a Company user.
        return replace(self.configured.rules.needs, user=True)

    async def _record(self, loaded: LoadedOrder) -> Record | None:
        if self._needs.record:  # then it is in the document
            return Record.model_validate(loaded.document["record"]) if loaded.document["record"] else None
        try:
            return await self.api.b2b.order(loaded.order_id)
        except NotFound:
            return None

    async def _super_admins(self) -> SuperAdmins:
        """The Super Admins that the workers know; nobody without Redis."""
        if self.session.redis is None:
            return SuperAdmins()
        try:
            return await SuperAdminBook(self.session.redis).read(self.configured.store.hash)
        except TRANSIENT_ERRORS:
            return SuperAdmins()

    async def _entry(self, order_id: int) -> Entry:
        """What is known of the order, from Redis; nothing without Redis."""
        store = self.configured.store.hash
        nothing = Entry(store, order_id)
        if self.session.redis is None:
            return nothing
        try:
            return await Ledger(self.session.redis).get(store, order_id) or nothing
        except TRANSIENT_ERRORS:
            return nothing


async def _show_order(options: PreviewOptions, reader: Reader, order_id: int) -> None:
    shown = await reader.preview(order_id)
    if options.as_json:
        print_json(tables.as_dict(shown, reader.configured.store.hash))
        return
    console = open_console()
    for part in tables.preview_parts(shown, reader.configured.store.hash):
        console.print(part, soft_wrap=not isinstance(part, Table))  # JSON must not be folded: people copy it


async def _show_newest(options: PreviewOptions, reader: Reader, count: int) -> None:
    store = reader.configured.store.hash
    console = open_console()
    if options.expression:
        needs = Needs.of([options.expression.reads])
        found = await reader.newest(count, needs)
        tried = [(each, try_expression(options.expression, options.pattern, each.document)) for each in found]
        if options.as_json:
            print_json([tables.tried_as_dict(each, one, store) for each, one in tried])
        elif tried:
            console.print(tables.tried_table(tried, with_pattern=options.pattern is not None))
            console.print(tables.tried_summary(tried))
        else:
            console.print("No orders.")
        return
    previews = await reader.previews(count)
    if options.as_json:
        print_json([tables.as_dict(each, store) for each in previews])
    elif previews:
        console.print(tables.previews_table(previews))
        console.print(tables.summary(previews), soft_wrap=True)
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


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("Reading orders"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield report
