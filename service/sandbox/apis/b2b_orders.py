"""B2B Edition's management API, Orders: records and their extra fields."""

from collections.abc import Sequence
from typing import Any, TypeGuard

from starlette.routing import BaseRoute

from service.sandbox.apis.b2b_people import done, required_int
from service.sandbox.apis.documents import STATUSES
from service.sandbox.apis.extra_fields import check, config_document, labels_shown, pairs, parse
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Handler, Refusal
from service.sandbox.options import ApiName
from service.sandbox.state import Order, Record, Write

ORDER_ID_OFFSET = 5_000_000
DEFAULT_PER_PAGE = 10
MAX_PER_PAGE = 200
YEAR_S = 365 * 24 * 3600

_LEGACY = dict.fromkeys(
    (*(f"extraInt{i}" for i in range(1, 6)), *(f"extraStr{i}" for i in range(1, 6)), "extraText"), None
)
_MONEY = {
    "currencyLocation": "left",
    "currencyToken": "$",
    "decimalToken": ".",
    "decimalPlaces": 2,
    "thousandsToken": ",",
}


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes for orders."""

    def b2b(method: str, path: str, operation: str, handler: Handler) -> BaseRoute:
        return gateway.route(Dialect.B2B, method, f"/api/v3/io{path}", operation, handler)

    return [
        b2b("GET", "/orders", "Get All Orders", all_orders),
        b2b("POST", "/orders", "Create an Order", create),
        b2b("GET", "/orders/extra-fields", "Get Order Extra Field Configs", extra_field_configs),
        b2b("GET", "/orders/{order_id:int}", "Get an Order", get),
        b2b("PUT", "/orders/{order_id:int}", "Update an Order", update),
        b2b("GET", "/orders/{order_id:int}/products", "Get Order Products", products),
    ]


def create(call: Call) -> Done:
    """Create the record before B2B Edition creates its own; inside the window, or later if the options say so."""
    order = call.store.orders.get(required_int(call, "bcOrderId"))
    if order is None:
        raise _no_order()
    order.creates += 1
    customer_id = required_int(call, "customerId")
    company_id = call.store.company_of(customer_id)
    if company_id is None:
        raise refused_customer()
    if call.store.user(customer_id) is None and call.sandbox.options.create_for_super_admins == "refused":
        raise Refusal(400, "The customer is not a company user.")
    record = make_record(call, order, company_id)
    document = _document(call, order, record, extra=True)
    if not call.sandbox.options.create_shows_company:
        del document["companyId"]
    return done(document)


def make_record(
    call: Call, order: Order, company_id: int, *, api: ApiName = "b2b", keeps_comment: bool | None = None
) -> Record:
    """Make the record with the values of the body, in either API's Create an Order. Raises Refusal."""
    is_late = call.now >= order.placed_at + call.sandbox.options.create_window
    if order.record(call.now) or (is_late and call.sandbox.options.late_create == "refused"):
        raise Refusal(400, "The order already exists.")
    po_number, extra_fields = _po_number(call), parse(call)
    check(call, extra_fields or {}, order, whole=extra_fields)
    record = Record(call.now, order.default_record.company_id or company_id, po_number, extra_fields or {})
    write = Write("Create an Order", call.received_at, call.now, po_number, extra_fields, api, keeps_comment)
    order.versions.append(record)
    order.writes.append(write)
    return record


def refused_customer() -> Refusal:
    """The error when Create an Order is called for a customer who is not a Company user. Not documented: a guess."""
    return Refusal(404, "User does not exist or action not support for this user.")


def _no_order() -> Refusal:
    return Refusal(404, "Order Does Not Exist.")


def get(call: Call) -> Done:
    """Get the record, as it was ``read_lag`` seconds ago."""
    order = call.store.orders.get(call.path["order_id"])
    record = order.record(call.now - call.sandbox.faults.read_lag) if order else None
    if order is None or not _is_of_company(record):
        raise _no_order()
    order.note_read(call.now, record)
    return done(_detail(call, order, record))


def update(call: Call) -> Done:
    """Update the record; 404 while there is none."""
    order = call.store.orders.get(call.path["order_id"])
    if order is None:
        raise _no_order()
    order.updates += 1
    record = order.record(call.now)
    if not _is_of_company(record):
        raise _no_order()
    po_number, extra_fields = _po_number(call), parse(call)
    if po_number is None and extra_fields is None:
        raise Refusal(400, "At least one of poNumber and extraFields is required.")
    merged = {**record.extra_fields, **(extra_fields or {})}
    replaces = call.sandbox.options.update_extra_fields == "replace"
    # Required fields must be sent even if the record has them already, unless the update merges.
    check(call, extra_fields or {}, order, whole=extra_fields if replaces else extra_fields and merged)
    written = record.with_changes(
        call.now,
        po_number=record.po_number if po_number is None else po_number,
        extra_fields=extra_fields if replaces and extra_fields is not None else merged,
    )
    order.versions.append(written)
    order.writes.append(Write("Update an Order", call.received_at, call.now, po_number, extra_fields))
    return done(_detail(call, order, written))


def products(call: Call) -> Done:
    """List the order's line items."""
    order = call.store.orders.get(call.path["order_id"])
    if order is None or order.record(call.now) is None:
        raise Refusal(404, "The order does not exist.")
    return done(
        [
            {
                "productId": product["product_id"],
                "productName": product["name"],
                "variantId": product["variant_id"],
                "variantSku": product["sku"],
                "quantity": product["quantity"],
                "options": product["product_options"],
            }
            for product in order.products
        ]
    )


def _is_of_company(record: Record | None) -> TypeGuard[Record]:
    """Whether the record belongs to a Company. A B2C order is listed, but cannot be read or updated alone: a guess."""
    return record is not None and record.company_id is not None


def _po_number(call: Call) -> str | None:
    value = call.fields.get("poNumber")
    if value is not None and not isinstance(value, str):
        raise Refusal(422, "poNumber must be a string.")
    return value


def all_orders(call: Call) -> Done:
    """List all orders that B2B Edition has, also B2C and guest orders. Time filters are exclusive, as documented."""
    at = call.now - call.sandbox.faults.read_lag
    known = [(order, record) for order in call.store.orders.values() if (record := order.record(at))]
    matching = [(order, record) for order, record in known if _matches(call, order, record)]
    by = call.query.get("sortBy", "updatedAt")
    direction = call.query.get("orderBy", "DESC")
    if by not in {"createdAt", "updatedAt"} or direction not in {"ASC", "DESC"}:
        raise Refusal(400, "sortBy or orderBy is not valid.")
    matching.sort(
        key=lambda entry: (entry[0].placed_at if by == "createdAt" else entry[1].written_at, entry[0].id),
        reverse=direction == "DESC",
    )
    limit, offset = _page(call)
    extra = call.query.get("showExtra", "").lower() in {"true", "1"}
    page = [_row(call, order, record, extra=extra) for order, record in matching[offset : offset + limit]]
    return _listing(page, len(matching), limit, offset)


def _row(call: Call, order: Order, record: Record, *, extra: bool) -> dict[str, Any]:
    options = call.sandbox.options
    row = _document(call, order, record, extra=extra and options.list_extra_fields != "missing")
    if extra and options.list_extra_fields in ("null", "empty"):
        row["extraFields"] = None if options.list_extra_fields == "null" else []
    if not options.list_po_number:
        del row["poNumber"]
    if not options.list_company:
        del row["companyId"]
    return row


def _matches(call: Call, order: Order, record: Record) -> bool:
    created, updated = (int(call.sandbox.shown(at)) for at in (order.placed_at, record.written_at))
    limits = {name: call.number(name) for name in ("minCreated", "maxCreated", "minModified", "maxModified")}
    if not any(limits.values()) and max(created, updated) < call.sandbox.shown(call.now) - YEAR_S:
        return False
    for value, lowest, highest in (
        (created, limits["minCreated"], limits["maxCreated"]),
        (updated, limits["minModified"], limits["maxModified"]),
    ):
        if (lowest and value <= lowest) or (highest and value >= highest):
            return False
    order_id, company_id = call.number("bcOrderId"), call.number("companyId")
    channels = call.query.getlist("channelIds[]")
    return (
        (not order_id or order.id == order_id)
        and (not company_id or record.company_id == company_id)
        and (not channels or str(order.document["channel_id"]) in channels)
    )


def extra_field_configs(call: Call) -> Done:
    """List the store's extra fields, in pages."""
    limit, offset = _page(call)
    configs = [
        {"id": number, "uuid": "", **config_document(call, config)}
        for number, config in enumerate(call.store.extra_fields, start=1)
    ]
    return _listing(configs[offset : offset + limit], len(configs), limit, offset)


def _page(call: Call) -> tuple[int, int]:
    limit, offset = call.number("limit") or DEFAULT_PER_PAGE, call.number("offset") or 0
    if not 1 <= limit <= MAX_PER_PAGE or offset < 0:
        raise Refusal(400, f"limit must be from 1 to {MAX_PER_PAGE}, offset at least 0.")
    return limit, offset


def _document(call: Call, order: Order, record: Record, *, extra: bool) -> dict[str, Any]:
    fields, shown = order.document, call.sandbox.shown
    status = STATUSES[fields["status_id"]]
    total = float(fields["total_inc_tax"])
    document = {
        "id": ORDER_ID_OFFSET + order.id,
        "bcOrderId": str(order.id) if call.sandbox.options.bc_order_id_as == "text" else order.id,
        "totalIncTax": total,
        "usdIncTax": total,
        "poNumber": record.po_number,
        "status": status,
        "customStatus": status,
        "statusCode": fields["status_id"],
        "cartId": fields["cart_id"],
        "items": sum(product["quantity"] for product in order.products),
        "companyId": record.company_id,
        "currencyCode": fields["currency_code"],
        "money": _MONEY,
        "isArchived": fields["is_deleted"],
        "channelId": fields["channel_id"],
        "channelName": "Sandbox",
        "createdAt": int(shown(order.placed_at)),
        "updatedAt": int(shown(record.written_at)),
    }
    if not extra:
        return document
    extra_fields = pairs(record.extra_fields, labels_shown(call))
    return document | _LEGACY | {"extraInfo": _extra_info(order), "extraFields": extra_fields}


def _extra_info(order: Order) -> dict[str, Any]:
    is_passed_on = order.buyer_text and not order.platform_write
    return {"additionalText": order.buyer_text} if is_passed_on else {}


def _detail(call: Call, order: Order, record: Record) -> Any:
    flag = order.is_invoice_order
    shown = {"number": int(flag), "boolean": flag, "text": f"A_{flag:d}"}[call.sandbox.options.invoice_flag_as]
    invoice = {"isInvoiceOrder": shown, "invoiceId": None, "invoiceNumber": None}
    document = _document(call, order, record, extra=True) | invoice | {"invoiceStatus": None}
    return [document] if call.sandbox.options.record_data_as == "array" else document


def _listing(page: Sequence[Any], total: int, limit: int, offset: int) -> Done:
    pagination = {"totalCount": total, "limit": limit, "offset": offset}
    return Done({"code": 200, "data": list(page), "meta": {"message": "SUCCESS", "pagination": pagination}})
