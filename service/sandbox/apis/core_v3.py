"""The core API's V3: metafields, payments, customers, product images. Its webhooks are in ``core_hooks``."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from starlette.routing import BaseRoute

from service.sandbox.apis.core_v2 import find_order
from service.sandbox.apis.documents import iso_8601
from service.sandbox.apis.queries import date_of, listed, listing
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Handler, Refusal
from service.sandbox.specs import Customer
from service.sandbox.state import Order

METAFIELDS_PER_ORDER = 250

PLATFORM_NAMESPACE = "b2b"
"""Of the platform's own metafields. It is not documented: clients must not rely on it."""

_CUSTOMER_FIELDS = {"id", "email", "first_name", "last_name", "company", "customer_group_id"}


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes for metafields, payments, customers and their attributes, and product images."""

    def v3(path: str, operation: str, handler: Handler) -> BaseRoute:
        return gateway.route(Dialect.V3, "GET", f"/stores/{{store_hash}}/v3{path}", operation, handler)

    return [
        v3("/orders/metafields", "Get All Order Metafields", orders_metafields),
        v3("/orders/{order_id:int}/metafields", "Get Order Metafields", order_metafields),
        v3("/orders/{order_id:int}/transactions", "Get Transactions", transactions),
        v3("/carts/{cart_id}/metafields", "Get Cart Metafields", cart_metafields),
        v3("/customers", "Get All Customers", customers),
        v3("/customers/attributes", "Get All Customer Attributes", customer_attributes),
        v3("/catalog/products/{product_id:int}/images", "List Product Images", product_images),
    ]


def order_metafields(call: Call) -> Done:
    """List one order's metafields."""
    return listing(call, _filtered(call, _metafields(call, find_order(call))))


def orders_metafields(call: Call) -> Done:
    """List the metafields of all orders."""
    every = (metafield for order in call.store.orders.values() for metafield in _metafields(call, order))
    return listing(call, _filtered(call, every))


def transactions(call: Call) -> Done:
    """List an order's payments; 204 without a body if there are none."""
    order = find_order(call)
    created = iso_8601(call.sandbox.shown(order.placed_at))
    found = [{"date_created": created, **transaction} for transaction in order.transactions]
    return listing(call, found) if found else Done()


def cart_metafields(call: Call) -> Done:
    """List the metafields of an order's cart; 404 when the cart is gone."""
    cart_id = call.path["cart_id"]
    orders = (order for order in call.store.orders.values() if order.document["cart_id"] == cart_id)
    order = next(orders, None)
    if order is None or order.cart_metafields is None:
        raise Refusal(404, "Cart not found.")
    return listing(call, _filtered(call, _documents(call, order, order.cart_metafields, "cart", cart_id)))


def _metafields(call: Call, order: Order) -> list[dict[str, Any]]:
    metafields = {namespace: dict(keys) for namespace, keys in order.metafields.items()}
    if order.order_type is not None and order.order_type_at <= call.now:
        metafields.setdefault(PLATFORM_NAMESPACE, {})["orderType"] = order.order_type
    return _documents(call, order, metafields, "order", order.id)


def _documents(
    call: Call, order: Order, metafields: Mapping[str, Mapping[str, str]], owner: str, owner_id: int | str
) -> list[dict[str, Any]]:
    """The metafields of an order or its cart; all were written when it was placed."""
    created = iso_8601(call.sandbox.shown(order.placed_at))
    flat = [(namespace, key, value) for namespace, keys in metafields.items() for key, value in keys.items()]
    return [
        {
            "id": order.id * METAFIELDS_PER_ORDER + number,
            "namespace": namespace,
            "key": key,
            "value": value,
            "description": "",
            "permission_set": "read_and_sf_access",
            "resource_type": owner,
            "resource_id": owner_id,
            "date_created": created,
            "date_modified": created,
            "owner_client_id": "sandbox",
        }
        for number, (namespace, key, value) in enumerate(flat)
    ]


def _filtered(call: Call, metafields: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    earliest = date_of(call, "date_created:min")
    latest = date_of(call, "date_created:max")
    namespaces = set(listed(call, "namespace:in")) | set(filter(None, [call.query.get("namespace")]))
    keys = set(listed(call, "key:in")) | set(filter(None, [call.query.get("key")]))

    def matches(metafield: dict[str, Any]) -> bool:
        created = datetime.fromisoformat(metafield["date_created"]).timestamp()
        return (
            (earliest is None or created >= earliest)
            and (latest is None or created <= latest)
            and (not namespaces or metafield["namespace"] in namespaces)
            and (not keys or metafield["key"] in keys)
        )

    return list(filter(matches, metafields))


def customers(call: Call) -> Done:
    """List customers by ID or e-mail address."""
    ids = set(listed(call, "id:in"))
    emails = set(listed(call, "email:in"))
    included = set(listed(call, "include"))
    return listing(
        call,
        [
            _customer_document(call, customer, included)
            for customer in call.store.spec.customers
            if (not ids or str(customer.id) in ids) and (not emails or customer.email in emails)
        ],
    )


def _customer_document(call: Call, customer: Customer, included: set[str]) -> dict[str, Any]:
    document: dict[str, Any] = {
        **customer.model_dump(include=_CUSTOMER_FIELDS),
        "phone": "",
        "notes": "",
        "channel_ids": [1],
        "attribute_count": len(customer.attributes),
    }
    if "attributes" in included:
        ids = {name: number for number, name in enumerate(_attribute_names(call), start=1)}
        document["attributes"] = [
            {"id": customer.id * 100 + ids[name], "attribute_id": ids[name], "attribute_value": value}
            | {"customer_id": customer.id}
            | ({"attribute_name": name} if call.sandbox.options.customer_attribute_names else {})
            for name, value in customer.attributes.items()
        ]
    if "formfields" in included:
        document["form_fields"] = [
            {"name": name, "value": value, "customer_id": customer.id} for name, value in customer.form_fields.items()
        ]
    return document


def customer_attributes(call: Call) -> Done:
    """List the names of all customer attributes."""
    names = enumerate(_attribute_names(call), start=1)
    return listing(call, [{"id": number, "name": name, "type": "string"} for number, name in names])


def _attribute_names(call: Call) -> list[str]:
    return sorted({name for customer in call.store.spec.customers for name in customer.attributes})


def product_images(call: Call) -> Done:
    """List a product's images: always two, the second is its thumbnail."""
    product_id = call.path["product_id"]
    return listing(
        call,
        [
            {
                "id": product_id * 10 + number,
                "product_id": product_id,
                "is_thumbnail": number == 1,
                "sort_order": number,
                "description": "",
                **{
                    f"url_{size}": f"https://images.example/products/{product_id}/{number}.{size}.jpg"
                    for size in ("zoom", "standard", "thumbnail", "tiny")
                },
            }
            for number in range(2)
        ],
    )
