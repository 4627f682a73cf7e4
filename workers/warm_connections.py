"""Keeps connections to BigCommerce open, so that the first order of a quiet hour does not wait for new ones.

Connections are of a process, not of a store: the calls for it are as many with one store as with a thousand.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from service.bigcommerce import Account, Api, Priority, StoreApi
from service.errors import UpstreamError, WaitUntil
from service.logs import Event
from service.process.gathering import gather_all
from service.redis.client import TRANSIENT_ERRORS
from workers.resources import Resources

log = structlog.get_logger()

CONNECTIONS: Mapping[Api, int] = {Api.CORE: 2, Api.B2B: 1}
"""So many calls an order makes at the same time: it is read together with its metafields. The storefront API has the
host of B2B Edition."""

IDLE_S = 45.0
"""After so long without a call the connections are used. Servers close idle ones after 60 s and more; after how long
BigCommerce does is not documented."""

START_S = 2.0
"""By then the first reading of the stores' lists has opened most connections."""

RETRY_S = 10.0
"""After no answer, or where no store could be called. The next call is still in time."""

STORES_TO_TRY = 3


async def keep_connections_warm(
    resources: Resources, api: Api, *, idle_s: float = IDLE_S, start_s: float = START_S
) -> None:
    """Make ``CONNECTIONS`` small calls to an API whenever there was none for ``idle_s`` seconds, until cancelled.

    The first ones after ``start_s``. The calls come from the quota of random stores, with the lowest priority. Nothing
    depends on their answers, so errors do not end it.
    """
    wait_s = start_s
    while True:
        await asyncio.sleep(wait_s)
        try:
            if resources.transport.idle_s(api) >= idle_s:
                await gather_all(*(_call(resources, api) for _ in range(CONNECTIONS[api])))
        except TRANSIENT_ERRORS:
            pass
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place=f"{api} connections")
        left_s = idle_s - resources.transport.idle_s(api)
        wait_s = left_s if left_s > 0 else min(RETRY_S, idle_s)


async def _call(resources: Resources, api: Api) -> None:
    """Call an API for a random store whose credentials are not refused and that has quota."""
    stores = list(resources.configuration.stores.values())
    for configured in random.sample(stores, min(STORES_TO_TRY, len(stores))):
        store = configured.store
        with structlog.contextvars.bound_contextvars(store=store.hash):
            # While a store's credentials are refused, only the probe calls BigCommerce.
            if await resources.breaker.is_open(store.hash):
                continue
            account = Account(store.hash, store.access_tokens)
            with suppress(UpstreamError):
                try:
                    await _CALLS[api](StoreApi(resources.transport, account, priority=Priority.BACKGROUND))
                except WaitUntil:
                    continue
            return


async def _list_newest(api: StoreApi) -> None:
    await api.core.orders(limit=1, min_date_created=datetime.fromtimestamp(_now(api), UTC))


async def _list_newest_records(api: StoreApi) -> None:
    await api.b2b.orders(limit=1, min_created=_now(api))


def _now(api: StoreApi) -> int:
    return int(api.transport.upstream_clock.now())


# Lists of the orders since this second, which are mostly empty.
_CALLS: Mapping[Api, Callable[[StoreApi], Awaitable[None]]] = {
    Api.CORE: _list_newest,
    Api.B2B: _list_newest_records,
}
