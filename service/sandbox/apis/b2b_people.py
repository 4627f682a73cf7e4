"""B2B Edition's management API: Company users, Super Admins, Companies, and moving orders between Companies."""

from typing import Any

from starlette.routing import BaseRoute

from service.sandbox.apis.extra_fields import pairs
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Handler, Refusal
from service.sandbox.specs import SuperAdmin

SUPER_ADMIN_ID_OFFSET = 8_000_000
DEFAULT_PER_PAGE = 10
MAX_PER_PAGE = 200


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes for users and Companies, and for moving their orders."""

    def b2b(method: str, path: str, operation: str, handler: Handler) -> BaseRoute:
        return gateway.route(Dialect.B2B, method, f"/api/v3/io{path}", operation, handler)

    customer = "/customers/{customer_id:int}"
    return [
        b2b("PUT", f"{customer}/orders/b2b", "Assign Customer Orders to Company", assign),
        b2b("PUT", f"{customer}/orders/company", "Reassign Orders to a Different Company", reassign),
        b2b("GET", "/users/customer/{customer_id:int}", "Get User Details by BigCommerce Customer ID", user),
        b2b("GET", "/companies/super-admins", "Get All Super Admins with Assigned Companies", super_admins),
        b2b("GET", "/super-admins/info/{super_admin_id:int}", "Get Super Admin Details", super_admin),
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


def super_admins(call: Call) -> Done:
    """List the Super Admins, in pages. As documented, without their customer IDs."""
    admins = [_super_admin_document(admin) for admin in call.store.spec.super_admins]
    limit, offset = call.number("limit") or DEFAULT_PER_PAGE, call.number("offset") or 0
    if not 1 <= limit <= MAX_PER_PAGE or offset < 0:
        raise Refusal(400, f"limit must be from 1 to {MAX_PER_PAGE}, offset at least 0.")
    pagination = {"totalCount": len(admins), "limit": limit, "offset": offset}
    meta = {"message": "SUCCESS", "pagination": pagination}
    return Done({"code": 200, "data": admins[offset : offset + limit], "meta": meta})


def super_admin(call: Call) -> Done:
    """Get a Super Admin by the ID that the list shows."""
    for admin in call.store.spec.super_admins:
        document = _super_admin_document(admin)
        if document["id"] == call.path["super_admin_id"]:
            return done(document | {"customerId": admin.customer_id, "extraFields": []})
    raise Refusal(404, "The ID provided does not match an available resource of the appropriate type.")


def _super_admin_document(admin: SuperAdmin) -> dict[str, Any]:
    return {
        "id": admin.id or SUPER_ADMIN_ID_OFFSET + admin.customer_id,
        "firstName": "Sue",
        "lastName": "Admin",
        "email": admin.email,
        "phone": "",
        "uuid": "",
        "createdAt": 1745868780,
        "updatedAt": 1745868780,
        "channelList": [],
    }


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
