"""Access to the ledger for commands that need no BigCommerce."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import typer
from redis.asyncio import Redis

from service.cli.common.options import find_redis
from service.configuration import load_configuration
from service.errors import ConfigError
from service.orders.state.ledger import Ledger
from service.redis.client import connect
from service.settings import Settings
from service.stores import store_names


@asynccontextmanager
async def open_ledger(*, read_only: bool = False) -> AsyncIterator[tuple[Redis, Sequence[str]]]:
    """Redis, and the hashes of all stores. Raises ConfigError.

    A ``read_only`` command only shows what Redis holds. It needs no secrets and no valid rules; without a stores file
    that can be parsed it shows the stores that Redis knows, and says so on stderr.
    """
    settings = Settings.load()
    redis_url = find_redis(settings)
    if not read_only:
        stores = list(load_configuration(settings.enrich_config).stores)
        async with connect(redis_url) as redis:
            yield redis, stores
        return
    problem = None
    try:
        stores = store_names(settings.enrich_config)
    except ConfigError as error:
        stores, problem = [], error
    async with connect(redis_url) as redis:
        if not stores:
            stores = await Ledger(redis).stores()
            reason = f"{problem}\n" if problem else f"{settings.enrich_config}: the file has no store.\n"
            typer.echo(f"{reason}Showing the stores that Redis knows: {', '.join(stores) or 'none'}.", err=True)
        yield redis, stores
