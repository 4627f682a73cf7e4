"""Documents of V2 orders as BigCommerce returns them: plausible defaults, overridden by a placed order's fields."""

from copy import deepcopy
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

STATUSES = (
    "Incomplete",
    "Pending",
    "Shipped",
    "Partially Shipped",
    "Refunded",
    "Cancelled",
    "Declined",
    "Awaiting Payment",
    "Awaiting Pickup",
    "Awaiting Shipment",
    "Completed",
    "Awaiting Fulfillment",
    "Manual Verification Required",
    "Disputed",
    "Partially Refunded",
)

_ADDRESS: dict[str, Any] = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "company": "Great Buys Incorporated",
    "street_1": "1 Market Street",
    "street_2": "",
    "city": "Austin",
    "state": "Texas",
    "zip": "78701",
    "country": "United States",
    "country_iso2": "US",
    "phone": "5125550100",
    "email": "buyer@example.com",
    "form_fields": [],
}

_ORDER: dict[str, Any] = {
    "customer_id": 0,
    "status_id": 11,
    "date_shipped": "",
    "subtotal_ex_tax": "120.0000",
    "subtotal_inc_tax": "129.9000",
    "subtotal_tax": "9.9000",
    "base_shipping_cost": "12.0000",
    "shipping_cost_ex_tax": "12.0000",
    "shipping_cost_inc_tax": "12.0000",
    "shipping_cost_tax": "0.0000",
    "total_ex_tax": "132.0000",
    "total_inc_tax": "141.9000",
    "total_tax": "9.9000",
    "items_total": 2,
    "items_shipped": 0,
    "payment_method": "PO Number / Reference #",
    "payment_provider_id": None,
    "payment_status": "",
    "refunded_amount": "0.0000",
    "order_is_digital": False,
    "store_credit_amount": "0.0000",
    "gift_certificate_amount": "0.0000",
    "ip_address": "192.0.2.10",
    "geoip_country": "United States",
    "geoip_country_iso2": "US",
    "currency_id": 1,
    "currency_code": "USD",
    "currency_exchange_rate": "1.0000000000",
    "default_currency_id": 1,
    "default_currency_code": "USD",
    "staff_notes": "",
    "customer_message": "",
    "discount_amount": "0.0000",
    "coupon_discount": "0.0000",
    "shipping_address_count": 1,
    "is_deleted": False,
    "cart_id": "095a15a6-8a27-4c20-b357-36b82e9d5929",
    "billing_address": _ADDRESS,
    "is_email_opt_in": False,
    "credit_card_type": None,
    "order_source": "www",
    "channel_id": 1,
    "external_source": None,
    "external_id": None,
    "external_order_id": "",
    "external_merchant_id": None,
    "tax_provider_id": "BasicTaxProvider",
    "customer_locale": "en",
}
ORDER_FIELDS = frozenset(_ORDER)

_PRODUCT: dict[str, Any] = {
    "product_id": 111,
    "variant_id": 211,
    "name": "Shipping Carton, 50 pcs",
    "name_customer": "Shipping Carton, 50 pcs",
    "name_merchant": "Shipping Carton, 50 pcs",
    "sku": "CARTON-50",
    "upc": "",
    "type": "physical",
    "base_price": "60.0000",
    "price_ex_tax": "60.0000",
    "price_inc_tax": "64.9500",
    "price_tax": "4.9500",
    "base_total": "120.0000",
    "total_ex_tax": "120.0000",
    "total_inc_tax": "129.9000",
    "total_tax": "9.9000",
    "quantity": 2,
    "quantity_shipped": 0,
    "is_refunded": False,
    "option_set_id": None,
    "external_id": None,
    "applied_discounts": [],
    "product_options": [],
    "configurable_fields": [],
}


def order_document(fields: dict[str, Any]) -> dict[str, Any]:
    """An order's own fields: the defaults with these fields. Objects such as ``billing_address`` are merged."""
    return merged(_ORDER, fields)


def merged(order: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """A copy of an order's own fields with these fields changed. Objects such as ``billing_address`` are merged."""
    document = deepcopy(order)
    for key, value in fields.items():
        both = isinstance(document[key], dict) and isinstance(value, dict)
        document[key] = {**document[key], **value} if both else value
    return document


def product_document(order_id: int, index: int, fields: dict[str, Any]) -> dict[str, Any]:
    """A line item of an order."""
    identity = {
        "id": order_id * 100 + index,
        "order_id": order_id,
        "order_address_id": order_id * 10,
    }
    document = identity | deepcopy(_PRODUCT) | fields
    options = enumerate(document["product_options"], start=1)
    return document | {"product_options": [_option_document(identity["id"], i, option) for i, option in options]}


def _option_document(order_product_id: int, index: int, fields: dict[str, Any]) -> dict[str, Any]:
    """A variant option or modifier of a line item; by default a text field that the shopper filled in."""
    name, value = fields.get("display_name", ""), fields.get("display_value", "")
    return {
        "id": order_product_id * 100 + index,
        "option_id": 30 + index,
        "order_product_id": order_product_id,
        "product_option_id": 120 + index,
        "display_name": name,
        "display_name_customer": name,
        "display_name_merchant": name,
        "display_value": value,
        "display_value_customer": value,
        "display_value_merchant": value,
        "value": value,
        "type": "Text field",
        "name": name,
        "display_style": "",
        **fields,
    }


def shipping_document(order_id: int, index: int, fields: dict[str, Any]) -> dict[str, Any]:
    """A shipping address of an order."""
    identity = {
        "id": order_id * 10 + index,
        "order_id": order_id,
        "shipping_method": "Flat Rate",
        "items_total": 2,
    }
    return identity | deepcopy(_ADDRESS) | fields


def transaction_document(order_id: int, index: int, fields: dict[str, Any]) -> dict[str, Any]:
    """A payment of an order; by default an offline one."""
    return {
        "id": order_id * 100 + index,
        "order_id": str(order_id),
        "event": "purchase",
        "method": "offline",
        "amount": 141.9,
        "currency": "USD",
        "gateway": "custom",
        "gateway_transaction_id": None,
        "payment_method_id": "cod",
        "status": "ok",
        "test": False,
        "fraud_review": False,
        "offline": {"display_name": "PO Number / Reference #"},
        "custom": None,
        **fields,
    }


def rfc_2822(stamp: float) -> str:
    """A time such as ``Wed, 10 Jan 2018 21:05:30 +0000``, rounded down to whole seconds."""
    return format_datetime(datetime.fromtimestamp(int(stamp), UTC))


def iso_8601(stamp: float) -> str:
    """A time (Unix seconds) as V3 writes it: whole seconds, UTC."""
    return datetime.fromtimestamp(int(stamp), UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
