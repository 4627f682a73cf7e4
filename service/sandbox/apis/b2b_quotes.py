"""B2B Edition's management API, Quotes. Each quote here became an order; it was updated when the order was placed."""

from datetime import UTC, datetime
from typing import Any

from starlette.routing import BaseRoute

from service.sandbox.apis.b2b_people import done
from service.sandbox.apis.extra_fields import pairs
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Refusal
from service.sandbox.specs import Quote
from service.sandbox.state import Order

QUOTE_ID_OFFSET = 700_000
DEFAULT_PER_PAGE = 10
DEFAULT_CHANNEL = "1"
ORDERED = 4


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes for quotes."""
    path = "/api/v3/io/rfq"
    return [
        gateway.route(Dialect.B2B, "GET", path, "Get All Quotes", quotes),
        gateway.route(Dialect.B2B, "GET", f"{path}/{{quote_id:int}}", "Get Quote Details", quote),
    ]


def quotes(call: Call) -> Done:
    """List the quotes of the channels, the last updated first, in pages. Other orders and filters are not supported."""
    if (call.query.get("sortBy", "updatedAt"), call.query.get("orderBy", "desc")) != ("updatedAt", "desc"):
        raise Refusal(400, "The sandbox sorts quotes by updatedAt, desc.")
    channels = call.query.get("channelIds[]", DEFAULT_CHANNEL).split(",")
    found = [
        _listed(call, order, order.quote)
        for order in sorted(call.store.orders.values(), key=lambda order: (order.placed_at, order.id), reverse=True)
        if order.quote and str(order.document["channel_id"]) in channels
    ]
    limit, offset = max(1, call.number("limit") or DEFAULT_PER_PAGE), call.number("offset") or 0
    pagination = {"totalCount": len(found), "offset": offset, "limit": limit}
    return done({"list": found[offset : offset + limit], "pagination": pagination})


def quote(call: Call) -> Done:
    """Get a quote by its ID and the date of its creation."""
    order = call.store.orders.get(call.path["quote_id"] - QUOTE_ID_OFFSET)
    if order is None or order.quote is None:
        raise Refusal(404, "Quote does not exist.")
    try:
        datetime.strptime(call.query.get("date", ""), "%m/%d/%Y").replace(tzinfo=UTC)
    except ValueError:
        raise Refusal(400, "The parameter date is not a date like 04/07/2025.") from None
    found = order.quote
    rep = {"salesRepName": found.sales_rep_name, "salesRepEmail": "rep@example.com", "salesRepPhoneNumber": ""}
    return done({**_document(call, order, found), "notes": found.notes, "salesRepInfo": rep})


def _listed(call: Call, order: Order, found: Quote) -> dict[str, Any]:
    return {
        "quoteId": QUOTE_ID_OFFSET + order.id,
        "salesRep": found.sales_rep_name,
        "updatedAt": int(call.sandbox.shown(order.placed_at)),
        **_document(call, order, found),
    }


def _document(call: Call, order: Order, found: Quote) -> dict[str, Any]:
    return {
        "quoteNumber": f"QN{order.id:06d}",
        "status": ORDERED,
        "bcOrderId": str(order.id),
        "channelId": order.document["channel_id"],
        "createdAt": int(call.sandbox.shown(order.placed_at - found.age)),
        "quoteTitle": found.quote_title,
        "referenceNumber": found.reference_number,
        "extraFields": pairs(found.extra_fields),
    }
