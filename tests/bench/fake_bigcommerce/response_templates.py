"""Prepared bytes of the fake store's responses.

In the templates ``@name@`` stands for text, ``@name`` for a number or for JSON.
"""

import json
from typing import Any

from service.sandbox.apis.documents import order_document, product_document, shipping_document

CUSTOMER_ID = 101
PO_FIELD, ACCOUNT_FIELD = "PO Number", "Account No"
WEBHOOK_URL = "https://bench.example/webhooks/bigcommerce"


def _template(document: Any) -> bytes:
    text = json.dumps(document).encode().replace(b"%", b"%%")
    for name, placeholder in _PLACEHOLDERS.items():
        text = text.replace(name, placeholder)
    return text


_PLACEHOLDERS = {
    b'"@id"': b"%(id)d",
    b"@id@": b"%(id)d",
    b"@date@": b"%(created)b",
    b'"@created"': b"%(created)d",
    b'"@updated"': b"%(updated)d",
    b'"@po"': b"%(po)b",
    b'"@fields"': b"%(fields)b",
    b'"@rows"': b"%(rows)b",
    b'"@total"': b"%(total)d",
    b'"@limit"': b"%(limit)d",
    b'"@offset"': b"%(offset)d",
    b"@store@": b"%(store)b",
}


def _order(*, whole: bool) -> bytes:
    form = {PO_FIELD: "PO-@id@", ACCOUNT_FIELD: "ERP-10001"}
    fields = {
        "customer_id": CUSTOMER_ID,
        "status_id": 11,
        "billing_address": {"form_fields": [{"name": name, "value": value} for name, value in form.items()]},
    }
    links = {
        name: {"url": f"https://bench.example/v2/orders/@id@/{name}", "resource": f"/orders/@id@/{name}"}
        for name in ("products", "shipping_addresses", "coupons", "consignments")
    }
    document = {
        "id": "@id",
        **order_document(fields),
        "date_created": "@date@",
        "date_modified": "@date@",
        "status": "Awaiting Fulfillment",
        "custom_status": "Awaiting Fulfillment",
        **links,
    }
    if whole:
        shipping = shipping_document(0, 0, {}) | {"line_items": [product_document(0, index, {}) for index in (0, 1)]}
        document["consignments"] = {
            "pickups": [],
            "shipping": [shipping],
            "downloads": [],
            "email": {"gift_certificates": []},
        }
    return _template(document)


def _row() -> bytes:
    legacy = dict.fromkeys((*(f"extraInt{i}" for i in range(1, 6)), *(f"extraStr{i}" for i in range(1, 6))))
    money = {"currencyLocation": "left", "currencyToken": "$", "decimalToken": ".", "decimalPlaces": 2}
    return _template(
        {
            "id": "@id",
            "bcOrderId": "@id",
            "totalIncTax": 141.9,
            "usdIncTax": 141.9,
            "poNumber": "@po",
            "status": "Awaiting Fulfillment",
            "customStatus": "Awaiting Fulfillment",
            "statusCode": 11,
            "cartId": "095a15a6-8a27-4c20-b357-36b82e9d5929",
            "items": 2,
            "companyId": 7001,
            "currencyCode": "USD",
            "money": {**money, "thousandsToken": ","},
            "isArchived": False,
            "channelId": 1,
            "channelName": "Bench",
            "createdAt": "@created",
            "updatedAt": "@updated",
            **legacy,
            "extraText": None,
            "extraInfo": {},
            "extraFields": "@fields",
            "isInvoiceOrder": 0,
        }
    )


def _config(name: str) -> dict[str, Any]:
    kind: dict[str, Any] = {
        "fieldType": 0,
        "isRequired": False,
        "isUnique": False,
        "maximumLength": None,
        "listOfValues": [],
    }
    return {"id": 1, "uuid": "", "fieldName": name, "labelName": name, **kind, "visibleToEnduser": True}


def _b2b_list(data: Any, total: Any, limit: Any, offset: Any) -> dict[str, Any]:
    pagination = {"totalCount": total, "limit": limit, "offset": offset}
    return {"code": 200, "data": data, "meta": {"message": "SUCCESS", "pagination": pagination}}


def _hook(number: int, scope: str) -> dict[str, Any]:
    times = {
        "created_at": 1_700_000_000,
        "updated_at": 4_000_000_000,
    }  # in the future, so that the hook never looks idle
    where = {"client_id": "bench", "store_hash": "@store@", "destination": WEBHOOK_URL}
    return {"id": number, "scope": scope, **where, "headers": {}, "is_active": True, **times}


ORDER, ORDER_WHOLE = _order(whole=False), _order(whole=True)
ROW = _row()
B2B_LIST = _template(_b2b_list(["@rows"], "@total", "@limit", "@offset"))
CONFIGS = json.dumps(_b2b_list([_config(ACCOUNT_FIELD)], 1, 200, 0)).encode()
NO_SUPER_ADMINS = json.dumps(_b2b_list([], 0, 250, 0)).encode()
_ALL_HOOKS = [_hook(1, "store/order/created"), _hook(2, "store/order/statusUpdated")]
_PAGINATION = {"total": 2, "count": 2, "per_page": 250, "current_page": 1, "total_pages": 1}
NO_METAFIELDS = json.dumps(
    {"data": [], "meta": {"pagination": _PAGINATION | {"total": 0, "count": 0, "total_pages": 0}}}
).encode()
HOOKS = {
    "Get Webhooks": _template({"data": _ALL_HOOKS, "meta": {"pagination": _PAGINATION}}),
    "Get Admin Info": _template(
        {
            "data": {
                "emails": [],
                "hooks_list": [{**hook, "status": "active"} for hook in _ALL_HOOKS],
                "blocked_domains": [],
            },
            "meta": {},
        }
    ),
}
