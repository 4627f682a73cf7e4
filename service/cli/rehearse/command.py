"""``enrich rehearse``: measure on a test store what BigCommerce's documentation leaves open."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service import audit
from service.bigcommerce import Priority, StoreApi
from service.bigcommerce.models import to_int
from service.checks.access.upstream_errors import SCOPES_AT
from service.cli.common.options import StoreOption, YesOption, choose_store, confirm
from service.cli.common.output import open_console, print_json
from service.cli.common.session import Session, open_session
from service.cli.common.stopping import EXIT_STOPPED, run_until_stopped
from service.cli.common.writes import require_writes
from service.configuration import load_configuration
from service.errors import ConfigError, CredentialsRefused, NotFound, Problem
from service.orders.facts.fact import Fact, Value
from service.orders.facts.store_facts import Facts
from service.orders.rehearsal.lines import Schedule
from service.orders.rehearsal.marked_orders import MarkedOrders
from service.orders.rehearsal.measurement import Measurement, Verdict, facts_of
from service.orders.rehearsal.rehearsal import ORDERS, Rehearsal
from service.orders.rehearsal.run import Run
from service.orders.rehearsal.webhook_watch import WebhookWatch
from service.orders.state.keys import rehearsal_lock_key
from service.orders.state.per_store.run_lock import single_run
from service.orders.state.queue import Queue
from service.settings import Settings

COLOURS = {
    Verdict.AS_DOCUMENTED: "green",
    Verdict.DIFFERS: "yellow",
    Verdict.NOT_DOCUMENTED: "",
    Verdict.NOT_MEASURED: "dim",
}
SCHEDULE = Schedule()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run. ``kept`` says whether the facts are kept; ``left`` are orders that were not cancelled."""

    store: str
    customer_id: int
    placed: list[int]
    left: list[int]
    measurements: list[Measurement]
    facts: dict[Fact, Value]
    kept: bool
    stopped: bool

    @property
    def exit_code(self) -> int:
        """0 when all went well, 1 when an order was left, 130 when the run was stopped."""
        return EXIT_STOPPED if self.stopped else int(bool(self.left))


def rehearse(
    store: StoreOption = None,
    customer: Annotated[
        int | None,
        typer.Option(metavar="ID", min=1, help="The customer who orders: a Company user. Default: the first one."),
    ] = None,
    yes: YesOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of a table.")] = False,
) -> None:
    """Measure on a test store what is not documented.

    BigCommerce's documentation leaves some things open, and stores differ in them. Use a store of yours that is meant
    for tests. The command places three small orders of a Company user by API, writes on their B2B Edition records, and
    cancels the orders, also when it is stopped. It takes about a minute. The service leaves these orders alone: they
    are skipped as "rehearsal". The token needs the scope Orders: modify. A store is rehearsed once at a time.

    What is found is kept for 30 days as the store's facts. The service then goes by it: which name it writes extra
    fields under, whether it reads lists. `enrich check` shows the facts. Webhooks are measured only while receiver and
    workers run.

    Exit code 0: measured. 1: a test order could not be cancelled. 2: wrong usage, or BigCommerce did not answer. 130:
    stopped.

    Example: enrich rehearse --store abc123
    """
    name = choose_store(store, list(load_configuration(Settings.load().enrich_config).stores))
    question = f"Place {ORDERS} test orders in store {name}, and cancel them afterwards? It must be a store for tests."
    confirm(question, yes=yes)
    outcome = asyncio.run(_run(name, customer))
    if as_json:
        print_json(_as_dict(outcome))
    else:
        _show(open_console(), outcome)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


async def _run(name: str, customer: int | None) -> Outcome:
    async with open_session() as session:
        await require_writes(session.redis, session.store(name), "enrich rehearse")
        api = session.api(session.store(name))
        api.priority = Priority.CREATE  # a Create at a certain second must not wait for quota
        customer_id = await _customer(api, customer)
        orders = MarkedOrders(api, customer_id)
        async with AsyncExitStack() as exits:
            if not await _lock(exits, session, name) and (other := await orders.recent()):
                raise _perhaps_running(name, other)
            return await _rehearse(session, name, api, orders)


async def _rehearse(session: Session, name: str, api: StoreApi, orders: MarkedOrders) -> Outcome:
    watch, no_watch = await _open_watch(session, name)
    with _progress() as report:
        rehearsal = Rehearsal(Run(api, orders, SCHEDULE, report=report), watch=watch, no_watch=no_watch)
        left: list[int] = []
        try:
            if leftovers := await orders.cancel_leftovers():
                report(f"cancelled {len(leftovers)} test orders of an earlier run")
            await audit.record(session.redis, audit.Action(audit.system_user(), audit.ActionName.REHEARSE, name))
            stopped = not await run_until_stopped(rehearsal.measure())
        except CredentialsRefused as refused:
            raise _without_scope(refused) if refused.status == 403 and not orders.placed else refused from None
        finally:
            if orders.placed:
                report("cancelling the test orders")
            left = await orders.cancel_all()
            await _close(watch)
            if left:
                _print_left(left)
    facts = facts_of(rehearsal.measurements)
    kept = await _keep(session, name, facts)
    return Outcome(name, orders.customer_id, orders.placed, left, rehearsal.measurements, facts, kept, stopped)


async def _lock(exits: AsyncExitStack, session: Session, name: str) -> bool:
    """Take the store's lock, as two runs would cancel each other's orders; False where no Redis can hold one."""
    if session.redis is None:
        return False
    try:
        await exits.enter_async_context(
            single_run(session.redis, rehearsal_lock_key(name), what=f"rehearsal of {name}")
        )
    except RedisError:
        return False
    return True


async def _customer(api: StoreApi, wanted: int | None) -> int:
    """The customer who orders. Raises ConfigError where it is not a Company user, or the store has none."""
    if wanted is None:
        users = await api.b2b.users(limit=10)
        if not users:
            raise ConfigError(Problem("--customer", "is needed: B2B Edition lists no Company user with an account."))
        return to_int(users[0]["customerId"]) or 0
    try:
        await api.b2b.user_of_customer(wanted)
    except NotFound:
        cure = "Name a buyer of a Company, or leave it out."
        raise ConfigError(Problem(f"--customer {wanted}", "is no Company user.", cure)) from None
    return wanted


async def _open_watch(session: Session, name: str) -> tuple[WebhookWatch | None, str]:
    if session.redis is None:
        return None, "no Redis: set REDIS_URL"
    try:
        if not (await Queue(session.redis).counts()).workers:
            return None, "no worker is running"
        watch = WebhookWatch(session.redis, name)
        await watch.open()
    except RedisError as error:
        return None, f"Redis did not answer ({type(error).__name__})"
    return watch, ""


async def _close(watch: WebhookWatch | None) -> None:
    if watch:
        try:
            await watch.close()
        except RedisError:
            return  # it expires


async def _keep(session: Session, name: str, facts: dict[Fact, Value]) -> bool:
    if session.redis is None:
        return False
    try:
        await Facts(session.redis).keep(name, facts)
    except RedisError:
        return False
    return True


def _perhaps_running(name: str, order_id: int) -> ConfigError:
    sentence = f"seems to be rehearsed already: test order {order_id} is not cancelled."
    cure = "Wait until the other run ends. If it was killed, cancel the order in the control panel, or wait 5 minutes."
    return ConfigError(Problem(f"store {name}", sentence, cure))


def _without_scope(refused: CredentialsRefused) -> ConfigError:
    cure = f"Give its API account the scope Orders: modify ({SCOPES_AT})."
    return ConfigError(Problem("access_token", f"may not place orders ({refused.message}): nothing was placed.", cure))


def _print_left(left: list[int]) -> None:
    ids = ", ".join(map(str, left))
    typer.echo(
        f"Not cancelled: test orders {ids}. Cancel them in the control panel, or run the command again.", err=True
    )


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show on stderr what is being done: on a terminal in one line with a spinner, else a line each."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda step: console.print(Text(step), soft_wrap=True)
        return
    with console.status("") as status:
        yield lambda step: status.update(Text(f"{step} …"))


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    return {
        "store": outcome.store,
        "customer_id": outcome.customer_id,
        "orders": outcome.placed,
        "not_cancelled": outcome.left,
        "measurements": [measurement.as_dict() for measurement in outcome.measurements],
        "facts": {fact.value: value for fact, value in outcome.facts.items()},
        "kept": outcome.kept,
        "stopped": outcome.stopped,
    }


def _show(console: Console, outcome: Outcome) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("MEASURED", "DOCUMENTED", "FOUND"):
        table.add_column(column, overflow="fold")
    table.add_column("VERDICT", no_wrap=True)
    for each in outcome.measurements:
        verdict = Text(each.verdict.value, COLOURS[each.verdict])
        table.add_row(Text(each.subject), Text(each.documented), Text(each.found), verdict)
    console.print(table)
    if outcome.stopped:
        console.print("Stopped: what is missing here was not measured.")
    if outcome.kept:
        console.print(f"Kept as {len(outcome.facts)} facts of store {outcome.store}, for 30 days.")
    else:
        console.print("Not kept: there is no Redis. Set REDIS_URL to that of the service.")
