"""Keeps the extra-field configs of stores that have orders in the cache, so that no order waits for them."""

from collections.abc import Callable
from contextlib import suppress

from service.bigcommerce import StoreApi
from service.errors import UpstreamError
from service.orders.document.cache import CONFIGS_TTL_S, Cache
from service.orders.values.values_to_send import read_configs
from service.stores import Store
from workers.resources import Resources

REFRESH_AFTER_S = CONFIGS_TTL_S / 2
"""Read again so long before they are too old, for the next reading of the store's list may be a minute away."""


async def refresh_field_configs(
    resources: Resources, store: Store, api: StoreApi, *, clock: Callable[[], float]
) -> None:
    """Read the store's extra-field configs if they will soon be too old to be used.

    Errors of BigCommerce are ignored: orders read what is missing themselves, and tell of it. Others are Redis's own.
    """
    cache = Cache(resources.redis, store.hash, clock=clock)
    with suppress(UpstreamError):
        await read_configs(api, cache, store, fresh_s=REFRESH_AFTER_S, facts=resources.facts)
