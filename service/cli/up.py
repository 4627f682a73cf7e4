"""``enrich up``: everything on one machine."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Annotated

import structlog
import typer

from service import logs
from service.cli.common.options import HostOption, PortOption
from service.cli.console.links import admin_link
from service.configuration import load_configuration
from service.console.address import ConsoleAddress
from service.console.people.proxy_sign_in import SignInProxy
from service.errors import ConfigError
from service.logs import Event
from service.process.background_loops import LoopFailed, Loops
from service.process.sighup import SighupHandler
from service.process.sockets import listen
from service.process.supervisor import Supervisor
from service.process.task_cancellation import cancel_and_wait
from service.redis.embedded.server import EmbeddedRedis
from service.redis.errors import TRANSIENT_ERRORS
from service.redis.requirements import require_usable_redis
from service.settings import Settings

# How often the embedded Redis is checked, and how often one that cannot be started is tried again.
REDIS_CHECK_INTERVAL_S = 0.5

# The console shows shoppers' data: it is reached from this machine, or through a proxy on it.
CONSOLE_HOST = "127.0.0.1"
CONSOLE_PORT = 8100

log = structlog.get_logger()


def up(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    console_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="The console's port on this machine, 8100 by default; 0: no console.",
        ),
    ] = None,
) -> None:
    """Run receiver, workers and console together on this machine.

    Starts its own Redis when REDIS_URL is not set; its data is in ENRICH_DATA_DIR and survives restarts. A change
    of the stores file takes effect within two seconds, and on SIGHUP. On a terminal, a link is printed that signs in
    to the console once; `enrich console link` makes more.

    Example: enrich up --port 8000
    """
    sighup = SighupHandler()
    settings = Settings.load()
    logs.configure(settings.enrich_log_format, settings.enrich_log_level)
    load_configuration(settings.enrich_config)
    listen(host, port).close()  # report a port that is in use now, not from the receiver again and again
    SignInProxy.of(settings)  # the same for what the console would refuse
    console = _console_port(console_port)
    try:
        asyncio.run(_up(settings, host, port, console, sighup))
    except LoopFailed:  # it is in the log
        raise typer.Exit(1) from None


def _console_port(wanted: int | None) -> int:
    """The port for the console; 0 for none. Raises ConfigError when the port that was asked for is in use.

    One that nobody asked for must not keep orders from being enriched: two services may run on one machine.
    """
    if wanted == 0:
        return 0
    port = CONSOLE_PORT if wanted is None else wanted
    try:
        listen(CONSOLE_HOST, port).close()
    except ConfigError as error:
        if wanted is not None:
            raise
        log.warning(Event.CONSOLE_NOT_STARTED, error=str(error))
        return 0
    return port


async def _up(settings: Settings, host: str, port: int, console_port: int, sighup: SighupHandler) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    loops = Loops(stop)
    async with AsyncExitStack() as stack:
        redis = await _embedded_redis(settings, stack, loops) if settings.redis_url is None else None
        redis_url = redis.url if redis else await _own_redis(settings)
        environ = {"REDIS_URL": redis_url, "ENRICH_LOG_FORMAT": settings.enrich_log_format}
        processes = Supervisor(environ, loops=loops, lifeline=lambda: redis.lifeline if redis else None)
        stack.push_async_callback(processes.stop)
        sighup.on_sighup = lambda: processes.forward_signal(signal.SIGHUP)
        # Stopped in reverse order: no new webhooks come in while the worker finishes its orders.
        await processes.start("worker", "workers")
        await processes.start("web", "service.cli", "web", "--host", host, "--port", str(port))
        if console_port:
            words = ("console", "--host", CONSOLE_HOST, "--port", str(console_port))
            await processes.start("console", "service.cli", *words)
            await _print_link(settings, redis_url, console_port)
        await stop.wait()
    loops.raise_if_failed()


async def _print_link(settings: Settings, redis_url: str, port: int) -> None:
    """Print a link for whoever sits at the terminal. Not into a log: who reads that must not become an admin."""
    if not sys.stdout.isatty():
        return
    address = ConsoleAddress.of(settings.enrich_console_url, port=port)
    with suppress(*TRANSIENT_ERRORS):  # the log says that Redis is away, and `enrich console link` makes a link later
        link = await admin_link(redis_url, address)
        typer.echo(f"Console (the link works once, within 15 minutes): {link}")


async def _own_redis(settings: Settings) -> str:
    redis_url = settings.require_redis_url()
    await require_usable_redis(redis_url)  # as above: told now, not by each process again and again
    return redis_url


async def _embedded_redis(settings: Settings, stack: AsyncExitStack, loops: Loops) -> EmbeddedRedis:
    redis = await stack.enter_async_context(EmbeddedRedis(settings.enrich_data_dir))
    log.info(Event.REDIS_STARTED, folder=str(settings.enrich_data_dir))
    stack.push_async_callback(cancel_and_wait, [loops.start("redis", partial(_keep_alive, redis))])
    return redis


async def _keep_alive(redis: EmbeddedRedis) -> None:
    """Restart Redis, on the same data and at the same address, when it has died. Each cause is logged once."""
    logged = ""
    while True:
        await asyncio.sleep(REDIS_CHECK_INTERVAL_S)
        redis.trim_log()
        if redis.pid is None:
            if not logged:
                log.error(Event.PROCESS_ENDED, process="redis")
            try:
                await asyncio.to_thread(redis.restart)
            except ConfigError as error:
                if str(error) != logged:
                    log.error(Event.REDIS_NOT_STARTED, error=str(error))
                logged = str(error)
            else:
                logged = ""
