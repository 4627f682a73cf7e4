"""Makes up for lost webhooks of later changes: lists what was modified, for the whole store at once.

It also serves stores that have no webhooks for changes. The attempts that come of it read at the lowest class of the
quota, like those that a webhook caused.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import structlog

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.core_api import PER_PAGE
from service.bigcommerce.models import to_int
from service.configuration import ConfiguredStore
from service.errors import UpstreamError
from service.logs import Event
from service.orders.state.keys import changes_cursor_key
from service.orders.state.worklists.changed_orders import Change
from service.rules import needs_of_change
from workers.periodic.periodic_task import State
from workers.resources import Resources

log = structlog.get_logger()

EVERY_S = 240.0
"""A lost change is on the record within five minutes."""

OVERLAP_S = 30.0
"""A change may appear in the list so long after it was made."""

MAX_PAGES = 4
"""The pages of modified orders that one run reads; the next run goes on from there, a minute later."""


class ChangesCursor(State):
    """Up to when the changes of a store's orders have been listed, in Unix seconds on BigCommerce's clock."""

    orders: float
    metafields: float


class MissedChanges:
    """Lists a store's changes every four minutes, where its rules read what changes."""

    def __init__(self, resources: Resources, *, clock: Callable[[], float] = time.time) -> None:
        self._resources = resources
        self._clock = clock

    async def find(self, api: StoreApi, configured: ConfiguredStore, *, last_order_at: float | None) -> None:
        """Mark the orders that were modified since the last time. Raises Redis's errors.

        A list that cannot be read now is read the next time. Nothing is read where no order is followed any more: the
        store's newest came at ``last_order_at`` (our clock), longer ago than orders are followed. None: unknown.
        """
        store = configured.store
        if not store.follow_s or (last_order_at is not None and self._clock() - last_order_at > store.follow_s):
            return
        key = changes_cursor_key(store.hash)
        cursor = await ChangesCursor.read(self._resources.redis, key)
        now = self._resources.transport.upstream_clock.now()
        if cursor is None:
            await ChangesCursor(orders=now, metafields=now).write(self._resources.redis, key)
            return
        orders, metafields = cursor.orders, cursor.metafields
        if self._reads(configured, Change.MISSED_ORDER) and now - orders >= EVERY_S:
            orders = await self._try(lambda: self._list_orders(api, configured, cursor.orders, now), orders)
        if self._reads(configured, Change.MISSED_METAFIELD) and now - metafields >= EVERY_S:
            since = cursor.metafields
            metafields = await self._try(lambda: self._list_metafields(api, configured, since, now), metafields)
        if (orders, metafields) != (cursor.orders, cursor.metafields):
            await ChangesCursor(orders=orders, metafields=metafields).write(self._resources.redis, key)

    def _reads(self, configured: ConfiguredStore, change: Change) -> bool:
        return needs_of_change(configured.rules, change.roots) is not None

    async def _try(self, read: Callable[[], Awaitable[float]], otherwise: float) -> float:
        try:
            return await read()
        except UpstreamError as error:
            log.info(Event.CHECK_POSTPONED, trouble=str(error))
            return otherwise

    async def _list_orders(self, api: StoreApi, configured: ConfiguredStore, since: float, now: float) -> float:
        """Mark modified orders; returns up to when the list was read."""
        follow_s = configured.store.follow_s
        for page in range(1, MAX_PAGES + 1):
            rows = await api.core.orders(
                min_date_modified=_date(since - OVERLAP_S),
                # Orders that are no longer followed are left out by BigCommerce: an ERP may touch thousands.
                min_date_created=_date(now - follow_s),
                sort="date_modified:asc",
                page=page,
            )
            modified = [(to_int(row.get("id")) or 0, _http_time(row.get("date_modified"))) for row in rows]
            for order_id, at in modified:
                await self._mark(configured, order_id, Change.MISSED_ORDER, at)
            if len(rows) < PER_PAGE:
                return now
        return max((at for _, at in modified if at is not None), default=now)

    async def _list_metafields(self, api: StoreApi, configured: ConfiguredStore, since: float, now: float) -> float:
        namespaces = sorted(configured.rules.needs.metafield_namespaces)
        rows = await api.core.orders_metafields(modified_since=_date(since - OVERLAP_S), namespaces=namespaces)
        latest: dict[int, float | None] = {}
        for row in rows:
            latest[to_int(row.get("resource_id")) or 0] = _iso_time(row.get("date_modified"))
        for order_id, at in latest.items():
            await self._mark(configured, order_id, Change.MISSED_METAFIELD, at)
        return now

    async def _mark(self, configured: ConfiguredStore, order_id: int, change: Change, at: float | None) -> None:
        store = configured.store
        await self._resources.changed.mark(store.hash, order_id, change, follow_s=store.follow_s, changed_at=at)


def _date(moment: float) -> datetime:
    return datetime.fromtimestamp(int(moment), UTC)


def _http_time(written: Any) -> float | None:
    """A date of the V2 API, in RFC 2822's form; None when it cannot be read."""
    try:
        return parsedate_to_datetime(written).timestamp()
    except (TypeError, ValueError):
        return None


def _iso_time(written: Any) -> float | None:
    """A date of the V3 API; None when it cannot be read."""
    try:
        return datetime.fromisoformat(written).timestamp()
    except (TypeError, ValueError):
        return None
