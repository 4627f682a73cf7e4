"""The core API's V2: orders, customer groups. Responses are bare objects and arrays; an empty array is a 204."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from starlette.routing import BaseRoute

from service.sandbox.apis.documents import STATUSES, rfc_2822
from service.sandbox.apis.queries import date_of, page_of
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Handler, Refusal
from service.sandbox.state import Order


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes for orders, customer groups and the store."""

    def v2(path: str, operation: str, handler: Handler) -> BaseRoute:
        return gateway.route(Dialect.V2, "GET", f"/stores/{{store_hash}}/v2{path}", operation, handler)

    return [
        v2("/time", "Get System Timestamp", system_time),
        v2("/store", "Get Store Information", store_information),
        v2("/orders", "Get All Orders", orders),
        v2("/orders/count", "Get a Count of Orders", orders_count),
        v2("/orders/{order_id:int}", "Get an Order", order),
        v2("/orders/{order_id:int}/products", "List Order Products", order_products),
        v2("/orders/{order_id:int}/shipping_addresses", "Get Order Shipping Addresses", shipping_addresses),
        v2("/customer_groups/{group_id:int}", "Get a Customer Group", customer_group),
    ]


def system_time(call: Call) -> Done:
    """Get the platform's time."""
    return Done({"time": int(call.sandbox.shown(call.now))})


def store_information(call: Call) -> Done:
    """Get the store's information."""
    return Done({"id": call.store.hash, "name": call.store.spec.name, "status": "live", "plan_level": "Standard"})


def order(call: Call) -> Done:
    """Get an order by its ID."""
    return Done(order_document_of(call, find_order(call)))


def orders(call: Call) -> Done:
    """List orders: filtered, sorted, in pages. 204 without a body if there are none."""
    page = page_of(call, _sorted(call, filter(_order_filter(call), call.store.orders.values())))
    return Done([order_document_of(call, each) for each in page] or None)


def orders_count(call: Call) -> Done:
    """Count the orders that match the filter, in total and by status."""
    counts = Counter(order.document["status_id"] for order in filter(_order_filter(call), call.store.orders.values()))
    statuses = [{"id": number, "name": name, "count": counts[number]} for number, name in enumerate(STATUSES)]
    return Done({"statuses": statuses, "count": counts.total()})


def order_products(call: Call) -> Done:
    """List the order's line items, in pages."""
    return Done(list(page_of(call, find_order(call).products)) or None)


def shipping_addresses(call: Call) -> Done:
    """List the order's shipping addresses, in pages."""
    return Done(list(page_of(call, find_order(call).shipping_addresses)) or None)


def customer_group(call: Call) -> Done:
    """Get a customer group by its ID."""
    group = call.store.customer_group(call.path["group_id"])
    if group is None:
        raise Refusal(404, "The requested resource was not found.")
    return Done(
        {
            **group.model_dump(),
            "is_default": False,
            "is_group_for_guests": False,
            "category_access": {"type": "all"},
            "discount_rules": [],
        }
    )


def find_order(call: Call) -> Order:
    """The order in the request's path. Raises Refusal 404 when there is none."""
    found = call.store.orders.get(call.path["order_id"])
    if found is None:
        raise Refusal(404, "The requested resource was not found.")
    return found


def _order_filter(call: Call) -> Callable[[Order], bool]:
    shown = call.sandbox.shown
    bounds: list[tuple[Callable[[Order], float], float | None, float | None]] = [
        (lambda order: order.id, call.number("min_id"), call.number("max_id")),
        (
            lambda order: int(shown(order.dated_at)),
            date_of(call, "min_date_created"),
            date_of(call, "max_date_created"),
        ),
        (
            lambda order: int(shown(order.modified_at)),
            date_of(call, "min_date_modified"),
            date_of(call, "max_date_modified"),
        ),
    ]
    equal = {name: call.number(name) for name in ("customer_id", "status_id", "channel_id")}

    def matches(order: Order) -> bool:
        return all(
            (lowest is None or value(order) >= lowest) and (highest is None or value(order) <= highest)
            for value, lowest, highest in bounds
        ) and all(number is None or order.document[name] == number for name, number in equal.items())

    return matches


_SORTABLE: dict[str, Callable[[Order], Any]] = {
    "id": lambda order: order.id,
    "customer_id": lambda order: order.customer_id,
    "date_created": lambda order: order.dated_at,
    "date_modified": lambda order: order.modified_at,
    "status_id": lambda order: order.document["status_id"],
    "channel_id": lambda order: order.document["channel_id"],
    "external_id": lambda order: str(order.document["external_id"] or ""),
}


def _sorted(call: Call, orders: Iterable[Order]) -> list[Order]:
    name, _, direction = call.query.get("sort", "id:asc").partition(":")
    if name not in _SORTABLE or direction not in {"", "asc", "desc"}:
        raise Refusal(400, "The parameter sort is not valid.")
    return sorted(orders, key=_SORTABLE[name], reverse=direction == "desc")


def order_document_of(call: Call, order: Order) -> dict[str, Any]:
    """An order as V2 shows it."""
    shown = call.sandbox.shown
    status = STATUSES[order.document["status_id"]]
    included = set(call.query.get("include", "").split(","))
    document = {
        "id": order.id,
        **order.document,
        "date_created": rfc_2822(shown(order.dated_at)),
        "date_modified": rfc_2822(shown(order.modified_at)),
        "status": status,
        "custom_status": status,
        "products": _link(call, f"/orders/{order.id}/products"),
        "shipping_addresses": _link(call, f"/orders/{order.id}/shipping_addresses"),
        "coupons": _link(call, f"/orders/{order.id}/coupons"),
        "consignments": _link(call, f"/orders/{order.id}/consignments"),
    }
    whole = "consignments.line_items" in included
    if call.query.get("consignment_structure") == "object" and (whole or "consignments" in included):
        document["consignments"] = _consignments(call, order, whole=whole)
    return document


def _consignments(call: Call, order: Order, *, whole: bool) -> dict[str, Any]:
    """Digital orders have downloads; else all line items go to the first shipping address."""
    items = (
        order.products
        if whole
        else [_link(call, f"/orders/{order.id}/products/{item['id']}") for item in order.products]
    )
    if order.document["order_is_digital"]:
        parts: dict[str, Any] = {"shipping": [], "downloads": [{"line_items": items}]}
    else:
        addresses = enumerate(order.shipping_addresses)
        shipping = [{**address, "line_items": [] if number else items} for number, address in addresses]
        parts = {"shipping": shipping, "downloads": []}
    return {"pickups": [], **parts, "email": {"gift_certificates": []}}


def _link(call: Call, resource: str) -> dict[str, str]:
    return {"url": f"{call.base_url}/stores/{call.store.hash}/v2{resource}", "resource": resource}
