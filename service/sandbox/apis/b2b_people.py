"""B2B Edition's management API: Company users, Companies, and moving orders between Companies."""

from typing import Any

from starlette.routing import BaseRoute

from service.sandbox.apis.extra_fields import pairs
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Handler, Refusal


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes for users and Companies, and for moving their orders."""

    def b2b(method: str, path: str, operation: str, handler: Handler) -> BaseRoute:
        return gateway.route(Dialect.B2B, method, f"/api/v3/io{path}", operation, handler)

    customer = "/customers/{customer_id:int}"
    return [
        b2b("PUT", f"{customer}/orders/b2b", "Assign Customer Orders to Company", assign),
        b2b("PUT", f"{customer}/orders/company", "Reassign Orders to a Different Company", reassign),
        b2b("GET", "/users/customer/{customer_id:int}", "Get User Details by BigCommerce Customer ID", user),
        b2b("GET", "/companies/{company_id:int}", "Get Company Details", company),
    ]


def assign(call: Call) -> Done:
    """Assign a user's orders from before the user joined a Company to that Company."""
    user = call.store.user(call.path["customer_id"])
    if user is None:
        raise Refusal(404, "User does not exist or action not support for this user.")
    return _move(call, user.customer_id, user.company_id, only_unassigned=True)


def reassign(call: Call) -> Done:
    """Move a customer's orders to the Company of a customer group."""
    user = call.store.user(call.path["customer_id"])
    group = required_int(call, "bcGroupId")
    company = next((each for each in call.store.spec.companies if each.customer_group_id == group), None)
    if user is None or company is None:
        raise Refusal(404, "User does not exist or action not supported for this user")
    return _move(call, user.customer_id, company.id, only_unassigned=False)


def _move(call: Call, customer_id: int, company_id: int, *, only_unassigned: bool) -> Done:
    total = 0
    for order in call.store.orders.values():
        record = order.record(call.now)
        if order.customer_id != customer_id or record is None or record.company_id == company_id:
            continue
        if record.company_id is None or not only_unassigned:
            order.versions.append(record.with_changes(call.now, company_id=company_id))
            total += 1
    return done({"total": total})


def user(call: Call) -> Done:
    """Get the Company user with this customer ID."""
    user = call.store.user(call.path["customer_id"])
    customer = call.store.customer(call.path["customer_id"])
    if user is None:
        raise Refusal(404, "User does not exist.")
    return done(
        {
            "id": user.user_id,
            "firstName": customer.first_name if customer else "",
            "lastName": customer.last_name if customer else "",
            "email": user.email,
            "phoneNumber": "",
            "role": user.role,
            "companyId": user.company_id,
            "customerId": user.customer_id,
            "uuid": "",
            "extraFields": pairs(user.extra_fields),
        }
    )


def company(call: Call) -> Done:
    """Get a Company by its ID."""
    company = call.store.company(call.path["company_id"])
    if company is None:
        raise Refusal(404, "Company does not exist.")
    return done(
        {
            "companyId": str(company.id),
            "companyName": company.name,
            "companyEmail": "office@example.com",
            "companyPhone": "",
            "companyStatus": str(company.status.value),
            "bcGroupId": str(company.customer_group_id or ""),
            "extraFields": pairs(company.extra_fields),
        }
    )


def required_int(call: Call, name: str) -> int:
    """A required integer of the body."""
    value = call.fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refusal(422, f"{name} is required and must be a number.")
    return value


def done(data: Any) -> Done:
    """A successful response in B2B Edition's envelope."""
    return Done({"code": 200, "data": data, "meta": {"message": "SUCCESS"}})
