"""Whether an answer is complete and about what was asked: what an answer does not show is unknown, not empty.

These answers decide whether values of other apps are kept, and how an order ends. So a record without its PO number, an
order without its customer, or a proxy's error page decides nothing: the call is repeated. All such checks are here.
"""

import re
from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from service.bigcommerce.apis import Api
from service.bigcommerce.models import to_int


def is_api_error(api: Api, body: Any) -> bool:
    """Whether the body of an error has the API's own form; a gateway's or a proxy's has another.

    Orders V2: ``[{"status", "message"}]``. V3: ``{"status", "title", "type"}``. B2B Edition: ``{"code", "data",
    "meta"}``, with the message in ``meta``. Gateways in front of them answer HTML, ``{"message": "no Route matched"}``
    or ``{"code": 404, "message": …}``: that says nothing about what was asked.
    """
    if api is not Api.CORE:
        is_gateway = api is Api.B2B and isinstance(body, Mapping) and "message" in body
        return isinstance(body, Mapping) and not is_gateway and bool({"code", "meta"} & body.keys())
    if isinstance(body, Mapping):
        return "message" not in body or bool({"status", "title", "code"} & body.keys())
    return isinstance(body, list)


def is_complete_record(row: Mapping[str, Any], order_id: int) -> bool:
    """Whether Get an Order's answer is the record of this order, and shows its PO number and its extra fields.

    Both may be null or empty, but they must be there, in a form that can be read.
    """
    return (
        to_int(row.get("bcOrderId")) == order_id
        and "poNumber" in row
        and isinstance(row["poNumber"], str | int | float | None)
        and "extraFields" in row
        and _are_extra_fields(row["extraFields"])
    )


def _are_extra_fields(fields: Any) -> bool:
    if fields is None or isinstance(fields, Mapping):
        return True
    return isinstance(fields, list) and all(
        isinstance(field, Mapping) and bool(field.get("fieldName")) and "fieldValue" in field for field in fields
    )


def is_complete_order(document: Mapping[str, Any], *, consignments: bool = False) -> bool:
    """Whether a V2 order shows its id, its customer, its status and its time: they decide whether it is enriched.

    With ``consignments``, it must show these too.
    """
    return (
        bool(to_int(document.get("id")))
        and (not consignments or "consignments" in document)
        and all(to_int(document.get(key)) is not None for key in ("customer_id", "status_id"))
        and _is_time(document.get("date_created"))
    )


def _is_time(text: Any) -> bool:
    try:
        return bool(parsedate_to_datetime(text))
    except (TypeError, ValueError, AttributeError, IndexError):
        return False


def may_confirm_write(row: Mapping[str, Any], order_id: int) -> bool:
    """Whether an object in the answer to a write is about this order. An empty object says nothing else."""
    return not row or to_int(row.get("bcOrderId")) == order_id


def may_confirm_buyer_write(row: Mapping[str, Any], order_id: int) -> bool:
    """The same for the storefront API, whose answer names the order by another key."""
    return not row or to_int(row.get("orderId")) == order_id


def says_already_exists(message: str) -> bool:
    """Whether Create an Order was refused because the record exists: "The order already exists."

    Only the message tells this 400 from others, so the match is generous. A false match costs one read of the record.
    """
    return re.search(r"\balready\s+exist", message, re.IGNORECASE) is not None


def is_complete_user(row: Mapping[str, Any], customer_id: int) -> bool:
    """Whether the answer is the Company user of this customer: it shows the user's id and the Company's.

    So do records of orders, and other customers' users.
    """
    return (
        bool(to_int(row.get("id")))
        and to_int(row.get("companyId")) is not None
        and to_int(row.get("customerId", customer_id)) == customer_id
        and not {"bcOrderId", "companyName"} & row.keys()
    )


def is_listed_super_admin(row: Mapping[str, Any]) -> bool:
    """Whether a row of the list of Super Admins shows the Super Admin's own id, by which the others are asked for."""
    return bool(to_int(row.get("id")))


def is_super_admin_info(row: Mapping[str, Any], super_admin_id: int) -> bool:
    """Whether the answer is this Super Admin, and shows the customer id: the list does not."""
    return to_int(row.get("id", super_admin_id)) == super_admin_id and bool(to_int(row.get("customerId")))


def is_company(row: Mapping[str, Any], company_id: int) -> bool:
    """Whether the answer is this Company, with its extra fields: most rules that read a Company read those.

    Users of the Company and records of its orders show its id too.
    """
    if {"bcOrderId", "customerId", "role", "email"} & row.keys():
        return False
    return to_int(row.get("companyId", company_id)) == company_id and "extraFields" in row


def is_customer(row: Mapping[str, Any], customer_id: int, *, parts: Collection[str] = ()) -> bool:
    """Whether the answer is this V3 customer, with the ``parts`` that were asked for."""
    return to_int(row.get("id")) == customer_id and all(part in row for part in parts)


def is_metafield(row: Mapping[str, Any]) -> bool:
    """Whether a row of a list of metafields shows what it is called and what it holds."""
    return bool(row.get("namespace")) and bool(row.get("key")) and "value" in row


def is_cart_metafield(row: Mapping[str, Any], cart_id: str) -> bool:
    """Whether the row is a metafield of this cart."""
    return is_metafield(row) and str(row.get("resource_id") or cart_id) == cart_id


def is_transaction(row: Mapping[str, Any], order_id: int) -> bool:
    """Whether the row is a payment of this order: it shows an id, and the order's id."""
    return bool(row.get("id")) and to_int(row.get("order_id")) == order_id


def is_customer_group(row: Mapping[str, Any], group_id: int) -> bool:
    """Whether the answer is this customer group, and shows its name."""
    return to_int(row.get("id")) == group_id and isinstance(row.get("name"), str)


_ORDERED = 4
"""The status of a quote that has become an order."""


def is_listed_quote(row: Mapping[str, Any]) -> bool:
    """Whether a row of the list of quotes shows the quote's id, and its order's id if it has one.

    The order's id may be missing from a quote whose status says that it has no order.
    """
    has_no_order = to_int(row.get("status")) not in (None, _ORDERED)
    return bool(to_int(row.get("quoteId"))) and ("bcOrderId" in row or has_no_order)


def is_complete_quote(row: Mapping[str, Any], order_id: int) -> bool:
    """Whether the answer is the quote of this order, and shows its reference number and its extra fields."""
    return (
        to_int(row.get("bcOrderId")) == order_id
        and "referenceNumber" in row
        and "extraFields" in row
        and _are_extra_fields(row["extraFields"])
    )


def is_extra_field_config(row: Mapping[str, Any]) -> bool:
    """Whether a row of the extra-field configs shows which field it is about."""
    return isinstance(row.get("fieldName"), str) and bool(row["fieldName"])


def is_order_details(row: Mapping[str, Any], order_id: int) -> bool:
    """Whether the storefront's answer is this order; its ``id`` is the store's own."""
    return to_int(row.get("id", row.get("orderId"))) == order_id


def is_buyer_order(row: Mapping[str, Any]) -> bool:
    """Whether a row of the storefront's list of orders shows which order it is about."""
    return bool(to_int(row.get("orderId")))


def is_buyer_product(row: Mapping[str, Any]) -> bool:
    """Whether a row of the storefront's lists of products shows which product it is about."""
    return bool(to_int(row.get("productId")))


def is_order_image(row: Mapping[str, Any]) -> bool:
    """Whether a row of the storefront's list of images shows the order; an image may be missing."""
    return bool(to_int(row.get("orderId")))


def is_hook(row: Mapping[str, Any]) -> bool:
    """Whether a row of the webhooks shows its events and where they are sent."""
    return bool(row.get("scope")) and bool(row.get("destination"))
