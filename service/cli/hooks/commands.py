"""``enrich hooks``: the stores' webhooks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, TypeVar

import typer
from arq import ArqRedis
from redis.exceptions import RedisError
from rich.text import Text

from service import audit, hooks
from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.clients.hooks import Hook, redact_url
from service.cli.common.options import (
    AnyStoreOption,
    CsvOption,
    StoreOption,
    YesOption,
    choose_stores,
    confirm,
    one_format,
)
from service.cli.common.output import open_console, print_csv, print_json, sanitize, with_cure
from service.cli.common.session import Session, open_session
from service.cli.hooks.tables import (
    listed_as_csv,
    listed_as_dicts,
    listed_table,
    notes,
    result_as_dict,
    step_as_dict,
    steps_table,
)
from service.configuration import ConfiguredStore, load_configuration
from service.errors import EnrichError
from service.hooks import ChangeKind, HookChange, HookState, ListedHook, StoreChanges
from service.settings import Settings

HELP = """Show, register, repair and remove the stores' webhooks.

BigCommerce announces new orders through webhooks. Without them the service polls each store for new orders:
this is slower, and some orders miss their window.

Example: enrich hooks register --url https://enrich.example.com
"""

app = typer.Typer(help=HELP, no_args_is_help=True)

T = TypeVar("T")
Results = Mapping[str, T | EnrichError]
"""The result for each store, or the error that stopped it."""

UNKNOWN_DESTINATION = "this service's webhooks are recognized by their path only."

JsonOption = Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")]


@app.command("list")
def list_hooks(store: AnyStoreOption = None, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """Show the stores' webhooks and their state.

    \b
    active          the webhook works
    missing         there is no webhook for this event
    inactive        BigCommerce has switched the webhook off
    headers differ  its headers are not those of webhook_headers, so the receiver refuses it
    blocked         BigCommerce sends nothing to this domain for now
    foreign         the webhook goes to another destination

    "optional" stands behind the state of a webhook that orders can do without: it tells sooner of late values, later
    changes, and buyers who joined a Company.

    Exit code 1 if a store's webhooks could not be read.

    Example: enrich hooks list --store abc123
    """

    one_format(as_json=as_json, as_csv=as_csv)

    async def work(core: Core, configured: ConfiguredStore, destinations: _Destinations) -> list[ListedHook]:
        return await hooks.read_listed(core, configured, await destinations.destination(configured.store.hash))

    results = _for_each_store(store, work, without_redis=UNKNOWN_DESTINATION)
    if as_json:
        found = [line for name, result in results.items() for line in listed_as_dicts(name, result)]
        print_json(found)
    elif as_csv:
        print_csv(*listed_as_csv(results))
    else:
        open_console().print(listed_table(results))
    if any(isinstance(result, EnrichError) for result in results.values()):
        raise typer.Exit(1)


@app.command("register")
def register(
    url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help=f"The receiver's public URL. {hooks.WEBHOOK_PATH} is added if there is only a host.",
        ),
    ],
    store: AnyStoreOption = None,
    move: Annotated[
        bool, typer.Option("--move", help="Move another receiver's webhooks here instead of creating new ones.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Register the stores' webhooks for this service.

    Creates webhooks that are missing, activates inactive ones, and sets the headers of webhook_headers (the first
    secret of each). Does not touch webhooks that are right. Which ones a store needs follows from its rules and from
    incomplete_orders, late_values and follow: run it again after you change these, the URL or a header's secret. Set
    REDIS_URL, so that the workers know the new URL. Exit code 1 if something failed that orders cannot do without.

    Example: enrich hooks register --url https://enrich.example.com
    """
    endpoints = load_configuration(Settings.load().enrich_config).endpoints
    destination = hooks.destination_of(url, from_sandbox=endpoints.is_local)

    async def work(core: Core, configured: ConfiguredStore, destinations: _Destinations) -> StoreChanges:
        outcome = await hooks.register(core, configured, destination, move=move)
        await destinations.record(audit.ActionName.REGISTER_HOOKS, configured.store.hash, outcome.steps)
        if outcome.is_complete:
            await destinations.set_destination(configured.store.hash, destination)
        return outcome

    results = _for_each_store(
        store, work, without_redis="the workers do not know the new URL yet. Run this command again later."
    )
    _report(results, as_json)


@app.command("repair")
def repair(store: AnyStoreOption = None, as_json: JsonOption = False) -> None:
    """Repair the stores' webhooks.

    Activates inactive webhooks, sets headers that differ, and creates missing webhooks at the URL that was registered
    last. It cannot unblock a domain: BigCommerce does that by itself after some minutes. Exit code 1 if something
    failed that orders cannot do without.

    Example: enrich hooks repair --store abc123
    """

    async def work(core: Core, configured: ConfiguredStore, destinations: _Destinations) -> StoreChanges:
        outcome = await hooks.repair(core, configured, await destinations.destination(configured.store.hash))
        await destinations.record(audit.ActionName.REPAIR_HOOKS, configured.store.hash, outcome.steps)
        return outcome

    _report(_for_each_store(store, work, without_redis=UNKNOWN_DESTINATION), as_json)


@app.command("remove")
def remove(
    store: StoreOption = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Remove the webhooks to this URL. Default: those to this service.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a store's webhooks of this service.

    Without webhooks the service polls the store for new orders: this is slower, and some orders miss their window.

    Example: enrich hooks remove --store abc123 --url https://old.example.com
    """
    name, found = asyncio.run(_find(store, url))
    if found:
        _confirm_removal(name, found, yes=yes)
    steps = asyncio.run(_delete(name, found))
    if as_json:
        print_json([{"store": name, "steps": [step_as_dict(step) for step in steps]}])
    else:
        open_console().print(steps_table({name: steps}) if steps else "There are no webhooks to remove.")
    if not all(step.is_done for step in steps):
        raise typer.Exit(1)


class _Destinations:
    """Reads and writes the webhooks' destination in Redis, for the workers.

    Does nothing without Redis, or when Redis does not answer; the first failure prints a warning.
    """

    def __init__(self, redis: ArqRedis | None, without_redis: str) -> None:
        self._redis = redis
        self._without_redis = without_redis

    async def destination(self, store: str) -> str | None:
        """The destination that is known for the store's webhooks."""
        known = await self._call(lambda redis: HookState.read(redis, store))
        return known.destination if known else None

    async def set_destination(self, store: str, destination: str) -> None:
        """Save the destination of the store's webhooks."""
        await self._call(lambda redis: hooks.set_destination(redis, store, destination))

    async def record(self, action: audit.ActionName, store: str, changes: Sequence[HookChange]) -> None:
        """Record who has changed webhooks of the store: which, and what was done with each; have them looked at."""
        done = [
            f"{change.scope} {change.did.value}"
            for change in changes
            if change.is_done and change.did is not ChangeKind.KEPT
        ]
        if done:
            recorded = audit.Action(audit.system_user(), action, store, detail=", ".join(done))
            if self._redis is None:
                await audit.record(None, recorded)
            await self._call(lambda redis: audit.record(redis, recorded))
            await self._call(lambda redis: hooks.request_check_now(redis, store))

    async def _call(self, command: Callable[[ArqRedis], Awaitable[T]]) -> T | None:
        redis = self._redis
        if redis is None:
            return None
        try:
            return await command(redis)
        except RedisError as error:
            if self._redis is redis:  # else another store's call has printed the warning
                self._redis = None
                reason = type(error).__name__
                typer.echo(f"REDIS_URL: Redis does not answer ({reason}); {self._without_redis}", err=True)
            return None


def _for_each_store(
    wanted: str | None, work: Callable[[Core, ConfiguredStore, _Destinations], Awaitable[T]], *, without_redis: str
) -> Results[T]:
    """Do the work for one store or for all stores concurrently. One store's error does not stop the others."""

    async def one(session: Session, name: str, destinations: _Destinations) -> T | EnrichError:
        configured = session.configuration.stores[name]
        try:
            return await work(session.api(configured).core, configured, destinations)
        except EnrichError as error:
            return error

    async def all_stores() -> Results[T]:
        async with open_session() as session:
            names = choose_stores(wanted, list(session.configuration.stores))
            destinations = _Destinations(session.redis, without_redis)
            found = await asyncio.gather(*(one(session, name, destinations) for name in names))
            return dict(zip(names, found, strict=True))

    return asyncio.run(all_stores())


async def _find(wanted: str | None, url: str | None) -> tuple[str, list[Hook]]:
    async with open_session() as session:
        configured = session.store(wanted)
        name = configured.store.hash
        known = await _Destinations(session.redis, UNKNOWN_DESTINATION).destination(name)
        return name, await hooks.find_ours(session.api(configured).core, known, url)


async def _delete(name: str, found: Sequence[Hook]) -> list[HookChange]:
    async with open_session() as session:
        removed = await hooks.remove(session.api(session.store(name)).core, found)
        await _Destinations(session.redis, UNKNOWN_DESTINATION).record(audit.ActionName.REMOVE_HOOKS, name, removed)
        return removed


def _confirm_removal(store: str, found: Sequence[Hook], *, yes: bool) -> None:
    if not yes:
        for hook in found:
            typer.echo(sanitize(f"{hook.scope} to {redact_url(hook.destination)}"), err=True)
    confirm(f"Delete {len(found)} webhook{'s' * (len(found) > 1)} of store {store}?", yes=yes)


def _report(results: Results[StoreChanges], as_json: bool) -> None:
    """Print what was done; exit code 1 when something failed."""
    outcomes = {name: result for name, result in results.items() if isinstance(result, StoreChanges)}
    if as_json:
        print_json([result_as_dict(name, result) for name, result in results.items()])
    else:
        console = open_console()
        if outcomes:
            console.print(steps_table({name: outcome.steps for name, outcome in outcomes.items()}))
        for note in notes(outcomes):
            console.print(Text(note), soft_wrap=True)
        for name, result in results.items():
            if isinstance(result, EnrichError):
                typer.echo(f"{name}: {with_cure(result)}", err=True)
    done = sum(outcome.is_complete for outcome in outcomes.values())
    if len(results) > 1 and not as_json:
        typer.echo(f"{done} of {len(results)} stores done.")
    if done < len(results):
        raise typer.Exit(1)
