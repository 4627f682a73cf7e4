"""``enrich up``: everything on one machine."""

import asyncio
import signal
from contextlib import AsyncExitStack
from functools import partial

import structlog
import typer

from service import logs
from service.cli.common.options import HostOption, PortOption
from service.configuration import load_configuration
from service.errors import ConfigError
from service.logs import Event
from service.process.background_loops import LoopFailed, Loops
from service.process.sighup import SighupHandler
from service.process.sockets import listen
from service.process.supervisor import Supervisor
from service.process.task_cancellation import cancel_and_wait
from service.redis.embedded.server import EmbeddedRedis
from service.redis.requirements import require_usable_redis
from service.settings import Settings

# How often the embedded Redis is checked, and how often one that cannot be started is tried again.
REDIS_CHECK_INTERVAL_S = 0.5

log = structlog.get_logger()


def up(host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Run receiver and workers together on this machine.

    Starts its own Redis when REDIS_URL is not set; its data is in ENRICH_DATA_DIR and survives restarts. A change
    of the stores file takes effect within two seconds, and on SIGHUP.

    Example: enrich up --port 8000
    """
    sighup = SighupHandler()
    settings = Settings.load()
    logs.configure(settings.enrich_log_format, settings.enrich_log_level)
    load_configuration(settings.enrich_config)
    listen(host, port).close()  # report a port that is in use now, not from the receiver again and again
    try:
        asyncio.run(_up(settings, host, port, sighup))
    except LoopFailed:  # it is in the log
        raise typer.Exit(1) from None


async def _up(settings: Settings, host: str, port: int, sighup: SighupHandler) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    loops = Loops(stop)
    async with AsyncExitStack() as stack:
        redis_url = await _redis(settings, stack, loops)
        environ = {"REDIS_URL": redis_url, "ENRICH_LOG_FORMAT": settings.enrich_log_format}
        processes = Supervisor(environ, loops=loops)
        stack.push_async_callback(processes.stop)
        sighup.on_sighup = lambda: processes.forward_signal(signal.SIGHUP)
        # Stopped in reverse order: no new webhooks come in while the worker finishes its orders.
        await processes.start("worker", "workers")
        await processes.start("web", "service.cli", "web", "--host", host, "--port", str(port))
        await stop.wait()
    loops.raise_if_failed()


async def _redis(settings: Settings, stack: AsyncExitStack, loops: Loops) -> str:
    if settings.redis_url is not None:
        redis_url = settings.require_redis_url()
        await require_usable_redis(redis_url)  # as above: told now, not by each process again and again
        return redis_url
    redis = await stack.enter_async_context(EmbeddedRedis(settings.enrich_data_dir))
    log.info(Event.REDIS_STARTED, folder=str(settings.enrich_data_dir))
    stack.push_async_callback(cancel_and_wait, [loops.start("redis", partial(_keep_alive, redis))])
    return redis.url


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
