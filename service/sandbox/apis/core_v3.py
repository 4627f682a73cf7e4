"""The core API's V3: payments, customers, product images. Metafields and webhooks have files of their own."""

from typing import Any

from starlette.routing import BaseRoute

from service.sandbox.apis.core_v2 import find_order
from service.sandbox.apis.documents import iso_8601
from service.sandbox.apis.product_pictures import picture_url
from service.sandbox.apis.queries import listed, listing
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Handler
from service.sandbox.specs import Customer

_CUSTOMER_FIELDS = {"id", "email", "first_name", "last_name", "company", "customer_group_id"}


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes for payments, customers and their attributes, and product images."""

    def v3(path: str, operation: str, handler: Handler) -> BaseRoute:
        return gateway.route(Dialect.V3, "GET", f"/stores/{{store_hash}}/v3{path}", operation, handler)

    return [
        v3("/orders/{order_id:int}/transactions", "Get Transactions", transactions),
        v3("/customers", "Get All Customers", customers),
        v3("/customers/attributes", "Get All Customer Attributes", customer_attributes),
        v3("/catalog/products/{product_id:int}/images", "List Product Images", product_images),
    ]


def transactions(call: Call) -> Done:
    """List an order's payments; 204 without a body if there are none."""
    order = find_order(call)
    created = iso_8601(call.sandbox.shown(order.placed_at))
    found = [{"date_created": created, **transaction} for transaction in order.transactions]
    return listing(call, found) if found else Done()


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
                    f"url_{size}": f"{picture_url(call, product_id, number)}?size={size}"
                    for size in ("zoom", "standard", "thumbnail", "tiny")
                },
            }
            for number in range(2)
        ],
    )
