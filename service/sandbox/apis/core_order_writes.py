"""The core API's V2, writing orders: as an ERP, a migration or the service's own rehearsal does."""

from typing import Any

from starlette.routing import BaseRoute

from service.sandbox.apis.core_v2 import find_order, order_document_of
from service.sandbox.apis.documents import ORDER_FIELDS
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Refusal
from service.sandbox.specs import Placement
from service.sandbox.storefront import Storefront

PENDING = 1
_HIGHEST_STATUS = 14


def routes(gateway: Gateway, storefront: Storefront) -> list[BaseRoute]:
    """The routes that create and change orders."""

    def create(call: Call) -> Done:
        return _create(call, storefront)

    def update(call: Call) -> Done:
        return _update(call, storefront)

    root = "/stores/{store_hash}/v2/orders"
    return [
        gateway.route(Dialect.V2, "POST", root, "Create an Order", create),
        gateway.route(Dialect.V2, "PUT", f"{root}/{{order_id:int}}", "Update an Order", update),
    ]


def _create(call: Call, storefront: Storefront) -> Done:
    """Create an order. B2B Edition makes no record of it by itself, unless the options say so."""
    fields = call.fields
    for name in ("billing_address", "products"):
        if not fields.get(name):
            raise Refusal(400, f"The required field {name} was not supplied.")
    customer_id = fields.get("customer_id", 0)
    if customer_id and call.store.customer(customer_id) is None:
        raise Refusal(400, "The customer_id field is invalid.")
    kept = {name: value for name, value in fields.items() if name in ORDER_FIELDS}
    placement = Placement(
        **{
            "order_source": "external",
            **kept,
            "customer_id": customer_id,
            "status_id": _status(fields, PENDING),
            "products": tuple(fields["products"]),
            "own_record": None if call.sandbox.options.api_orders_get_records else False,
        }
    )
    return Done(order_document_of(call, storefront.place_order(call.store, placement)))


def _update(call: Call, storefront: Storefront) -> Done:
    """Change fields of an order."""
    order, fields = find_order(call), call.fields
    changes: dict[str, Any] = {
        name: value for name, value in fields.items() if name in ORDER_FIELDS and name != "status_id"
    }
    order.document.update(changes)
    order.modified_at = call.now
    storefront.tell_of_change(call.store, order, _status(fields, order.document["status_id"]))
    return Done(order_document_of(call, order))


def _status(fields: dict[str, Any], default: int) -> int:
    status = fields.get("status_id", default)
    if not isinstance(status, int) or not 0 <= status <= _HIGHEST_STATUS:
        raise Refusal(400, "The status_id field is invalid.")
    return status
