"""What one buyer sees in the Buyer Portal: their orders with PO numbers and extra fields, and the products ordered."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

from pydantic import SecretStr

from service.bigcommerce.clients.storefront_api import DEFAULT_CHANNEL
from service.bigcommerce.clients.storefront_models import BuyerOrder, BuyerProduct
from service.bigcommerce.models import Page, Record
from service.orders.buyer_view.buyer_session import BuyerSession
from service.orders.buyer_view.differences import Comparison, compare_order
from service.orders.buyer_view.order_view import BuyerViews, NobodyToLookAs
from service.orders.buyer_view.products import ShownProduct, image_url, with_thumbnails
from service.orders.buyer_view.shown import Absent, NotShown, Shown, shown

T = TypeVar("T")

PER_PAGE = 10
"""As the Buyer Portal has it; more would need more calls to hold them against the records."""

LISTED_DAYS = 365
"""Without a date, the storefront API lists 30 days, and the management API's list of records one year."""

MAX_RECORD_PAGES = 3
"""Of 200 records each, of the buyer's Company, to hold one page of orders against."""

MAX_CONFIRMED = 5
"""Records that are read one by one, because the list of records seems to differ from what the buyer sees."""

# Both APIs show an order's time in whole seconds, and the record may be made later than the order.
_SLACK_S = 3600


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """An order in the buyer's list, held against its record."""

    order: BuyerOrder
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class BuyerPage:
    """One page of a buyer's orders since a day, and one of the products that they ordered."""

    store: str
    customer_id: int
    channel_id: int
    company_id: int
    since: date
    orders: Shown[Page[ListedOrder]]
    products: Shown[Page[ShownProduct]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a buyer's page to read. ``whole_company`` adds orders of the Company's other buyers."""

    since: date
    orders_offset: int = 0
    products_offset: int = 0
    limit: int = PER_PAGE
    whole_company: bool = False

    @classmethod
    def of_last_year(cls, today: date) -> "Wanted":
        """The first page of the last year."""
        return cls(today - timedelta(days=LISTED_DAYS))


async def read_buyer_page(
    views: BuyerViews, customer_id: int, wanted: Wanted, *, channel_id: int = DEFAULT_CHANNEL
) -> BuyerPage | NobodyToLookAs:
    """What the buyer sees. Raises UpstreamError when it is unknown whether the customer is a Company's buyer."""
    company_id = await views.company_of(customer_id)
    if isinstance(company_id, NobodyToLookAs):
        return company_id
    buyer = await views.look_as(customer_id, channel_id)
    orders, products = await asyncio.gather(_orders(views, buyer, company_id, wanted), _products(views, buyer, wanted))
    return BuyerPage(views.store.hash, customer_id, channel_id, company_id, wanted.since, orders, products)


async def _orders(views: BuyerViews, buyer: BuyerSession, company_id: int, wanted: Wanted) -> Shown[Page[ListedOrder]]:
    async def listed(token: SecretStr) -> Page[BuyerOrder]:
        page = await views.api.storefront.orders(
            token,
            since=wanted.since,
            whole_company=wanted.whole_company,
            limit=wanted.limit,
            offset=wanted.orders_offset,
        )
        return _page(page, [BuyerOrder.model_validate(row) for row in page.items])

    page, configs = await asyncio.gather(shown(buyer.read(listed)), views.configs())
    if not isinstance(page, Page):
        return page
    records = await shown(_records(views, company_id, page.items))
    to_confirm = list[int]()
    for order in page.items:
        if isinstance(records, dict) and compare_order(_record_of(records, order), order, configs).differences:
            to_confirm.append(order.order_id)
    certain = {each: await shown(views.api.b2b.order(each)) for each in to_confirm[:MAX_CONFIRMED]}
    unread = NotShown(f"Only {MAX_CONFIRMED} records are read one by one.")

    def compared(order: BuyerOrder) -> ListedOrder:
        record = certain.get(order.order_id, unread) if order.order_id in to_confirm else _record_of(records, order)
        return ListedOrder(order, compare_order(record, order, configs))

    return _page(page, [compared(order) for order in page.items])


def _record_of(records: Shown[dict[int, Record]], order: BuyerOrder) -> Shown[Record]:
    if not isinstance(records, dict):
        return records
    return records.get(order.order_id) or NotShown("The list of records does not show it.")


async def _records(views: BuyerViews, company_id: int, orders: Sequence[BuyerOrder]) -> dict[int, Record]:
    """The records of the Company from the time of these orders, as far as the list shows them."""
    times = [int(order.created_at) for order in orders if order.created_at is not None]
    if not times:
        return {}
    found, offset = dict[int, Record](), 0
    for _ in range(MAX_RECORD_PAGES):
        page = await views.api.b2b.orders(
            min_created=min(times) - _SLACK_S,
            max_created=max(times) + _SLACK_S,
            company_id=company_id,
            offset=offset,
        )
        found |= {record.order_id: record for record in map(Record.model_validate, page.items)}
        if page.next_offset is None:
            break
        offset = page.next_offset
    return found


async def _products(views: BuyerViews, buyer: BuyerSession, wanted: Wanted) -> Shown[Page[ShownProduct]]:
    async def listed(token: SecretStr) -> Page[BuyerProduct]:
        page = await views.api.storefront.ordered_products(
            token, since=wanted.since, limit=wanted.limit, offset=wanted.products_offset
        )
        return _page(page, [BuyerProduct.model_validate(row) for row in page.items])

    page = await shown(buyer.read(listed))
    if isinstance(page, NotShown | Absent):
        return page
    urls = {product.product_id: image_url(product.image_url) for product in page.items}
    images = {product_id: url for product_id, url in urls.items() if url}
    return _page(page, list(await with_thumbnails(views.api, page.items, images)))


def _page(like: Page[Any], items: list[T]) -> Page[T]:
    return Page(items, like.total, like.next_offset)
