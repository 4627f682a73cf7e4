"""Reads the order for an attempt, with as few calls as possible: what was read lately is not read again.

An order that waits for quota is attempted many times. So three things save calls:

- What was read is kept in this process, and counts for ``FRESH_S``. Why that breaks no promise: each change that a
  webhook or a list tells of makes what was read before it count no more; so does a new start of the order, by a person
  or because it was woken. A change that nobody has told of yet is told of later, and read then, for the entry says when
  the order was really read (``Stage.READ``). In a store that follows no changes (``follow = "0s"``), values of up to
  ``FRESH_S`` ago are as good as those of its first reading.
- After its window, an order that only quota was missing for is not read before there is quota for its Update. In its
  window, one that no Create is left for waits a moment, so that those that come meanwhile are read in the same call.
- When such an order is read, the store's others that wait are read in the same list calls.

Orders that can be created are read at once, alone where no others are read, as if there was none of this.
"""

import json
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, NamedTuple

from service.bigcommerce import Account, Api, StoreApi, Transport
from service.configuration import ConfiguredStore
from service.errors import NotFound, OutOfBudget, TryAgain
from service.orders.document.batch_loader import OrderLoader
from service.orders.document.kept_orders import CART, KeptOrders, OrderParts
from service.orders.document.loading import Document
from service.orders.state.order_entry import Entry, Stage
from service.orders.state.queue import BACKFILL
from service.orders.state.worklists.changed_orders import ChangedOrders
from service.orders.state.worklists.waiting_orders import POLL
from service.redis.client import TRANSIENT_ERRORS
from service.rules import Needs
from workers.orders.result_types import AttemptResult, AwaitingValues, Finished, RetryLater, Written
from workers.orders.window_retry import WindowRetry

FRESH_S = 60.0
"""The longest time for which one source has no quota (the core quota resets every 30 seconds), and then the next."""

TOLERANCE_S = 2.0
"""BigCommerce's times have whole seconds, and its clock is known to about a second. (``mark_changed.lua``)"""

TOGETHER_S = 2.0
"""So long an order waits for others that are read with it, when there is no Create for it anyway."""

WAITING_S = 300.0
"""An order that was not attempted for so long is not read with others: another worker may have finished it."""

CALLS_TO_WRITE = 2
"""Get an Order and Update an Order."""

MOST_OF_A_CART = 16_384
"""Characters of a cart that an entry holds; one with more is kept in memory only."""


class ReadOrder(NamedTuple):
    """An order's document, and since when it is known, in Unix seconds."""

    document: Document
    at: float


class OrderReader:
    """Reads the orders of all stores for this process's attempts."""

    def __init__(self, transport: Transport, changed: ChangedOrders, *, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._changed = changed
        self._clock = clock
        self._kept = KeptOrders()
        self._loaders: dict[tuple[str, bool], OrderLoader] = {}

    async def read(self, entry: Entry, api: StoreApi, configured: ConfiguredStore, retry: WindowRetry) -> ReadOrder:
        """The order and its metafields. Errors are those of the calls; OutOfBudget where it is too early to read."""
        parts = self._kept.of(entry.store, entry.order_id, configured.rules.needs, now=self._clock())
        parts.created_hint = retry.window.opened_at or None
        is_urgent = retry.can_create() and not self._lacks_create(configured, retry)
        await self._await_quota(entry, retry, is_urgent=is_urgent)
        now = self._clock()
        await self._drop_old(entry, parts, configured, retry, now)
        others = [] if is_urgent else self._kept.others(entry.store, parts, since=now - WAITING_S)
        may_wait = not is_urgent or entry.source == BACKFILL or entry.woken_by == POLL
        loader = self._loader(api.account, may_wait=may_wait)
        document = await retry.call(
            lambda: loader.complete(api, parts, asked_at=now, others=others),
            # BigCommerce may send an order's webhook before the order can be read.
            transient=(TryAgain, NotFound),
        )
        return ReadOrder(document, self._clock() if parts.read_at >= now else parts.read_at)

    def sources(self, entry: Entry, needs: Needs) -> MutableMapping[str, Any]:
        """The sources of the order that were read and still count, by root. What is read now is to be added."""
        now = self._clock()
        known = self._kept.of(entry.store, entry.order_id, needs, now=now)
        if entry.cart is not None:
            known.sources.setdefault(CART, entry.cart)
        if not known.sources.keys() - {CART}:
            known.sources_at = now
        return known.sources

    def settle(self, entry: Entry, result: AttemptResult) -> None:
        """An attempt has ended: keep what it read if another one is to follow soon. The entry is saved after this."""
        if isinstance(result, Written | Finished):
            entry.cart = None
        elif (cart := self._kept.source(entry.store, entry.order_id, CART)) is not None:
            entry.cart = cart if len(json.dumps(cart)) <= MOST_OF_A_CART else None
        if not isinstance(result, RetryLater | AwaitingValues):
            self.forget(entry)

    def forget(self, entry: Entry) -> None:
        """Have the order read anew: it has changed."""
        self._kept.forget(entry.store, entry.order_id)

    def _lacks_create(self, configured: ConfiguredStore, retry: WindowRetry) -> bool:
        """Whether no Create is left for an order in its window, as far as this process knows."""
        if configured.store.creates_as_buyer:
            return False  # it may go over the storefront API
        return self._transport.quota_spent_for_s(configured.store.hash, Api.B2B) > retry.window_left()

    async def _await_quota(self, entry: Entry, retry: WindowRetry, *, is_urgent: bool) -> None:
        """Raise OutOfBudget if the order can be read later just as well."""
        if retry.is_open():
            is_first = entry.attempts <= 1 and Stage.READ not in entry.times
            if not is_urgent and is_first and retry.can_create() and retry.window_left() > TOGETHER_S:
                raise OutOfBudget("Create an Order", seconds=TOGETHER_S)
            return
        if entry.recovering_since is None or Stage.READ not in entry.times or entry.woken_by == POLL:
            return  # whether it is to be written at all is not known yet
        with suppress(*TRANSIENT_ERRORS):
            quota = await self._transport.quota_left(entry.store, Api.B2B)
            if quota and (wait_s := quota.wait_s(retry.priority, CALLS_TO_WRITE)):
                raise OutOfBudget("Get an Order", seconds=wait_s)

    async def _drop_old(
        self, entry: Entry, parts: OrderParts, configured: ConfiguredStore, retry: WindowRetry, now: float
    ) -> None:
        """Drop what was read too long ago, or before the order changed or was queued again."""
        oldest = max(now - FRESH_S, entry.times.get(Stage.QUEUED, 0.0))
        if entry.late_until is not None and retry.can_create():
            oldest = now  # it has waited for what comes late
        elif not configured.store.follow_s:
            # Another worker's attempt may have been told of a change of status, and nothing else tells of it.
            oldest = now if entry.attempts > parts.attempt + 1 else oldest
        elif parts.order is not None:
            try:
                changed_at = await self._changed.changed_at(entry.store, entry.order_id)
            except TRANSIENT_ERRORS:
                changed_at = now
            if changed_at is not None:
                oldest = max(oldest, changed_at + TOLERANCE_S - entry.skew)
        parts.attempt = entry.attempts
        parts.drop_before(min(oldest, now))

    def _loader(self, account: Account, *, may_wait: bool) -> OrderLoader:
        """The account's loader. Orders that may wait have one of their own, so that new ones never wait for them."""
        loader = self._loaders.get((account.store_hash, may_wait))
        if loader is None or loader.account != account:  # its access tokens have been replaced
            loader = self._loaders[account.store_hash, may_wait] = OrderLoader(self._transport, account)
        return loader
