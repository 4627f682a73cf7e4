"""What the buyer of one order sees of it in the Buyer Portal."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import SecretStr
from redis.asyncio import Redis

from service.bigcommerce import Account, Priority, QuotaWaitingApi, StoreApi, Transport
from service.bigcommerce.clients.store_api import OnWait
from service.bigcommerce.clients.storefront_api import DEFAULT_CHANNEL
from service.bigcommerce.clients.storefront_models import BuyerOrder, BuyerProduct
from service.bigcommerce.envelope import Document
from service.bigcommerce.models import ExtraFieldConfig, Record, to_int
from service.errors import NotFound, UpstreamError
from service.orders.buyer_view.buyer_session import BuyerSession
from service.orders.buyer_view.differences import Comparison, compare_order
from service.orders.buyer_view.products import (
    ShownProduct,
    compare_products,
    join_products,
    storefront_images,
    with_thumbnails,
)
from service.orders.buyer_view.shown import NotShown, Shown, shown
from service.orders.document.cache import Cache
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.orders.values.values_to_send import read_configs, remembered_configs
from service.stores import Store


@dataclass(frozen=True, slots=True)
class NobodyToLookAs:
    """There is no buyer as whom the order may be looked at. ``reason`` is a sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class OrderView:
    """One order, as its buyer sees it, beside B2B Edition's record of it."""

    store: str
    order_id: int
    customer_id: int
    channel_id: int
    record: Shown[Record]
    seen: Shown[BuyerOrder]
    products: Shown[tuple[ShownProduct, ...]]
    comparison: Comparison

    @property
    def is_known(self) -> bool:
        """Whether BigCommerce said what the buyer sees, even if that is nothing."""
        return not isinstance(self.seen, NotShown)


TIMEOUT_S = 15.0
"""Of one call: no order's window depends on it."""

MAX_WAIT_S = 65.0
"""A person waits, but the lowest priority may need a whole window of B2B Edition's quota (60 s)."""

MAX_WAITS = 60
"""Several people may look at the same time, and each turn goes to one of them."""


def api_for_views(transport: Transport, store: Store, on_wait: OnWait) -> QuotaWaitingApi:
    """The store's APIs for somebody who looks: at the lowest priority, so that orders go first.

    ``on_wait`` is told of each wait for the quota: the operation, and the seconds.
    """
    account = Account(store.hash, store.access_tokens)
    api = QuotaWaitingApi(transport, account, timeout_s=TIMEOUT_S, priority=Priority.BACKGROUND)
    api.max_wait_s, api.max_waits, api.on_wait = MAX_WAIT_S, MAX_WAITS, on_wait
    return api


OnLook = Callable[[int], Awaitable[None]]
"""Awaited with the customer's id before the first call as that buyer: whoever looks is to be recorded first."""


@dataclass(frozen=True, slots=True)
class BuyerViews:
    """Reads what the buyers of one store see. ``api`` is that of ``api_for_views``.

    ``on_look`` is for the record of who did what; its errors are raised, and then nothing is looked at.
    """

    api: StoreApi
    redis: Redis | None
    store: Store
    on_look: OnLook | None = None

    async def look_as(self, customer_id: int, channel_id: int) -> BuyerSession:
        """Calls as this buyer."""
        if self.on_look:
            await self.on_look(customer_id)
        tokens = StorefrontTokens(self.redis, self.store.hash, self.store.access_tokens)
        return BuyerSession(self.api, tokens, customer_id, channel_id)

    async def order(self, order_id: int) -> OrderView | NobodyToLookAs:
        """What the order's buyer sees. Raises UpstreamError when the order itself cannot be read."""
        order = await self.api.core.order(order_id)
        customer_id, channel_id = to_int(order["customer_id"]) or 0, to_int(order.get("channel_id")) or DEFAULT_CHANNEL
        company = await self.company_of(customer_id)
        if isinstance(company, NobodyToLookAs):
            return company
        buyer, storefront = await self.look_as(customer_id, channel_id), self.api.storefront

        async def details(token: SecretStr) -> BuyerOrder:
            return BuyerOrder.model_validate(await storefront.order_details(token, order_id))

        async def products(token: SecretStr) -> list[BuyerProduct]:
            return _products(await storefront.order_products(token, order_id))

        async def images(token: SecretStr) -> list[Document]:
            return await storefront.order_images(token, [order_id])

        (record, ordered, configs), seen, listed, pictures = await asyncio.gather(
            self._b2b_edition(order_id),
            shown(buyer.read(details)),
            shown(buyer.read(products)),
            shown(buyer.read(images)),
        )
        known = [*_of_details(seen), *(ordered if isinstance(ordered, list) else [])]
        joined = join_products(_list_or_details(listed, seen), known)
        return OrderView(
            store=self.store.hash,
            order_id=order_id,
            customer_id=customer_id,
            channel_id=channel_id,
            record=record,
            seen=seen,
            products=await self._with_thumbnails(joined, pictures, order_id),
            comparison=compare_order(record, seen, configs) + compare_products(ordered, joined),
        )

    async def company_of(self, customer_id: int) -> int | NobodyToLookAs:
        """The Company of this buyer, or why nobody looks as this customer. Raises UpstreamError.

        Super Admins act for several Companies, so no token of theirs is fetched: the Users API leaves them out.
        """
        if not customer_id:
            return NobodyToLookAs("A guest placed the order: guests have no Buyer Portal.")
        try:
            user = await self.api.b2b.user_of_customer(customer_id)
        except NotFound:
            return NobodyToLookAs(
                f"Customer {customer_id} is not a user of a Company, so the Buyer Portal shows them nothing of a "
                "Company. (Of a Super Admin, the service fetches no token.)"
            )
        return to_int(user["companyId"]) or 0

    async def configs(self) -> list[ExtraFieldConfig] | None:
        """The store's extra fields; None when they could not be read."""
        cache = Cache(self.redis, self.store.hash)
        try:
            return await remembered_configs(cache) or await read_configs(self.api, cache, self.store, refresh=True)
        except UpstreamError:
            return None

    async def _b2b_edition(
        self, order_id: int
    ) -> tuple[Shown[Record], Shown[list[BuyerProduct]], list[ExtraFieldConfig] | None]:
        """The record, its products and the store's extra fields.

        One after another: calls of the lowest priority that wait for the quota together keep each other waiting.
        """
        record = await shown(self.api.b2b.order(order_id))
        ordered = await shown(self._ordered_products(order_id))
        return record, ordered, await self.configs()

    async def _ordered_products(self, order_id: int) -> list[BuyerProduct]:
        return _products(await self.api.b2b.order_products(order_id))

    async def _with_thumbnails(
        self, products: Shown[list[BuyerProduct]], pictures: Shown[list[Document]], order_id: int
    ) -> Shown[tuple[ShownProduct, ...]]:
        if not isinstance(products, list):
            return products
        images = storefront_images(products, pictures, order_id) if isinstance(pictures, list) else {}
        unread = pictures if isinstance(pictures, NotShown) else None
        return await with_thumbnails(self.api, products, images, unread)


def _products(rows: list[Document]) -> list[BuyerProduct]:
    return [BuyerProduct.model_validate(row) for row in rows]


def _of_details(seen: Shown[BuyerOrder]) -> tuple[BuyerProduct, ...]:
    return (seen.products or ()) if isinstance(seen, BuyerOrder) else ()


def _list_or_details(listed: Shown[list[BuyerProduct]], seen: Shown[BuyerOrder]) -> Shown[list[BuyerProduct]]:
    """The list of products; where it could not be read, those in the details, if they are there."""
    if isinstance(listed, NotShown) and isinstance(seen, BuyerOrder) and seen.products is not None:
        return list(seen.products)
    return listed
