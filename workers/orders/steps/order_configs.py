"""The extra-field configs for one attempt at an order, read while the order is where that saves time."""

import asyncio

from service.bigcommerce import Api, StoreApi
from service.bigcommerce.models import ExtraFieldConfig
from service.orders.document.cache import Cache
from service.orders.facts.store_facts import Facts
from service.orders.state.order_entry import Entry
from service.orders.values.values_to_send import is_reading_ahead_worth_it, read_configs
from service.stores import Store
from workers.orders.window_retry import WindowRetry


class OrderConfigs:
    """Reads them from the cache or from B2B Edition. Raises the errors of Get Order Extra Field Configs."""

    def __init__(
        self, entry: Entry, store: Store, api: StoreApi, cache: Cache, facts: Facts, retry: WindowRetry
    ) -> None:
        self._entry = entry
        self._store = store
        self._api = api
        self._cache = cache
        self._facts = facts
        self._retry = retry
        self._ahead: asyncio.Task[list[ExtraFieldConfig]] | None = None

    def read_ahead(self) -> None:
        """Begin to read them, if the order's window is open and they are not at hand: the rules need them next."""
        has_quota = not self._api.transport.quota_spent_for_s(self._entry.store, Api.B2B)
        if self._retry.can_create() and has_quota and is_reading_ahead_worth_it(self._cache, self._store):
            self._api.priority = self._retry.priority
            self._ahead = asyncio.create_task(self._read(self._facts))
            # Nobody may need them. Errors are left to those who do.
            self._ahead.add_done_callback(lambda read: read.cancelled() or read.exception())

    async def get(self) -> list[ExtraFieldConfig]:
        """The configs for an attempt that has read the order, as far as that has begun from what is read ahead.

        They teach the store's facts. An error is not retried here.
        """
        ahead, self._ahead = self._ahead, None
        return await (ahead or self._read(self._facts))

    async def get_for_record(self) -> list[ExtraFieldConfig]:
        """The configs for an attempt that starts at the record. Retried while the window is open."""
        return await self._retry.call(self._read)

    async def read_again(self) -> list[ExtraFieldConfig]:
        """The configs as they are now: B2B Edition has refused a value."""
        return await self._retry.call(lambda: self._read(refresh=True))

    async def _read(self, facts: Facts | None = None, *, refresh: bool = False) -> list[ExtraFieldConfig]:
        by_hand = self._entry.values_by_hand
        return await read_configs(self._api, self._cache, self._store, by_hand=by_hand, refresh=refresh, facts=facts)
