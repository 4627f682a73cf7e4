"""The orders that the demo places, and the expected outcome of each."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from service.orders.state.order_entry import Status
from service.sandbox.demo import DEMO_STORE
from service.sandbox.specs import Company, Customer, User

STORES_FILE = r"""
[bigcommerce]
api_url     = "{sandbox}"
b2b_api_url = "{sandbox}"

[stores.sandbox]
name              = "Sandbox Store"
access_token      = "env:SANDBOX_ACCESS_TOKEN"
client_secret     = "env:SANDBOX_CLIENT_SECRET"
incomplete_orders = "wait"

[stores.sandbox.po_number]
from  = [
    "order.billing_address.form_fields[?name=='PO Number'].value | [0]",
    "metafields.checkout.po_number",
    "cart.metafields.checkout.po_number",
    "order.customer_message",
]
match = '\bPO[\s#:]+([A-Z0-9-]+)'

[stores.sandbox.extra_fields]
"Cost Center" = {{ from = "metafields.checkout.cost_center", default = "UNASSIGNED", wait = false }}
"Ship Window" = {{ from = "order.customer_message", match = 'ship:(\S+)' }}
"Source"      = {{ value = "web" }}
"Account No"  = {{ from = 'company.extraFields."ERP Account"', required = true }}
"""

ADA, CLEO, EVE, SUE, ZOE, GUEST = 101, 103, 105, 150, 199, 0
FINN, GUS = 106, 107
"""Buyers of Companies that somebody has to see to: ``TROUBLED`` has them."""

TROUBLED = DEMO_STORE.model_copy(
    update={
        "companies": (
            *DEMO_STORE.companies,
            Company(id=5004, name="Riverside Studio", customer_group_id=24, extra_fields={}),
            Company(id=5005, name="Old Mill", customer_group_id=25, extra_fields={"ERP Account": "ERP-10005 " * 5}),
        ),
        "customers": (
            *DEMO_STORE.customers,
            Customer(id=FINN, email="finn@example.com", first_name="Finn", company="Riverside Studio"),
            Customer(id=GUS, email="gus@example.com", first_name="Gus", company="Old Mill"),
        ),
        "users": (
            *DEMO_STORE.users,
            User(customer_id=FINN, company_id=5004, email="finn@example.com"),
            User(customer_id=GUS, company_id=5005, email="gus@example.com"),
        ),
    }
)
"""The sandbox's store with two more Companies: one without an account number, one whose number is too long."""

ACCOUNT_TOO_LONG = "Account No: the text has 49 characters, the field takes 40."
_ACCOUNTS = {ADA: "ERP-10001", CLEO: "ERP-10002", EVE: "ERP-10003"}


@dataclass(frozen=True, slots=True)
class Later:
    """What staff or an app do with the order so many seconds after it: a write to the sandbox's control API."""

    after_s: float
    path: str
    write: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DemoOrder:
    """One order: how it is placed, what happens to it later, and the outcome and record that are expected."""

    kind: str
    placement: dict[str, Any]
    outcome: Status = Status.CREATED
    reason: str | None = None
    po_number: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    later: Later | None = None
    in_window: bool = True
    """Whether an order that is created must be so inside its window."""


def demo_orders(count: int, *, with_trouble: bool = False) -> Iterator[DemoOrder]:
    """Generate ``count`` orders: each rare kind once, as early as possible, between the usual kinds.

    ``with_trouble``: some need a person, in the store ``TROUBLED``.
    """
    # Those that take longest come first.
    rare = [
        late,
        no_record,
        super_admin,
        changed_later,
        incomplete,
        late_metafield,
        cart,
        guest,
        subsidiary,
        no_company,
        duplicate,
    ]
    if with_trouble:
        rare += [account_too_long, without_account, account_too_long, account_too_long]
    usual = cycle([form_field, metafield, comment, no_po])
    for number in range(count):
        # Every second order is of a rare kind, until each was placed.
        make = rare[number // 2] if number % 2 and number // 2 < len(rare) else next(usual)
        if make is no_record and number == count - 1:
            make = next(usual)  # only the record of a later order shows that none comes
        yield make(f"{4700 + number}-D")


def form_field(po_number: str) -> DemoOrder:
    """The buyer entered the PO in a form field of the billing address."""
    fields = _form_field(po_number)
    return DemoOrder("PO in a form field", {"customer_id": ADA, **fields}, po_number=po_number, fields=_fields(ADA))


def metafield(po_number: str) -> DemoOrder:
    """The storefront wrote PO and cost centre as metafields."""
    checkout = {"po_number": f"PO {po_number}", "cost_center": "CC-210"}
    return DemoOrder(
        "PO in a metafield",
        {"customer_id": CLEO, "metafields": {"checkout": checkout}},
        po_number=po_number,
        fields=_fields(CLEO, **{"Cost Center": "CC-210"}),
    )


def cart(po_number: str) -> DemoOrder:
    """A headless shop kept the PO in a metafield of the cart."""
    return DemoOrder(
        "PO in the cart",
        {"customer_id": CLEO, "cart_metafields": {"checkout": {"po_number": f"PO {po_number}"}}},
        po_number=po_number,
        fields=_fields(CLEO),
    )


def comment(po_number: str) -> DemoOrder:
    """The buyer wrote PO and ship window into the order's comment."""
    return DemoOrder(
        "PO in the comment",
        {"customer_id": EVE, "customer_message": f"Our PO: {po_number}, ship:2026-W05 please"},
        po_number=po_number,
        fields=_fields(EVE, **{"Ship Window": "2026-W05"}),
    )


def no_po(_: str) -> DemoOrder:
    """There is no PO: only the extra fields are filled."""
    return DemoOrder("no PO, extra fields only", {"customer_id": ADA}, fields=_fields(ADA))


def guest(po_number: str) -> DemoOrder:
    """The shopper is not logged in."""
    return DemoOrder("a guest", {"customer_id": GUEST, **_form_field(po_number)}, Status.SKIPPED, "guest")


def no_company(po_number: str) -> DemoOrder:
    """The shopper belongs to no Company."""
    placement = {"customer_id": ZOE, **_form_field(po_number)}
    return DemoOrder("a shopper of no Company", placement, Status.SKIPPED, "not_a_company_user")


def incomplete(po_number: str) -> DemoOrder:
    """The order is not paid yet when its webhook is sent; the store waits for a status change."""
    return DemoOrder(
        "incomplete, paid 2 s later",
        {"customer_id": ADA, "status_id": 0, "complete_after": 2.0, **_form_field(po_number)},
        po_number=po_number,
        fields=_fields(ADA),
    )


def duplicate(po_number: str) -> DemoOrder:
    """BigCommerce sends its webhook twice."""
    return DemoOrder(
        "its webhook comes twice",
        {"customer_id": CLEO, "duplicate_webhook": True, **_form_field(po_number)},
        po_number=po_number,
        fields=_fields(CLEO),
    )


def late(po_number: str) -> DemoOrder:
    """BigCommerce sends its webhook after the window has closed."""
    return DemoOrder(
        "its webhook is 15 s late",
        {"customer_id": EVE, "delay_webhook": 15.0, **_form_field(po_number)},
        outcome=Status.UPDATED,
        po_number=po_number,
        fields=_fields(EVE),
    )


def no_record(po_number: str) -> DemoOrder:
    """An ERP makes the order, and tells of it late: B2B Edition never makes a record, so the service does."""
    return DemoOrder(
        "from an ERP, without a record",
        {"customer_id": EVE, "delay_webhook": 11.0, "own_record": False, **_form_field(po_number)},
        in_window=False,
        po_number=po_number,
        fields=_fields(EVE),
    )


def late_metafield(po_number: str) -> DemoOrder:
    """An app writes the PO as a metafield of the order two seconds after it: it is in the create."""
    return DemoOrder(
        "PO from an app 2 s later",
        {"customer_id": EVE},
        later=Later(2.0, "/metafields", {"metafields": {"checkout": {"po_number": f"PO {po_number}"}}}),
        po_number=po_number,
        fields=_fields(EVE),
    )


def changed_later(po_number: str) -> DemoOrder:
    """Staff correct the ship window in the order's comment after it was enriched."""
    message = "PO {}, ship:{}"
    return DemoOrder(
        "comment corrected later",
        {"customer_id": CLEO, "customer_message": message.format(po_number, "2026-W05")},
        later=Later(8.0, "", {"customer_message": message.format(po_number, "2026-W07")}),
        po_number=po_number,
        fields=_fields(CLEO, **{"Ship Window": "2026-W07"}),
    )


def super_admin(po_number: str) -> DemoOrder:
    """A Super Admin orders for a Company: only the record tells which, so its account number is written then."""
    return DemoOrder(
        "a Super Admin's order",
        {"customer_id": SUE, "company_id": 5002, **_form_field(po_number)},
        outcome=Status.UPDATED,
        po_number=po_number,
        fields=_fields(CLEO),
    )


def subsidiary(po_number: str) -> DemoOrder:
    """The buyer's order is for another Company than the buyer's own: the account number follows the record."""
    return DemoOrder(
        "for a subsidiary",
        {"customer_id": ADA, "company_id": 5003, **_form_field(po_number)},
        po_number=po_number,
        fields=_fields(EVE),
    )


def without_account(po_number: str) -> DemoOrder:
    """The Company has no account number, which is required: the order waits for it."""
    return DemoOrder(
        "its Company has no account", {"customer_id": FINN, **_form_field(po_number)}, Status.WAITING, "value"
    )


def account_too_long(po_number: str) -> DemoOrder:
    """The Company's account number is longer than BigCommerce takes."""
    return DemoOrder(
        "its account is too long", {"customer_id": GUS, **_form_field(po_number)}, Status.FAILED, ACCOUNT_TOO_LONG
    )


def _form_field(po_number: str) -> dict[str, Any]:
    return {"billing_address": {"form_fields": [{"name": "PO Number", "value": f"PO {po_number}"}]}}


def _fields(customer: int, **others: str) -> dict[str, str]:
    return {"Cost Center": "UNASSIGNED", "Source": "web", "Account No": _ACCOUNTS[customer]} | others
