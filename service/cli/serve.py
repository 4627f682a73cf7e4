"""``enrich up``, ``web`` and ``worker``: the processes."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from typing import Annotated

import structlog
import typer

from service import logs
from service.embedded_redis import EmbeddedRedis
from service.errors import ConfigError
from service.hangup import Hangup
from service.listening import listen
from service.logs import Event
from service.parent import end_with_parent
from service.processes import Processes
from service.reloading import Changes, LiveConfiguration
from service.rules import load_configuration
from service.settings import Settings
from service.stores import Store
from service.web.app import create_app, redis_queue
from service.web.authentication import StoreBook
from service.web.server import serve

HostOption = Annotated[str, typer.Option(help="The address to listen on.")]
PortOption = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]

# Whether our own Redis is alive; as often, one that cannot be started is tried again.
LOOK_EVERY_S = 0.5

log = structlog.get_logger()


def web(host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Run the webhook receiver alone.

    Needs REDIS_URL and the stores file (ENRICH_CONFIG, default stores.toml). A change of that file is taken up
    within two seconds, and on SIGHUP; when something is wrong with it, the log says so and nothing changes.

    Example: REDIS_URL=redis://localhost:6379/0 enrich web --host 0.0.0.0
    """
    hangup = Hangup()
    end_with_parent()
    settings = _start()
    redis_url = settings.require_redis_url()
    live = LiveConfiguration(settings.enrich_config)
    hangup.tell = live.ask
    book = StoreBook(_stores(live))

    async def take(_: Changes) -> None:
        book.replace(_stores(live))

    serve(create_app(book, redis_queue(redis_url), keep_up=lambda: live.follow(take)), host, port)


def _stores(live: LiveConfiguration) -> dict[str, Store]:
    return {store_hash: configured.store for store_hash, configured in live.current.stores.items()}


def worker() -> None:
    """Run the workers alone.

    Needs REDIS_URL and the stores file (ENRICH_CONFIG, default stores.toml). Run as many as you like, anywhere
    that reaches Redis. SIGTERM lets a worker finish the orders in hand. A change of the stores file is taken up
    within two seconds, and on SIGHUP; when something is wrong with it, the log says so and nothing changes.

    Example: REDIS_URL=redis://localhost:6379/0 enrich worker
    """
    # Becomes the other program, which gets the signals directly. `service` never imports `workers`.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "workers"])  # noqa: S606


def up(host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Run receiver and workers together on this machine.

    Brings its own Redis when REDIS_URL is not set; its data lies in ENRICH_DATA_DIR and survives restarts. A change
    of the stores file is taken up within two seconds, and on SIGHUP.

    Example: enrich up --port 8000
    """
    hangup = Hangup()
    settings = _start()
    load_configuration(settings.enrich_config)
    listen(host, port).close()  # a port that cannot be had is told now, not by the receiver again and again
    asyncio.run(_up(settings, host, port, hangup))


async def _up(settings: Settings, host: str, port: int, hangup: Hangup) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        redis_url = await _redis(settings, stack)
        processes = Processes({"REDIS_URL": redis_url, "ENRICH_LOG_FORMAT": settings.enrich_log_format})
        stack.push_async_callback(processes.stop)
        hangup.tell = lambda: processes.pass_on(signal.SIGHUP)
        # The receiver stops first: nothing new comes in while the worker finishes what is in hand.
        await processes.start("worker", "workers")
        await processes.start("web", "service.cli", "web", "--host", host, "--port", str(port))
        await stop.wait()


async def _redis(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.redis_url is not None:
        return settings.require_redis_url()
    redis = await stack.enter_async_context(EmbeddedRedis(settings.enrich_data_dir))
    log.info(Event.REDIS_STARTED, folder=str(settings.enrich_data_dir))
    keeping = asyncio.create_task(_keep_alive(redis))
    stack.callback(keeping.cancel)
    return redis.url


async def _keep_alive(redis: EmbeddedRedis) -> None:
    """Start Redis again, on the same data and at the same address, when it has died."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if redis.pid is None:
            log.error(Event.PROCESS_ENDED, process="redis")
            try:
                await asyncio.to_thread(redis.restart)
            except ConfigError as error:
                log.error(Event.REDIS_NOT_STARTED, error=str(error))


def _start() -> Settings:
    settings = Settings.load()
    logs.configure(settings.enrich_log_format, settings.enrich_log_level)
    return settings
