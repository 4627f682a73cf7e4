"""Documents of the storefront API: an order in a list and in full, its products, what a buyer has ordered."""

from collections.abc import Sequence
from typing import Any

from service.sandbox.apis.documents import STATUSES, rfc_2822
from service.sandbox.apis.extra_fields import labels_shown, pairs
from service.sandbox.apis.product_pictures import picture_url
from service.sandbox.gateway import Call
from service.sandbox.state import Order, Record

_MONEY = {
    "currency_location": "left",
    "currency_token": "$",
    "decimal_token": ".",
    "decimal_places": 2,
    "thousands_token": ",",
}


def listed_document(call: Call, order: Order, record: Record, *, extra: bool) -> dict[str, Any]:
    """A row of the list of orders. Its times are Unix seconds as text."""
    status = STATUSES[order.document["status_id"]]
    customer, company = call.store.customer(order.customer_id), call.store.company(record.company_id or 0)
    row = {
        "orderId": order.id,
        "companyName": company.name if company else "",
        "createdAt": str(int(call.sandbox.shown(order.placed_at))),
        "updatedAt": str(int(call.sandbox.shown(record.written_at))),
        "isInvoiceOrder": int(order.is_invoice_order),
        "orderStatus": status,
        "customOrderStatus": status,
        "statusCode": order.document["status_id"],
        "totalIncTax": float(order.document["total_inc_tax"]),
        "currencyCode": order.document["currency_code"],
        "money": _MONEY,
        "firstName": customer.first_name if customer else "",
        "lastName": customer.last_name if customer else "",
        "poNumber": record.po_number or "",
        "referenceNumber": order.buyer_text or "",
        "channelName": "Sandbox",
    }
    return row | _extra(call, record) if extra else row


def details_document(call: Call, order: Order, record: Record) -> dict[str, Any]:
    """An order in full: its V2 document with its products, and the record's values. Its ``id`` is the store's own."""
    status = STATUSES[order.document["status_id"]]
    return {
        **order.document,
        "id": order.id,
        "date_created": rfc_2822(call.sandbox.shown(order.dated_at)),
        "status": status,
        "custom_status": status,
        "products": order.products,
        "shippingAddress": order.shipping_addresses,
        "shipments": False,
        "poNumber": record.po_number or "",
        "referenceNumber": order.buyer_text or "",
        "money": _MONEY,
        "isInvoiceOrder": int(order.is_invoice_order),
        "canReturn": False,
        "channelName": "Sandbox",
        "updatedAt": int(call.sandbox.shown(record.written_at)),
        **_extra(call, record),
    }


def _extra(call: Call, record: Record) -> dict[str, Any]:
    """The extra fields that buyers may see."""
    hidden = {config.field_name for config in call.store.extra_fields if not config.visible_to_enduser}
    shown = {name: value for name, value in record.extra_fields.items() if name not in hidden}
    rows = pairs(shown, labels_shown(call))
    is_array = call.sandbox.options.storefront_fields_as == "array"
    return {"extraInfo": {}, "extraFields": rows if is_array else {"extraFields": rows}}


def product_document(product: dict[str, Any]) -> dict[str, Any]:
    """A product in the list of an order's products. Its ids are text."""
    return {
        "productId": str(product["product_id"]),
        "quantity": product["quantity"],
        "variantId": str(product["variant_id"]),
        "optionList": [],
    }


def ordered_product_documents(call: Call, orders: Sequence[Order]) -> list[dict[str, Any]]:
    """The products of these orders (the newest first), each variant once. Most numbers are text."""
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for order in orders:
        placed_at = int(call.sandbox.shown(order.placed_at))
        for product in order.products:
            row = rows.setdefault(
                (product["product_id"], product["variant_id"]), _ordered_product(call, product, placed_at)
            )
            row["orderedTimes"] = str(int(row["orderedTimes"]) + 1)
            info = {"order_id": order.id, "quantity": product["quantity"], "ordered_at": placed_at}
            row["ordersInfo"].append(info | {"bc_order_id": order.id})
    return list(rows.values())


def _ordered_product(call: Call, product: dict[str, Any], placed_at: int) -> dict[str, Any]:
    has_image = call.sandbox.options.storefront_images
    return {
        "orderProductId": str(product["id"]),
        "productName": product["name"],
        "sku": product["sku"],
        "productId": str(product["product_id"]),
        "variantId": str(product["variant_id"]),
        "lastOrdered": str(placed_at),
        "optionList": [],
        "optionSelections": [],
        "orderedTimes": "0",
        "lastOrderedItems": str(product["quantity"]),
        "productBrandName": "",
        "ordersInfo": [],
        **({"imageUrl": picture_url(call, product["product_id"])} if has_image else {}),
    }
