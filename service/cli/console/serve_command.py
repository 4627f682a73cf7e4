"""``enrich console`` itself: run the web page."""

import asyncio
import webbrowser
from typing import Annotated

import typer

from service.cli.common.options import HostOption, PortOption, find_redis
from service.cli.console.links import admin_link
from service.configuration.in_force import publish_configuration
from service.configuration.reloading import Changes
from service.console.address import ConsoleAddress
from service.console.app import create_app
from service.console.people.proxy_sign_in import SignInProxy
from service.console.server import REDIS_PASSES, ConsoleServer, serve
from service.orders.state.job_kinds import from_json, to_json
from service.redis.client import connect
from service.startup import start


def serve_console(
    context: typer.Context,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8100,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open a browser on this machine, signed in as admin.")
    ] = False,
) -> None:
    """Run the console, the web page for people.

    It shows what happened to each order and why, and lets operators act on orders.
    Needs Redis (REDIS_URL, or an `enrich up` on this machine) and the stores file. There are no passwords: `enrich
    console link` makes a link that signs in once. To let people reach it from other machines, put a proxy with TLS
    before it and set ENRICH_CONSOLE_URL to the address that they open.

    Example: enrich console --open
    """
    if context.invoked_subcommand is not None:
        return
    settings, redis_url, live = start(find_redis)
    proxy = SignInProxy.of(settings)
    address = ConsoleAddress.of(settings.enrich_console_url, host=host, port=port)
    redis = connect(redis_url, serializer=to_json, deserializer=from_json, passes=REDIS_PASSES)

    async def apply(_: Changes) -> None:
        """Nothing is kept of the stores file: each request reads the one in force."""

    tasks = {
        "stores": lambda: live.watch_for_changes(apply),
        "configuration in force": lambda: publish_configuration(redis, live, "console"),
    }
    app = create_app(redis, live, address, proxy, background_tasks=tasks)
    on_start = (lambda: _open_browser(redis_url, address)) if open_browser else None
    serve(ConsoleServer(app, host, port, url=address.url("/"), on_start=on_start))


def _open_browser(redis_url: str, address: ConsoleAddress) -> None:
    async def open_signed_in() -> None:
        link = await admin_link(redis_url, address)
        if not await asyncio.to_thread(webbrowser.open, link):
            typer.echo(f"No browser was found. Open this link, which works once: {link}", err=True)

    _opening.append(asyncio.get_running_loop().create_task(open_signed_in()))


# A task that nothing refers to may be collected before it is done.
_opening: list[asyncio.Task[None]] = []
