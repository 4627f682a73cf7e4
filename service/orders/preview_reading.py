"""Reads what the preview of one order needs, everything from BigCommerce, and previews it."""

import asyncio
import time
from dataclasses import dataclass, replace

from redis.asyncio import Redis

from service.bigcommerce import StoreApi
from service.bigcommerce.models import Record
from service.configuration import ConfiguredStore
from service.errors import NotFound
from service.orders.document.cache import Cache
from service.orders.document.partial_loader import LoadedOrder, load_order, of_company
from service.orders.preview import Preview, preview
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry
from service.orders.state.per_store.super_admins import SuperAdminBook, SuperAdmins
from service.redis.client import TRANSIENT_ERRORS
from service.rules import Needs


@dataclass(frozen=True, slots=True)
class PreviewReader:
    """Previews orders of one store. Without Redis, nothing is known of what was written, and of no Super Admin.

    Not the workers' cache is read: a value that was just fixed in BigCommerce must show.
    """

    redis: Redis | None
    configured: ConfiguredStore
    api: StoreApi

    async def load(self, order_id: int) -> LoadedOrder:
        """The order's document. Raises NotFound, and UpstreamError."""
        return await load_order(self.api, self._cache, order_id, self.needs)

    async def preview(self, loaded: LoadedOrder) -> Preview:
        """The preview of an order. Raises the error when something could not be read."""
        cache, needs = self._cache, self.needs
        if loaded.trouble:
            raise loaded.trouble
        configs, record, entry = await asyncio.gather(
            self.api.b2b.extra_field_configs(), self._record(loaded), self._entry(loaded.order_id)
        )
        company_id = record.company_id if record else None
        if company_id or loaded.customer_id in await self.super_admins():
            loaded = await of_company(self.api, cache, loaded, needs, company_id)
            if loaded.trouble:
                raise loaded.trouble
        return preview(
            self.configured, loaded, configs, record, entry.written, by_hand=entry.values_by_hand, now=time.time()
        )

    @property
    def _cache(self) -> Cache:
        return Cache(None, self.configured.store.hash)

    @property
    def needs(self) -> Needs:
        """What is read of an order."""
        # The user is needed even if no rule names it: an order is skipped if its buyer is not a Company user.
        return replace(self.configured.rules.needs, user=True)

    async def super_admins(self) -> SuperAdmins:
        """The Super Admins that the workers know; nobody without Redis."""
        if self.redis is None:
            return SuperAdmins()
        try:
            return await SuperAdminBook(self.redis).read(self.configured.store.hash)
        except TRANSIENT_ERRORS:
            return SuperAdmins()

    async def _record(self, loaded: LoadedOrder) -> Record | None:
        if self.needs.record:  # then it is in the document
            return Record.model_validate(loaded.document["record"]) if loaded.document["record"] else None
        try:
            return await self.api.b2b.order(loaded.order_id)
        except NotFound:
            return None

    async def _entry(self, order_id: int) -> Entry:
        """What is known of the order, from Redis; nothing without Redis."""
        store = self.configured.store.hash
        nothing = Entry(store, order_id)
        if self.redis is None:
            return nothing
        try:
            return await Ledger(self.redis).get(store, order_id) or nothing
        except TRANSIENT_ERRORS:
            return nothing
