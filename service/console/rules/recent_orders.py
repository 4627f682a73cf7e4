"""The documents of each store's newest orders, for the rules editor: read when it opens, kept in memory for a while.

They hold shoppers' data, so they are never written anywhere, and only admins see them.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from redis.asyncio import Redis

from service.bigcommerce import QuotaWaitingApi
from service.bigcommerce.models import ExtraFieldConfig
from service.configuration import ConfiguredStore
from service.console.store_apis import StoreApis
from service.errors import EnrichError
from service.logs import Event
from service.orders.document.cache import Cache
from service.orders.document.loading import NoCompanyUser
from service.orders.document.partial_loader import LoadedOrder, load_newest, load_order, of_company
from service.orders.state.per_store.super_admins import SuperAdminBook, SuperAdmins
from service.process.task_cancellation import cancel_and_wait
from service.redis.client import TRANSIENT_ERRORS
from service.rules import Evaluation, Needs
from service.rules.expression import ROOTS, Expression

log = structlog.get_logger()

ORDERS = 20

KEEP_S = 600.0

RETRY_AFTER_S = 5.0
"""Orders that could not be read are tried again at the next look, but not at each key that somebody presses."""

MAX_STORES = 8
MAX_BYTES = 64 * 1024 * 1024
"""Of all documents, as JSON. Beyond either, the oldest are forgotten."""

LISTED_ROOTS = frozenset({"order", "products", "shipping_addresses", "metafields"})
"""What a few list calls bring. ``user`` is read as well: whether the buyer is a Company user decides about an order."""


@dataclass(slots=True)
class HeldOrders:
    """The newest orders of a store, as far as they are read.

    ``roots`` are those that are read, ``waits_for`` is what the reading waits for just now, ``error`` why it ended
    early. ``whole`` maps an order to its whole document, where somebody searches in it. ``evaluations`` are those of
    the last rules that were compared.
    """

    store: str
    roots: frozenset[str]
    begun_at: float
    ended_at: float = 0.0
    orders: Sequence[LoadedOrder] = ()
    configs: list[ExtraFieldConfig] = field(default_factory=list)
    done: int = 0
    total: int = 0
    waits_for: str = ""
    error: str = ""
    is_complete: bool = False
    size: int = 0
    whole: dict[int, LoadedOrder] = field(default_factory=dict)
    evaluations: dict[str, list[Evaluation]] = field(default_factory=dict)
    task: "asyncio.Task[None] | None" = None

    @property
    def is_reading(self) -> bool:
        return self.task is not None and not self.task.done()

    def unread(self, loaded: LoadedOrder) -> frozenset[str]:
        """The roots that are not read of this order; what could not be read is among them."""
        return (frozenset(ROOTS) - self.roots) | self.unread_of_whole(loaded)

    @staticmethod
    def unread_of_whole(loaded: LoadedOrder) -> frozenset[str]:
        """The roots that were asked for and could not be read. A buyer without a Company user is no such thing."""
        return frozenset(root for root, gap in loaded.gaps.items() if not isinstance(gap, NoCompanyUser))


class RecentOrders:
    """The held orders of all stores."""

    def __init__(self, apis: StoreApis, redis: Redis, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``redis`` is read only: who the stores' Super Admins are."""
        self._apis = apis
        self._redis = redis
        self._clock = clock
        self._held: dict[str, HeldOrders] = {}

    async def of(
        self, configured: ConfiguredStore, roots: frozenset[str], *, again: bool = False, wait_s: float = 0.0
    ) -> HeldOrders:
        """The store's orders with at least these roots; reading begins if they are not held, or ``again``.

        Waits up to ``wait_s`` seconds for it.
        """
        store = configured.store.hash
        held = self._held.get(store)
        if held is None or self._is_old(held) or again or not held.roots >= roots:
            known = held.roots if held is not None and not self._is_old(held) else frozenset()
            if held is not None:
                await _stop(held)
            held = HeldOrders(store, LISTED_ROOTS | {"user"} | roots | known, self._clock())
            self._held.pop(store, None)
            self._held[store] = held
            held.task = asyncio.create_task(self._read(configured, held))
        self._forget_old()
        if held.task is not None and not held.task.done() and wait_s:
            await asyncio.wait([held.task], timeout=wait_s)
        return held

    async def whole(self, configured: ConfiguredStore, held: HeldOrders, order_id: int) -> LoadedOrder:
        """The whole document of one order, with all roots. Raises the errors of Get an Order."""
        loaded = held.whole.get(order_id)
        if loaded is None:
            api, cache = self._apis.of(configured), Cache(None, held.store)
            loaded = held.whole[order_id] = await load_order(api, cache, order_id, _needs_of(frozenset(ROOTS)))
            held.size += _size(loaded)
            self._forget_old()
        return loaded

    async def close(self) -> None:
        """Stop reading, and forget all."""
        for held in self._held.values():
            await _stop(held)
        self._held.clear()

    async def _read(self, configured: ConfiguredStore, held: HeldOrders) -> None:
        api = self._apis.of(configured)
        _note_waits(api, held)

        def progress(done: int, total: int) -> None:
            held.done, held.total, held.waits_for = done, total, ""

        try:
            held.configs = await api.b2b.extra_field_configs()
            cache = Cache(None, held.store)
            needs, known = _needs_of(held.roots), await self._super_admins(held.store)
            held.orders = [
                await of_company(api, cache, loaded, needs, None) if loaded.customer_id in known else loaded
                for loaded in await load_newest(api, cache, ORDERS, needs, progress)
            ]
            held.size = sum(map(_size, held.orders))
            held.is_complete = True
            self._forget_old()
        except EnrichError as error:
            held.error = str(error)
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="console")
            held.error = "The log says what went wrong (internal_error)."
        finally:
            held.waits_for = ""
            held.ended_at = self._clock()

    async def _super_admins(self, store: str) -> SuperAdmins:
        try:
            return await SuperAdminBook(self._redis).read(store)
        except TRANSIENT_ERRORS:
            return SuperAdmins()

    def _is_old(self, held: HeldOrders) -> bool:
        now = self._clock()
        return now - held.begun_at > KEEP_S or (bool(held.error) and now - held.ended_at > RETRY_AFTER_S)

    def _forget_old(self) -> None:
        """Forget what is too old, and the oldest beyond the limits; the newest stays."""
        for store, held in list(self._held.items())[:-1]:
            too_many = len(self._held) > MAX_STORES or sum(each.size for each in self._held.values()) > MAX_BYTES
            if (too_many or self._is_old(held)) and not held.is_reading:
                del self._held[store]


def _needs_of(roots: frozenset[str]) -> Needs:
    return Needs.of([Expression.compile(root, root).reads for root in sorted(roots)])


def _note_waits(api: QuotaWaitingApi, held: HeldOrders) -> None:
    def note(operation: str, seconds: float) -> None:
        held.waits_for = f"{operation} waits {seconds:.0f} s for the store's quota: orders go first."

    api.on_wait = note


def _size(loaded: LoadedOrder) -> int:
    return len(json.dumps(loaded.document))


async def _stop(held: HeldOrders) -> None:
    if held.task is not None and not held.task.done():
        with suppress(asyncio.CancelledError):
            await cancel_and_wait([held.task])
