"""Keeps a connection to each host of BigCommerce open, so that no order waits for a new one.

Connections are of a process, not of a store: however many stores there are, one call is enough.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog

from service.bigcommerce import Account, Api, Priority, StoreApi
from service.errors import UpstreamError
from service.logs import Event
from service.redis.client import TRANSIENT_ERRORS
from service.stores import Store
from workers.resources import Resources

log = structlog.get_logger()

IDLE_S = 45.0
"""A connection that was idle for so long is used. Servers close idle ones after 60 s and more; what BigCommerce does
is not documented."""

# When a worker starts, the first reading of its stores' lists opens most connections.
START_S = 2.0

# After a call without an answer. One such call, and the next is still in time.
RETRY_S = 10.0

# A call that is made anyway, with a small answer. The storefront API shares the host of B2B Edition.
_CALLS: Mapping[Api, Callable[[StoreApi], Awaitable[object]]] = {
    Api.CORE: lambda api: api.core.orders(limit=1, sort="id:desc"),
    Api.B2B: lambda api: api.b2b.extra_field_configs(),
}
APIS = tuple(_CALLS)
"""One for each host."""


async def keep_connection_warm(
    resources: Resources, api: Api, *, idle_s: float = IDLE_S, start_s: float = START_S
) -> None:
    """Make a call to an API whenever there was none for ``idle_s`` seconds, until cancelled.

    The first one after ``start_s``. The calls come from the quota of a random store, with the lowest priority. Nothing
    depends on their answers, so errors do not end it.
    """
    wait_s = start_s
    while True:
        await asyncio.sleep(wait_s)
        try:
            if resources.transport.idle_s(api) >= idle_s:
                await _call(resources, api)
        except TRANSIENT_ERRORS:
            pass
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="connections")
        left_s = idle_s - resources.transport.idle_s(api)
        wait_s = left_s if left_s > 0 else min(RETRY_S, idle_s)


async def _call(resources: Resources, api: Api) -> None:
    store = await _random_store(resources)
    if store is not None:
        client = StoreApi(resources.transport, Account(store.hash, store.access_tokens), priority=Priority.BACKGROUND)
        with suppress(UpstreamError):
            await _CALLS[api](client)


async def _random_store(resources: Resources) -> Store | None:
    """A store that may be called now; None where that is not found out with a few looks."""
    stores = list(resources.configuration.stores.values())
    for configured in random.sample(stores, min(3, len(stores))):
        # While a store's credentials are refused, only the probe calls BigCommerce.
        if not await resources.breaker.is_open(configured.store.hash):
            return configured.store
    return None
