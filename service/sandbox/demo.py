"""The store of a new sandbox, with enough people and fields to try every kind of rule.

Ids: Companies 5001 to 5003; customers 101 and 102 (users of 5001), 103 and 104 (5002), 105 (5003), 150, a Super Admin
of 5001 and 5002, and 199, who is not a Company user; users are 9_000_000 + customer id, Super Admins 8_000_000 +
customer id, B2B Edition's own order ids are 5_000_000 + order id. Customer 0 is a guest.
"""

from service.sandbox.specs import Company, Customer, ExtraFieldConfig, FieldType, StoreSpec, SuperAdmin, User
from service.sandbox.state import Sandbox, Store

DEMO_STORE_HASH = "sandbox"

_EXTRA_FIELDS = (
    ExtraFieldConfig(field_name="Cost Center", maximum_length=40),
    ExtraFieldConfig(field_name="Ship Window", maximum_length=200),
    ExtraFieldConfig(field_name="Source", field_type=FieldType.DROPDOWN, list_of_values=("web", "phone")),
    ExtraFieldConfig(field_name="Account No", maximum_length=40, is_required=True),
    ExtraFieldConfig(field_name="Quantity Limit", field_type=FieldType.NUMBER, maximum_value=1000),
)

_COMPANIES = (
    Company(id=5001, name="Great Buys", customer_group_id=21, extra_fields={"ERP Account": "ERP-10001"}),
    Company(id=5002, name="Northwind Packaging", customer_group_id=22, extra_fields={"ERP Account": "ERP-10002"}),
    Company(id=5003, name="Harbor Foods", customer_group_id=23, extra_fields={"ERP Account": "ERP-10003"}),
)

_PEOPLE = (
    (101, "Ada", 5001, "CC-110"),
    (102, "Ben", 5001, "CC-120"),
    (103, "Cleo", 5002, "CC-210"),
    (104, "Dan", 5002, "CC-220"),
    (105, "Eve", 5003, "CC-310"),
)

DEMO_STORE = StoreSpec(
    name="Sandbox Store",
    extra_fields=_EXTRA_FIELDS,
    companies=_COMPANIES,
    customers=(
        *(
            Customer(
                id=customer_id,
                email=f"{name.lower()}@example.com",
                first_name=name,
                company=next(company.name for company in _COMPANIES if company.id == company_id),
                attributes={"Cost Center": cost_center},
                form_fields={"Department": "Purchasing"},
            )
            for customer_id, name, company_id, cost_center in _PEOPLE
        ),
        Customer(id=150, email="sue@example.com", first_name="Sue"),
        Customer(id=199, email="zoe@example.com", first_name="Zoe"),
    ),
    users=tuple(
        User(
            customer_id=customer_id,
            company_id=company_id,
            email=f"{name.lower()}@example.com",
            extra_fields={"Employee No": f"E-{customer_id}"},
        )
        for customer_id, name, company_id, _ in _PEOPLE
    ),
    super_admins=(SuperAdmin(customer_id=150, company_ids=(5001, 5002), email="sue@example.com"),),
)


def seed_demo_store(sandbox: Sandbox) -> Store:
    """Create or reset the demo store; its orders stay."""
    return sandbox.put_store(DEMO_STORE_HASH, DEMO_STORE)
