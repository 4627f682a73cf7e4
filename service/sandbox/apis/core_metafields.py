"""The core API's metafields of orders and carts. Those of an order can be written; this sends webhooks."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from starlette.routing import BaseRoute

from service.sandbox.apis.core_v2 import find_order
from service.sandbox.apis.documents import iso_8601
from service.sandbox.apis.queries import date_of, listed, listing
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Handler, Refusal
from service.sandbox.state import Metafield, Order
from service.sandbox.storefront import Storefront

MAX_PER_ORDER = 250

PLATFORM_NAMESPACE = "b2b"
"""Of the platform's own metafields. It is not documented: clients must not rely on it."""

_LENGTHS = {"namespace": 64, "key": 64, "value": 65_535}
_DATES = ("date_created", "date_modified")


def routes(gateway: Gateway, storefront: Storefront) -> list[BaseRoute]:
    """The routes for metafields."""

    def v3(method: str, path: str, operation: str, handler: Handler) -> BaseRoute:
        return gateway.route(Dialect.V3, method, f"/stores/{{store_hash}}/v3{path}", operation, handler)

    def create(call: Call) -> Done:
        return _create(call, storefront)

    def update(call: Call) -> Done:
        return _update(call, storefront)

    def delete(call: Call) -> Done:
        return _delete(call, storefront)

    of_order = "/orders/{order_id:int}/metafields"
    return [
        v3("GET", "/orders/metafields", "Get All Order Metafields", orders_metafields),
        v3("GET", of_order, "Get Order Metafields", order_metafields),
        v3("POST", of_order, "Create Metafields", create),
        v3("GET", f"{of_order}/{{metafield_id:int}}", "Get a Metafield", metafield),
        v3("PUT", f"{of_order}/{{metafield_id:int}}", "Update a Metafield", update),
        v3("DELETE", f"{of_order}/{{metafield_id:int}}", "Delete a Metafield", delete),
        v3("GET", "/carts/{cart_id}/metafields", "Get Cart Metafields", cart_metafields),
    ]


def order_metafields(call: Call) -> Done:
    """List one order's metafields."""
    return listing(call, _filtered(call, _of_order(call, find_order(call))))


def orders_metafields(call: Call) -> Done:
    """List the metafields of all orders."""
    every = (document for order in call.store.orders.values() for document in _of_order(call, order))
    return listing(call, _filtered(call, every))


def metafield(call: Call) -> Done:
    """Get one metafield of an order."""
    order = find_order(call)
    return _done(call, order, _find(call, order))


def cart_metafields(call: Call) -> Done:
    """List the metafields of an order's cart; 404 when the cart is gone."""
    cart_id = call.path["cart_id"]
    orders = (order for order in call.store.orders.values() if order.document["cart_id"] == cart_id)
    order = next(orders, None)
    if order is None or order.cart_metafields is None:
        raise Refusal(404, "Cart not found.")
    return listing(call, _filtered(call, [_document(call, each, "cart", cart_id) for each in order.cart_metafields]))


def _create(call: Call, storefront: Storefront) -> Done:
    """Create a metafield of an order."""
    order, fields = find_order(call), _validated(call.fields)
    for name in _LENGTHS:
        if name not in fields:
            raise _invalid(**{name: "error.path.missing"})
    if order.metafield(fields["namespace"], fields["key"]):
        raise Refusal(409, "The metafield conflicts with another metafield.")
    if len(order.metafields) >= MAX_PER_ORDER:
        raise _invalid(resource_id=f"There are {MAX_PER_ORDER} metafields already.")
    created = storefront.create_metafield(call.store, order, fields["namespace"], fields["key"], fields["value"])
    return _done(call, order, created)


def _update(call: Call, storefront: Storefront) -> Done:
    """Update a metafield of an order."""
    order = find_order(call)
    found, fields = _find(call, order), _validated(call.fields)
    other = order.metafield(fields.get("namespace", found.namespace), fields.get("key", found.key))
    if other not in (None, found):
        raise Refusal(409, "The metafield conflicts with another metafield.")
    storefront.update_metafield(call.store, order, found, fields)
    return _done(call, order, found)


def _delete(call: Call, storefront: Storefront) -> Done:
    """Delete a metafield of an order."""
    order = find_order(call)
    storefront.delete_metafield(call.store, order, _find(call, order))
    return Done()


def _find(call: Call, order: Order) -> Metafield:
    for each in order.metafields:
        if each.id == call.path["metafield_id"]:
            return each
    raise Refusal(404, "A metafield was not found with this query.")


def _validated(fields: dict[str, Any]) -> dict[str, str]:
    """The namespace, key and value among these fields. ``permission_set`` and others are accepted and not kept."""
    known = {name: fields[name] for name in _LENGTHS if name in fields}
    wrong = {
        name: "error.invalid"
        for name, text in known.items()
        if not isinstance(text, str) or not 0 < len(text) <= _LENGTHS[name]
    }
    if wrong:
        raise _invalid(**wrong)
    return known


def _invalid(**errors: str) -> Refusal:
    return Refusal(422, "The Metafield is not valid.", errors)


def _done(call: Call, order: Order, written: Metafield) -> Done:
    return Done({"data": _document(call, written, "order", order.id), "meta": {}})


def _of_order(call: Call, order: Order) -> list[dict[str, Any]]:
    of_platform = [] if order.order_type is None or order.order_type_at > call.now else [_order_type(order)]
    return [_document(call, each, "order", order.id) for each in (*order.metafields, *of_platform)]


def _order_type(order: Order) -> Metafield:
    at, value = order.order_type_at, order.order_type or ""
    return Metafield(-order.id, PLATFORM_NAMESPACE, "orderType", value, created_at=at, modified_at=at)


def _document(call: Call, each: Metafield, owner: str, owner_id: int | str) -> dict[str, Any]:
    shown = call.sandbox.shown
    return {
        "id": each.id,
        "namespace": each.namespace,
        "key": each.key,
        "value": each.value,
        "description": "",
        "permission_set": "read_and_sf_access",
        "resource_type": owner,
        "resource_id": owner_id,
        "date_created": iso_8601(shown(each.created_at)),
        "date_modified": iso_8601(shown(each.modified_at)),
        "owner_client_id": "sandbox",
    }


def _filtered(call: Call, documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    bounds = {name: (date_of(call, f"{name}:min"), date_of(call, f"{name}:max")) for name in _DATES}
    namespaces = set(listed(call, "namespace:in")) | set(filter(None, [call.query.get("namespace")]))
    keys = set(listed(call, "key:in")) | set(filter(None, [call.query.get("key")]))

    def is_between(text: str, earliest: float | None, latest: float | None) -> bool:
        moment = datetime.fromisoformat(text).timestamp()
        return (earliest is None or moment >= earliest) and (latest is None or moment <= latest)

    def matches(document: dict[str, Any]) -> bool:
        return (
            all(is_between(document[name], *limits) for name, limits in bounds.items())
            and (not namespaces or document["namespace"] in namespaces)
            and (not keys or document["key"] in keys)
        )

    return list(filter(matches, documents))
