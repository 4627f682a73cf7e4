"""Which webhooks a store needs, by its rules and settings."""

from typing import Any

import pytest

from service.bigcommerce.clients.hooks import Hook
from service.hooks import Scopes, scopes_of
from tests.fakes.webhooks import a_configured_store

CREATED, STATUS, UPDATED = "store/order/created", "store/order/statusUpdated", "store/order/updated"
METAFIELDS = ("store/order/metafield/created", "store/order/metafield/updated")
COMPANIES = ("store/company/user/created", "store/company/user/updated", "store/company/statusUpdated")
NO_WAIT = {"from": "metafields.checkout.po_number", "wait": False}
OFF = {"late_values": "0s", "follow": "0s"}
DAY = {"late_values": "0s", "follow": "24h"}
WAITS = {"late_values": "6s", "follow": "0s"}


@pytest.mark.parametrize(
    ("keys", "essential", "optional"),
    [
        # Nothing waits and nothing is followed.
        ({**OFF, "po_number": "metafields.a.b || order.id"}, (CREATED,), ()),
        ({**OFF, "po_number": "order.id", "incomplete_orders": "wait"}, (CREATED, STATUS), ()),
        ({**OFF, "po_number": "order.id", "incomplete_orders": "skip"}, (CREATED,), ()),
        # Late values.
        ({**WAITS, "po_number": "metafields.a.b"}, (CREATED,), METAFIELDS),
        ({**WAITS, "po_number": "order.id", "extra_fields": {"A": "metafields.a.b"}}, (CREATED,), METAFIELDS),
        ({**WAITS, "po_number": "@"}, (CREATED,), METAFIELDS),
        ({**WAITS, "po_number": NO_WAIT}, (CREATED,), ()),
        ({**WAITS, "po_number": NO_WAIT, "extra_fields": {"A": "transactions[0].id"}}, (CREATED,), ()),
        ({**WAITS, "po_number": "cart.metafields.a.b"}, (CREATED,), ()),
        ({**WAITS, "po_number": {"from": "order.staff_notes", "wait": True}}, (CREATED,), ()),
        ({**WAITS, "po_number": {"value": "A-1"}}, (CREATED,), ()),
        # Later changes. Buyers may be approved whatever the rules read.
        ({**DAY, "po_number": {"value": "A-1"}}, (CREATED,), COMPANIES),
        ({**DAY, "po_number": "customer.company"}, (CREATED,), COMPANIES),
        ({**DAY, "po_number": "company.name", "incomplete_orders": "wait"}, (CREATED, STATUS), COMPANIES),
        ({**DAY, "po_number": "order.id"}, (CREATED,), (UPDATED, *COMPANIES)),
        ({**DAY, "po_number": "products[0].sku"}, (CREATED,), (UPDATED, *COMPANIES)),
        ({**DAY, "po_number": "shipping_addresses[0].company"}, (CREATED,), (UPDATED, *COMPANIES)),
        ({**DAY, "po_number": {"from": ["company.name", "order.id"]}}, (CREATED,), (UPDATED, *COMPANIES)),
        ({**DAY, "po_number": NO_WAIT}, (CREATED,), (*METAFIELDS, *COMPANIES)),
        ({**DAY, "po_number": "metafields.a.b || order.id"}, (CREATED,), (*METAFIELDS, UPDATED, *COMPANIES)),
        ({**DAY, "po_number": "@"}, (CREATED,), (*METAFIELDS, UPDATED, *COMPANIES)),
        ({"follow": None, "po_number": "metafields.a.b"}, (CREATED,), (*METAFIELDS, *COMPANIES)),
    ],
)
def test_a_store_needs_what_its_rules_need_and_no_more(
    keys: dict[str, Any], essential: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    assert scopes_of(a_configured_store(**keys)) == Scopes(essential, optional)


@pytest.mark.parametrize(
    ("scope", "is_needed", "is_essential", "is_optional"),
    [
        (CREATED, True, True, False),
        (UPDATED, True, False, True),
        (COMPANIES[0], True, False, True),
        ("store/order/*", True, True, False),
        ("store/*", True, True, False),
        ("store/company/*", True, False, True),
        ("store/company/user/*", True, False, True),
        ("store/order/metafield/*", False, False, False),
        ("store/order", False, False, False),
        ("store/order*", False, False, False),
        ("store/order/created/*", False, False, False),
        ("store/product/*", False, False, False),
        ("*", False, False, False),
        ("", False, False, False),
    ],
)
def test_a_wildcard_is_sent_for_all_scopes_below_it(
    scope: str, is_needed: bool, is_essential: bool, is_optional: bool
) -> None:
    scopes = scopes_of(a_configured_store(**DAY, po_number="order.id"))
    hook = Hook(1, scope, "https://hooks.example.com/webhooks/bigcommerce", True, 0.0)

    assert scopes.are_needed_of(hook) is is_needed
    assert scopes.is_essential(hook) is is_essential
    assert scopes.is_optional(hook) is is_optional
