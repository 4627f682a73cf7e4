"""B2B Edition's storefront API, Orders: Create an Order, as the buyer."""

from starlette.routing import BaseRoute

from service.sandbox.apis.b2b_orders import make_record
from service.sandbox.apis.b2b_people import required_int
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Refusal

_KEEPS_COMMENT = {"0": True, "1": False}


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The route for new records."""
    return [gateway.route(Dialect.STOREFRONT, "POST", "/api/v2/orders", "Create an Order", create)]


def create(call: Call) -> Done:
    """Create the record of an order that this buyer, a Company user, has placed; inside the same window."""
    assert call.buyer
    order = call.store.orders.get(required_int(call, "orderId"))
    keeps_comment = _KEEPS_COMMENT.get(call.fields.get("isSaveOrderComment", "0"))
    if keeps_comment is None:
        raise Refusal(400, 'isSaveOrderComment is "0" or "1".')
    user = call.store.user(call.buyer.customer_id)
    if order is not None:
        order.creates += 1
    if order is None or user is None or order.customer_id != user.customer_id:
        raise Refusal(400, "User does not have permission to place an order")
    make_record(call, order, user.company_id, api="storefront", keeps_comment=keeps_comment)
    return Done({"code": 200, "message": "SUCCESS", "data": [{"orderId": order.id}]})
