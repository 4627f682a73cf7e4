"""Loads what rules read beside the order and its people: its cart, its quote and its payments."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from service.bigcommerce import StoreApi
from service.bigcommerce.models import to_int
from service.errors import NotFound, Refused, TryAgain
from service.orders.document.cache import Cache
from service.orders.document.loading import Document, by_namespace
from service.orders.document.quote_search import read_quote
from service.rules import Needs


async def read_sources(
    api: StoreApi,
    cache: Cache,
    order: Document,
    needs: Needs,
    *,
    made_at: float | None = None,
    known: MutableMapping[str, Any] | None = None,
) -> Document:
    """Load the roots ``cart``, ``quote`` and ``transactions`` of an order, as far as ``needs`` names them.

    ``made_at`` is when the order was made, where its ``date_created`` does not say; Unix seconds. Roots in ``known``
    are not read; what is read is added to it, also when another read fails.
    """
    known = {} if known is None else known

    async def read_one(root: str, read: Callable[[], Awaitable[Any]]) -> Any:
        if root not in known:
            known[root] = await read()
        return known[root]

    readers = source_readers(api, cache, order, needs, made_at=made_at)
    values = await asyncio.gather(*(read_one(root, read) for root, read in readers.items()))
    return no_sources() | dict(zip(readers, values, strict=True))


def no_sources() -> Document:
    """These roots without values."""
    # Nothing fills ``record`` in the life of an order yet: it can only be read after the Create. Previews fill it.
    return {"cart": {}, "quote": {}, "transactions": [], "record": {}}


def source_readers(
    api: StoreApi, cache: Cache, order: Document, needs: Needs, *, made_at: float | None = None
) -> dict[str, Callable[[], Awaitable[Any]]]:
    """The read of each root that ``needs`` names."""
    readers: dict[str, tuple[bool, Callable[[], Awaitable[Any]]]] = {
        "cart": (needs.cart, lambda: _read_cart(api, order)),
        "quote": (needs.quote, lambda: read_quote(api, cache, order, made_at=made_at)),
        "transactions": (needs.transactions, lambda: _read_transactions(api, order)),
    }
    return {root: read for root, (is_needed, read) in readers.items() if is_needed}


async def _read_cart(api: StoreApi, order: Document) -> Document:
    """The order's cart; empty for an order without a cart, as one made by an API, and when the cart is gone."""
    cart_id = order.get("cart_id")
    if not isinstance(cart_id, str) or not cart_id:
        return {}
    try:
        return {"metafields": by_namespace(await api.core.cart_metafields(cart_id))}
    except NotFound:
        return {}
    except Refused as refused:
        raise _not_the_orders_fault(refused) from refused


async def _read_transactions(api: StoreApi, order: Document) -> list[Document]:
    """The order's payments. The order was just read, so a 404 can only mean that it has none."""
    try:
        return await api.core.transactions(to_int(order.get("id")) or 0)
    except NotFound:
        return []
    except Refused as refused:
        raise _not_the_orders_fault(refused) from refused


def _not_the_orders_fault(refused: Refused) -> TryAgain:
    """A read that BigCommerce refuses says nothing about the order: it is tried again, and never fails the order."""
    return TryAgain(refused.operation, refused.message, status=refused.status)
