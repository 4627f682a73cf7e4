"""``enrich hooks``: the stores' webhooks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, TypeVar

import typer
from arq import ArqRedis
from redis.exceptions import RedisError
from rich.text import Text

from service import hooks
from service.bigcommerce.core import Core
from service.bigcommerce.hooks import Hook, without_secrets
from service.cli.common.options import AnyStoreOption, StoreOption, YesOption, choose_stores, confirm
from service.cli.common.output import harmless, open_console, print_json, with_cure
from service.cli.common.session import Session, open_session
from service.cli.hooks.tables import listed_as_dicts, listed_table, notes, result_as_dict, step_as_dict, steps_table
from service.configuration import load_configuration
from service.errors import EnrichError
from service.hooks import HookChange, HookState, ListedHook, StoreChanges
from service.settings import Settings
from service.stores import Store

HELP = """The stores' webhooks: through them BigCommerce tells of orders.

A store without one is only asked for new orders, every minute or so.

Example: enrich hooks register --url https://enrich.example.com
"""

app = typer.Typer(help=HELP, no_args_is_help=True)

T = TypeVar("T")
Results = Mapping[str, T | EnrichError]
"""What came of the work for each store."""

JsonOption = Annotated[bool, typer.Option("--json", help="A JSON array instead of a table.")]


@app.command("list")
def list_hooks(store: AnyStoreOption = None, as_json: JsonOption = False) -> None:
    """Show the stores' webhooks, and how each stands.

    missing: no webhook tells of that event. inactive: BigCommerce has switched it off. headers differ: the receiver
    refuses what it sends. blocked: BigCommerce sends nothing to that domain for now. foreign: it goes somewhere else.
    Exit code 1 when a store's webhooks could not be read.

    Example: enrich hooks list --store abc123
    """

    async def work(core: Core, store: Store, memory: _Memory) -> list[ListedHook]:
        return await hooks.read_listed(core, store, await memory.destination(store.hash))

    results = _of_each(store, work, without_redis="ours are told by their path alone.")
    if as_json:
        found = [line for name, result in results.items() for line in listed_as_dicts(name, result)]
        print_json(found)
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
            help=f"Where the receiver is reached from outside; {hooks.WEBHOOK_PATH} is added to a mere host.",
        ),
    ],
    store: AnyStoreOption = None,
    move: Annotated[
        bool, typer.Option("--move", help="Send another receiver's webhooks here instead of making new ones.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Have BigCommerce send the stores' webhooks to this service.

    Makes what is missing, switches on what is off, and sets the headers of webhook_headers (the first secret of
    each); what is right is left alone. Run it again after a change of the URL, of incomplete_orders or of a header's
    secret, and where REDIS_URL is set: workers that knew another URL are told there. Exit code 1 when something failed.

    Example: enrich hooks register --url https://enrich.example.com
    """
    endpoints = load_configuration(Settings.load().enrich_config).endpoints
    destination = hooks.destination_of(url, from_sandbox=endpoints.is_local)

    async def work(core: Core, store: Store, memory: _Memory) -> StoreChanges:
        outcome = await hooks.register(core, store, destination, move=move)
        if outcome.is_complete:
            await memory.set_destination(store.hash, destination)
        return outcome

    results = _of_each(store, work, without_redis="workers that know another URL keep it. Run this again later.")
    _report(results, as_json)


@app.command("repair")
def repair(store: AnyStoreOption = None, as_json: JsonOption = False) -> None:
    """Put right what is wrong with the stores' webhooks.

    Switches on what is off, sets headers that differ and makes what is missing, at the URL that was registered last.
    A domain that BigCommerce has blocked can only be waited for. Exit code 1 when something failed.

    Example: enrich hooks repair --store abc123
    """

    async def work(core: Core, store: Store, memory: _Memory) -> StoreChanges:
        return await hooks.repair(core, store, await memory.destination(store.hash))

    _report(_of_each(store, work, without_redis="ours are told by their path alone."), as_json)


@app.command("remove")
def remove(
    store: StoreOption = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Those that go there; those to this service when left out.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a store's webhooks about orders.

    Orders that no webhook tells of are found by asking, every minute or so: too late for most of their windows.

    Example: enrich hooks remove --store abc123 --url https://old.example.com
    """
    name, found = asyncio.run(_find(store, url))
    if found:
        _make_sure(name, found, yes=yes)
    steps = asyncio.run(_delete(name, found))
    if as_json:
        print_json([{"store": name, "steps": [step_as_dict(step) for step in steps]}])
    else:
        open_console().print(steps_table({name: steps}) if steps else "There are none.")
    if not all(step.is_done for step in steps):
        raise typer.Exit(1)


class _Memory:
    """What the workers know of the webhooks: nothing where there is no Redis, or it does not answer (told once)."""

    def __init__(self, redis: ArqRedis | None, without_redis: str) -> None:
        self._redis = redis
        self._without_redis = without_redis

    async def destination(self, store: str) -> str | None:
        """Where the store's webhooks are known to go."""
        known = await self._ask(lambda redis: HookState.read(redis, store))
        return known.destination if known else None

    async def set_destination(self, store: str, destination: str) -> None:
        """The store's webhooks go there from now on."""
        await self._ask(lambda redis: hooks.set_destination(redis, store, destination))

    async def _ask(self, question: Callable[[ArqRedis], Awaitable[T]]) -> T | None:
        redis = self._redis
        if redis is None:
            return None
        try:
            return await question(redis)
        except RedisError as error:
            if self._redis is redis:  # else another store's question has told it meanwhile
                self._redis = None
                reason = type(error).__name__
                typer.echo(f"REDIS_URL: Redis does not answer ({reason}); {self._without_redis}", err=True)
            return None


def _of_each(
    wanted: str | None, work: Callable[[Core, Store, _Memory], Awaitable[T]], *, without_redis: str
) -> Results[T]:
    """The work done for all stores at once, or for the one that is wanted. One store's failure is no other's."""

    async def attempt(session: Session, name: str, memory: _Memory) -> T | EnrichError:
        configured = session.configuration.stores[name]
        try:
            return await work(session.api(configured).core, configured.store, memory)
        except EnrichError as error:
            return error

    async def attempts() -> Results[T]:
        async with open_session() as session:
            names = choose_stores(wanted, list(session.configuration.stores))
            memory = _Memory(session.redis, without_redis)
            found = await asyncio.gather(*(attempt(session, name, memory) for name in names))
            return dict(zip(names, found, strict=True))

    return asyncio.run(attempts())


async def _find(wanted: str | None, url: str | None) -> tuple[str, list[Hook]]:
    async with open_session() as session:
        configured = session.store(wanted)
        name = configured.store.hash
        known = await _Memory(session.redis, "ours are told by their path alone.").destination(name)
        return name, await hooks.find_ours(session.api(configured).core, known, url)


async def _delete(name: str, found: Sequence[Hook]) -> list[HookChange]:
    async with open_session() as session:
        return await hooks.remove(session.api(session.store(name)).core, found)


def _make_sure(store: str, found: Sequence[Hook], *, yes: bool) -> None:
    if not yes:
        for hook in found:
            typer.echo(harmless(f"{hook.scope} to {without_secrets(hook.destination)}"), err=True)
    confirm(f"Delete {len(found)} of store {store}?", yes=yes)


def _report(results: Results[StoreChanges], as_json: bool) -> None:
    """Tell what was done; exit code 1 when something failed."""
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
        typer.echo(f"{done} of {len(results)} stores are done.")
    if done < len(results):
        raise typer.Exit(1)
