"""``enrich preview``: what would be sent for real orders, and why. Reads only."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from service.orders.document.partial_loader import LoadedOrder, load_newest, load_order
from service.orders.preview import Preview, preview, try_expression
from service.orders.state.ledger import Ledger
from service.redis.client import TRANSIENT_ERRORS
from service.rules import Needs
from service.rules.expression import Expression
from service.rules.pattern import Pattern

# Somebody waits, but for many orders there is no way around a whole window of B2B Edition's quota.
LONGEST_WAIT_S = 65.0

EVERYTHING = Needs(
    consignments=True,
    metafields=True,
    customer=True,
    customer_attributes=True,
    customer_form_fields=True,
    user=True,
    company=True,
)

_SCOPES = {
    "metafields": "Orders (read-only)",
    "customer": "Customers (read-only)",
    "user": "B2B Edition",
    "company": "B2B Edition",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command was asked for: either one order or the newest."""

    order_id: int | None
    last: int | None
    document: bool
    expression: Expression | None
    pattern: Pattern | None
    as_json: bool


def show_preview(
    order_id: Annotated[
        int | None, typer.Argument(metavar="ORDER", help="The order's id in the store.", min=1, show_default=False)
    ] = None,
    store: StoreOption = None,
    last: Annotated[
        int | None, typer.Option(min=1, max=250, help="Instead of one order: a table of so many, the newest first.")
    ] = None,
    document: Annotated[
        bool, typer.Option("--document", help="Show all that rules can read of the order, as JSON.")
    ] = False,
    expression: Annotated[
        str | None,
        typer.Option(
            "--try",
            metavar="EXPRESSION",
            help="Evaluate this JMESPath expression instead of the rules: what `from` says.",
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="With --try: search what was found with this pattern, as `match` does."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text and tables.")] = False,
) -> None:
    """Show what would be sent for a real order, and why.

    Sends nothing. For an order it shows the outcome, where each value came from, the body of Create an Order, and what
    B2B Edition's record holds already; of the newest orders (--last), what the rules give. Everything is read from
    BigCommerce anew.

    To find where a store's PO numbers are, and to write the rule for them:

    \b
        enrich preview 250 --document                  look for the PO in all that is known of an order
        enrich preview 250 --try 'order.staff_notes'   see what an expression finds there
        enrich preview 250 --try 'order.staff_notes' --match 'PO[ #:]*([A-Z0-9-]+)'
        enrich preview --last 20 --try '…'             see whether it does so for others
        enrich preview --last 20                       with the rule written: who has a PO, what stays empty

    Example: enrich preview 250 --store abc123
    """
    _check(order_id, last, document=document, tries=expression is not None, matches=match is not None)
    asked = Asked(
        order_id,
        last,
        document,
        None if expression is None else Expression.compile(expression, "--try"),
        None if match is None else Pattern.compile(match, "--match"),
        as_json,
    )
    asyncio.run(_run(asked, store))


def _check(order_id: int | None, last: int | None, *, document: bool, tries: bool, matches: bool) -> None:
    problem = None
    if order_id is not None and last is not None:
        problem = Problem("ORDER and --last", "exclude each other.", "Name one order, or ask for the newest ones.")
    elif document and last is not None:
        problem = Problem("--document and --last", "exclude each other.", "Name the order whose document is wanted.")
    elif document and tries:
        problem = Problem("--document and --try", "exclude each other.", "Take one of them.")
    elif matches and not tries:
        problem = Problem("--match", "goes with --try.", "A rule's own `match` stands in the stores file.")
    elif order_id is None and last is None:
        problem = Problem("ORDER", "is missing.", "Name an order by its id, or ask for the newest: --last 20.")
    if problem:
        raise ConfigError(problem)


async def _run(asked: Asked, wanted: str | None) -> None:
    async with open_session() as session:
        configured = session.store(wanted)
        api = session.api(configured)
        api.longest_wait_s = LONGEST_WAIT_S
        # Not the workers' cache: what somebody has just mended in BigCommerce must show.
        reader = Reader(session, configured, api, Cache(None, configured.store.hash))
        if asked.order_id is None:
            await _show_newest(asked, reader, asked.last or 1)
        elif asked.document:
            await _show_document(asked, reader, asked.order_id)
        elif asked.expression:
            await _show_tried(asked, reader, asked.order_id, asked.expression)
        else:
            await _show_order(asked, reader, asked.order_id)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads for the command, of one store."""

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
                    f"is not there ({missing.operation}: {missing.status}).",
                    f"`enrich preview --last 20` shows the newest of {self.configured.store.hash}.",
                )
            ) from None

    async def newest(self, count: int, needs: Needs) -> list[LoadedOrder]:
        """The documents of the newest orders, with a progress bar on a terminal."""
        with _progress() as tell:
            return await load_newest(self.api, self.cache, count, needs, tell)

    async def preview(self, order_id: int) -> Preview:
        """What would come of an order, as life would find it. Raises what it could not read."""
        gathered = await self.order(order_id, self._needs)
        if gathered.trouble:
            raise gathered.trouble
        configs, record, written = await asyncio.gather(
            self.api.b2b.extra_field_configs(), self._record(order_id), self._written(order_id)
        )
        return preview(self.configured, gathered, configs, record, written)

    async def previews(self, count: int) -> list[Preview]:
        """What would come of the newest orders. Their records are not read."""
        configs = await self.api.b2b.extra_field_configs()
        found = await self.newest(count, self._needs)
        return [preview(self.configured, gathered, configs) for gathered in found]

    @property
    def _needs(self) -> Needs:
        # Whether the buyer is a Company user decides, even where no rule reads the user.
        return replace(self.configured.rules.needs, user=True)

    async def _record(self, order_id: int) -> Record | None:
        try:
            return await self.api.b2b.order(order_id)
        except NotFound:
            return None

    async def _written(self, order_id: int) -> Mapping[str, Sequence[str]]:
        """What we ever sent for the order, as far as a Redis at hand knows."""
        if self.session.redis is None:
            return {}
        try:
            entry = await Ledger(self.session.redis).get(self.configured.store.hash, order_id)
        except TRANSIENT_ERRORS:
            return {}
        return entry.written if entry else {}


async def _show_order(asked: Asked, reader: Reader, order_id: int) -> None:
    shown = await reader.preview(order_id)
    if asked.as_json:
        print_json(tables.as_dict(shown, reader.configured.store.hash))
        return
    console = open_console()
    for part in tables.preview_parts(shown, reader.configured.store.hash):
        console.print(part, soft_wrap=not isinstance(part, Table))  # JSON is copied, a table is looked at


async def _show_newest(asked: Asked, reader: Reader, count: int) -> None:
    store = reader.configured.store.hash
    console = open_console()
    if asked.expression:
        needs = Needs.of([asked.expression.reads])
        found = await reader.newest(count, needs)
        tried = [(each, try_expression(asked.expression, asked.pattern, each.document)) for each in found]
        if asked.as_json:
            print_json([tables.tried_as_dict(each, one, store) for each, one in tried])
        elif tried:
            console.print(tables.tried_table(tried, with_pattern=asked.pattern is not None))
            console.print(tables.tried_summary(tried))
        else:
            console.print("No orders.")
        return
    previews = await reader.previews(count)
    if asked.as_json:
        print_json([tables.as_dict(each, store) for each in previews])
    elif previews:
        console.print(tables.previews_table(previews))
        console.print(tables.summary(previews), soft_wrap=True)
    else:
        console.print("No orders.")


async def _show_document(asked: Asked, reader: Reader, order_id: int) -> None:
    gathered = await reader.order(order_id, EVERYTHING)
    _tell_gaps(gathered)
    console = open_console()
    if console.is_terminal and not asked.as_json:
        console.print(tables.coloured_json(gathered.document), soft_wrap=True)
    else:
        print_json(gathered.document)


async def _show_tried(asked: Asked, reader: Reader, order_id: int, expression: Expression) -> None:
    gathered = await reader.order(order_id, Needs.of([expression.reads]))
    _tell_gaps(gathered)
    tried = try_expression(expression, asked.pattern, gathered.document)
    if asked.as_json:
        print_json(tables.tried_as_dict(gathered, tried, reader.configured.store.hash))
    else:
        open_console().print(tables.tried_facts(tried, with_pattern=asked.pattern is not None))


def _tell_gaps(gathered: LoadedOrder) -> None:
    """Say on stderr which parts of the document are empty because they could not be had."""
    for part, error in gathered.gaps.items():
        if isinstance(error, NoCompanyUser):
            line = f"{part}: is empty: {error}."
        else:
            line = f"{part}: cannot be read ({error})."
            if isinstance(error, CredentialsRefused):
                line += f" Does the access token have the scope {_SCOPES[part]}?"
        typer.echo(line, err=True)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("Reading orders"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield tell
