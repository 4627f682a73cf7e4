"""B2B Edition's management API: the list of Company users."""

from starlette.routing import BaseRoute

from service.sandbox.gateway import Call, Dialect, Done, Gateway, Refusal

DEFAULT_PER_PAGE = 10
MAX_PER_PAGE = 250


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The route of the list."""
    return [gateway.route(Dialect.B2B, "GET", "/api/v3/io/users", "Get All B2B users", users)]


def users(call: Call) -> Done:
    """List the Company users, in pages."""
    limit, offset = call.number("limit") or DEFAULT_PER_PAGE, call.number("offset") or 0
    if not 1 <= limit <= MAX_PER_PAGE or offset < 0:
        raise Refusal(422, "limit or offset is not valid.")
    known = call.store.spec.users
    rows = [
        {
            "id": user.id or 9_000_000 + user.customer_id,
            "email": user.email,
            "role": user.role,
            "companyId": user.company_id,
            "customerId": user.customer_id,
        }
        for user in known[offset : offset + limit]
    ]
    pagination = {"totalCount": len(known), "limit": limit, "offset": offset}
    return Done({"code": 200, "data": rows, "meta": {"message": "SUCCESS", "pagination": pagination}})
