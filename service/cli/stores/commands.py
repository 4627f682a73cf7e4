"""``enrich stores``: show the stores, and stop and resume writing for one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from redis.asyncio import Redis
from rich.table import Table
from rich.text import Text

from service import audit
from service.cli.common.options import choose_store, find_redis
from service.cli.common.output import open_console, print_json
from service.cli.common.writes import paused_since
from service.configuration import ConfiguredStore, load_configuration
from service.gauges import Gauges, StoreState
from service.orders.state.per_store.pauses import Pause, Pauses
from service.orders.state.worklists.held_orders import HeldOrders
from service.redis.client import connect
from service.settings import Settings

HELP = """Show the stores, and stop or resume writing.

Example: enrich stores pause abc123
"""

app = typer.Typer(help=HELP, no_args_is_help=True)

HashArgument = Annotated[
    str | None, typer.Argument(metavar="HASH", help="The store's hash. Not needed if only one store is configured.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@dataclass(frozen=True, slots=True)
class ListedStore:
    """A store with its state."""

    configured: ConfiguredStore
    pause: Pause | None
    state: StoreState

    @property
    def writes(self) -> str:
        """Whether anything is written: ``on``, ``off`` (in the stores file) or ``paused``."""
        return "paused" if self.pause else self.configured.store.writes

    def as_dict(self) -> dict[str, Any]:
        """The store for scripts."""
        since = self.pause.since if self.pause else None
        return {
            "store": self.configured.store.hash,
            "name": self.configured.store.name,
            "writes": self.writes,
            "paused_since": datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds") if since else None,
            "paused_by": self.pause.who if self.pause else None,
            "held": self.state.held,
            "waiting": self.state.waiting,
            "parked": self.state.parked,
            "failed": self.state.failed,
        }


@app.command("list")
def list_stores(as_json: JsonOption = False) -> None:
    """Show the stores, and whether anything is written for them.

    \b
    WRITES    on; off: in the stores file; paused: by `enrich stores pause`
    HELD      orders whose values wait until something is written again
    WAITING   orders that wait for the value of a required rule
    PARKED    orders that wait until BigCommerce accepts the store's access token
    FAILED    orders that wait for you

    Needs Redis.

    Example: enrich stores list
    """
    stores = asyncio.run(_list())
    if as_json:
        print_json([store.as_dict() for store in stores])
        return
    console = open_console()
    console.print(_table(stores))
    for store in stores:
        if store.pause:
            console.print(Text(f"{store.configured.store.hash} is {paused_since(store.pause)}."), soft_wrap=True)


@app.command("pause")
def pause_store(store: HashArgument = None, as_json: JsonOption = False) -> None:
    """Stop writing for a store at once.

    Nothing is created or updated for the store from now on, in B2B Edition and at its webhooks, until you resume it;
    also after a restart. A write that is under way at this moment is finished. Orders are still received and read, and
    their values are shown: they wait, with the reason `writes_off`. Webhooks need no change. Needs Redis.

    Example: enrich stores pause abc123
    """
    name, began, pause = asyncio.run(_pause(store))
    if as_json:
        since = pause.since if pause else None
        print_json({"store": name, "paused": True, "was_paused": not began, "since": since})
    elif began:
        typer.echo(
            f"Store {name} is paused: nothing is written. Its orders are received and read, and wait. "
            f"Go on with `enrich stores resume {name}`."
        )
    else:
        typer.echo(f"Store {name} was paused already: {paused_since(pause or Pause())}.")


@app.command("resume")
def resume_store(store: HashArgument = None, as_json: JsonOption = False) -> None:
    """Write for a paused store again.

    The orders that waited go on at once, oldest first, inside the API quota: those whose window has closed by Update
    an Order. They are read again first, so that changes made during the pause count. Needs Redis.

    Example: enrich stores resume abc123
    """
    name, ended, released, writes = asyncio.run(_resume(store))
    if as_json:
        print_json({"store": name, "paused": False, "was_paused": ended, "released": released, "writes": writes})
        return
    typer.echo(f"Store {name} {'is resumed' if ended else 'was not paused'}; {released} orders go on.")
    if writes == "off":
        typer.echo(
            f'Nothing is written all the same: the stores file has writes = "off" for {name}. Its orders wait.',
            err=True,
        )


@asynccontextmanager
async def _open() -> AsyncIterator[tuple[Redis, Mapping[str, ConfiguredStore]]]:
    settings = Settings.load()
    redis_url = find_redis(settings)
    stores = load_configuration(settings.enrich_config).stores
    async with connect(redis_url) as redis:
        yield redis, stores


async def _list() -> list[ListedStore]:
    async with _open() as (redis, stores):
        pauses = await Pauses(redis).read_all(list(stores))
        states = (await Gauges(redis).read(list(stores))).stores
    return [ListedStore(configured, pauses[name], states[name]) for name, configured in stores.items()]


async def _pause(wanted: str | None) -> tuple[str, bool, Pause | None]:
    async with _open() as (redis, stores):
        name, who = choose_store(wanted, list(stores)), audit.system_user()
        began = await Pauses(redis).begin(name, who)
        if began:
            await audit.record(redis, audit.Action(who, audit.ActionName.PAUSE, name))
        return name, began, await Pauses(redis).read(name)


async def _resume(wanted: str | None) -> tuple[str, bool, int, str]:
    async with _open() as (redis, stores):
        name = choose_store(wanted, list(stores))
        writes = stores[name].store.writes
        ended = await Pauses(redis).end(name)
        # Where the file forbids writing, they would only be read and held again.
        released = await HeldOrders(redis).release(name) if writes == "on" else 0
        if ended:
            await audit.record(redis, audit.Action(audit.system_user(), audit.ActionName.RESUME, name))
        return name, ended, released, writes


def _table(stores: list[ListedStore]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("STORE", no_wrap=True)
    table.add_column("NAME", overflow="fold")
    table.add_column("WRITES", no_wrap=True)
    for column in ("HELD", "WAITING", "PARKED", "FAILED"):
        table.add_column(column, justify="right", no_wrap=True)
    for store in stores:
        state = store.state
        table.add_row(
            store.configured.store.hash,
            Text(store.configured.store.name or ""),
            Text(store.writes, "green" if store.writes == "on" else "yellow"),
            *(str(count) for count in (state.held, state.waiting, state.parked, state.failed)),
        )
    return table
