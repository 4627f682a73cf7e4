"""B2B Edition's storefront API, Orders: a buyer's orders, their products and images."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.routing import BaseRoute

from service.sandbox.apis.product_pictures import picture_url
from service.sandbox.apis.storefront.buyer_documents import (
    details_document,
    listed_document,
    ordered_product_documents,
    product_document,
)
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Handler, Refusal
from service.sandbox.state import Order, Record

DEFAULT_PER_PAGE = 10
LISTED_DAYS_S = 30 * 24 * 3600
ADMIN, SENIOR_BUYER = 0, 1


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes for orders and ordered products."""

    def storefront(path: str, operation: str, handler: Handler) -> BaseRoute:
        return gateway.route(Dialect.STOREFRONT, "GET", f"/api/v2{path}", operation, handler)

    return [
        storefront("/orders", "Get All Orders", orders),
        storefront("/orders/images", "Get Order Images", images),
        storefront("/orders/{order_id:int}/details", "Get Order Details", details),
        storefront("/orders/{order_id:int}/products", "Get Order Products", products),
        storefront("/ordered-products", "Get Ordered Product List", ordered_products),
    ]


def orders(call: Call) -> Done:
    """List the buyer's orders, the newest first; with ``isShowMy=1`` those of the whole Company, for some roles."""
    whole_company = call.number("isShowMy") == 1
    with_fields = call.number("includeExtra") != 1
    found = [
        (order, record) for order, record in _visible(call) if whole_company or order.customer_id == _customer_id(call)
    ]
    rows = [listed_document(call, order, record, extra=with_fields) for order, record in _since(call, found)]
    return _listing(call, rows)


def details(call: Call) -> Done:
    """Get an order that the buyer sees."""
    return _done(details_document(call, *_order(call)))


def products(call: Call) -> Done:
    """List the products of an order that the buyer sees: ids and quantities."""
    order, _ = _order(call)
    return _done([product_document(product) for product in order.products])


def images(call: Call) -> Done:
    """List the images of the products of those of the orders that the buyer sees."""
    wanted = set(call.query.getlist("orderIds[]"))
    if not wanted:
        raise Refusal(400, "orderIds[] is required.")
    if not call.sandbox.options.storefront_images:
        return _done([])
    return _done(
        [
            {"orderId": order.id, "imageUrl": picture_url(call, product["product_id"])}
            for order, _ in _visible(call)
            if str(order.id) in wanted
            for product in order.products
        ]
    )


def ordered_products(call: Call) -> Done:
    """List the products that the buyer has ordered."""
    own = [(order, record) for order, record in _visible(call) if order.customer_id == _customer_id(call)]
    return _listing(call, ordered_product_documents(call, [order for order, _ in _since(call, own)]))


def _customer_id(call: Call) -> int:
    assert call.buyer
    return call.buyer.customer_id


def _visible(call: Call) -> Iterator[tuple[Order, Record]]:
    """The orders that the buyer sees, the newest first.

    A Company's user sees the orders of that Company: own ones, as Admin or Senior Buyer also the others'. Not those
    that were placed for a subsidiary. A shopper without a Company sees own orders.
    """
    at = call.now - call.sandbox.faults.storefront_lag
    may_see = _sight(call)
    for order in sorted(call.store.orders.values(), key=lambda order: (order.placed_at, order.id), reverse=True):
        record = order.record(at)
        if record and order.document["channel_id"] == (call.buyer and call.buyer.channel_id) and may_see(order, record):
            yield order, record


def _sight(call: Call) -> Callable[[Order, Record], bool]:
    customer_id = _customer_id(call)
    user = call.store.user(customer_id)
    if user is None:
        return lambda order, record: order.customer_id == customer_id and record.company_id is None
    sees_all = user.role in (ADMIN, SENIOR_BUYER)
    return lambda order, record: record.company_id == user.company_id and (sees_all or order.customer_id == customer_id)


def _order(call: Call) -> tuple[Order, Record]:
    for order, record in _visible(call):
        if order.id == call.path["order_id"]:
            return order, record
    raise Refusal(404, "Order Does not Exist")


def _since(call: Call, found: Sequence[tuple[Order, Record]]) -> list[tuple[Order, Record]]:
    """Those from ``beginDateAt`` on, without it from the last 30 days on."""
    text = call.query.get("beginDateAt")
    begin = call.now - LISTED_DAYS_S
    if text:
        try:
            begin = datetime.strptime(text, "%m/%d/%Y").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise Refusal(400, "beginDateAt is not a date such as 01/31/2026.") from None
    return [(order, record) for order, record in found if call.sandbox.shown(order.placed_at) >= begin]


def _listing(call: Call, rows: Sequence[dict[str, Any]]) -> Done:
    limit, offset = call.number("limit") or DEFAULT_PER_PAGE, call.number("offset") or 0
    if limit < 1 or offset < 0:
        raise Refusal(400, "limit must be at least 1, offset at least 0.")
    paginator = {"paginator": {"totalCount": len(rows), "offset": offset, "limit": limit}}
    listed = {"list": list(rows[offset : offset + limit])}
    if call.sandbox.options.storefront_paginator_in == "body":
        return Done({"code": 200, "message": "SUCCESS", "data": listed, **paginator})
    return _done(listed | paginator)


def _done(data: Any) -> Done:
    return Done({"code": 200, "message": "SUCCESS", "data": data})
