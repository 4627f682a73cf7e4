"""Loads the documents of a store's last orders, to try rules on them: few calls, and gaps where it would take more.

Orders and, mostly, metafields come from one list each. What takes a call for each order (people, cart, quote, payments)
is read for the newest few only. The record is not read: it holds our own values.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from service.bigcommerce import StoreApi
from service.bigcommerce.complete_answers import is_complete_order
from service.bigcommerce.models import to_int
from service.errors import EnrichError
from service.orders.document.cache import Cache
from service.orders.document.loading import Document
from service.orders.document.partial_loader import LoadedOrder, listed_metafields, load_parts
from service.rules import Needs

MAX_ORDERS = 20

MAX_DEEP_ORDERS = 5
"""So many orders get what takes a call for each of them."""

LISTED = 100
"""One list call has so many orders, among which those are chosen that would be enriched."""

_DEEP_ROOTS = ("customer", "user", "company", "cart", "quote", "transactions")


class NotRead(EnrichError):
    """This part of the order's document was left out to save calls."""


@dataclass(frozen=True, slots=True)
class LastOrders:
    """The newest orders that are wanted, newest first, and how many were ``listed`` to find them."""

    orders: list[LoadedOrder]
    listed: int


async def load_last_orders(
    api: StoreApi, cache: Cache, needs: Needs, *, is_wanted: Callable[[Mapping[str, object]], bool]
) -> LastOrders:
    """Load the store's last orders that are wanted, at most ``MAX_ORDERS``, with all their metafields.

    Raises the errors of Get All Orders; what else cannot be read is a gap of its order.
    """
    listed = await api.core.orders(limit=LISTED, sort="id:desc", consignments=needs.consignments)
    complete = [order for order in listed if is_complete_order(order, consignments=needs.consignments)]
    wanted = [order for order in complete if is_wanted(order)][:MAX_ORDERS]
    # All namespaces, for a rule may name one that does not exist.
    needs = replace(needs, record=False, metafield_namespaces=frozenset())
    metafields = await listed_metafields(api, wanted, needs) if needs.metafields and wanted else None

    async def load(index: int, order: Document) -> LoadedOrder:
        order_id = to_int(order.get("id")) or 0
        known = None if metafields is None else metafields.get(order_id, {})
        of_order = needs if index < MAX_DEEP_ORDERS else _without_calls(needs, has_metafields=known is not None)
        loaded = await load_parts(api, cache, order_id, order, of_order, known)
        left_out = () if of_order is needs else _DEEP_ROOTS
        if needs.metafields and not of_order.metafields:
            left_out = (*left_out, "metafields")
        return replace(loaded, gaps={**{root: NotRead(root) for root in (*left_out, "record")}, **loaded.gaps})

    return LastOrders(await asyncio.gather(*(load(*each) for each in enumerate(wanted))), len(listed))


def _without_calls(needs: Needs, *, has_metafields: bool) -> Needs:
    """What can be had from the lists alone."""
    return replace(
        needs,
        metafields=needs.metafields and has_metafields,
        customer=False,
        user=False,
        company=False,
        cart=False,
        quote=False,
        transactions=False,
    )
