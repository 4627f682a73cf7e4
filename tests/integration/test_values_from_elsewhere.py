"""Values that come late and from elsewhere, with real processes: each way once, all beside each other."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.bigcommerce.clients.hooks import METAFIELD_WRITTEN, ORDER_UPDATED
from service.orders.state.order_entry import Status
from tests.fakes.deployment import ADA, Deployment, deployed

# What comes 40 seconds late takes that long, and what gets lost is looked for 45 seconds after the write.
pytestmark = [pytest.mark.integration, pytest.mark.chaos]

RULES = r"""
[stores.{store}]
access_token  = "env:TEST_ACCESS_TOKEN"
client_secret = "env:TEST_CLIENT_SECRET"

[stores.{store}.po_number]
from = [
    "order.billing_address.form_fields[?name=='PO Number'].value | [0]",
    "metafields.checkout.po",
    "cart.metafields.checkout.po",
    "quote.referenceNumber",
    "transactions[0].payment_method_id",
]

[stores.{store}.extra_fields]
"Account No"  = {{ from = 'company.extraFields."ERP Account"', required = true }}
"Cost Center" = {{ from = "metafields.checkout.cost_center", required = true }}
"Ship Window" = {{ from = ["metafields.checkout.ship", 'record.extraFields."Quantity Limit"'], default = "NONE" }}
"""
GIVEN = {"cost_center": "CC-1", "ship": "S-1"}
ALL = {"Account No": "ERP-10001", "Cost Center": "CC-1", "Ship Window": "S-1"}
WITHIN_S = 110.0


def form_field(po_number: str) -> dict[str, Any]:
    return {"billing_address": {"form_fields": [{"name": "PO Number", "value": po_number}]}}


def metafields(**values: str) -> dict[str, Any]:
    return {"metafields": {"checkout": values}}


@dataclass(frozen=True)
class Way:
    """How an order gets its values. ``at_s``: when the metafields ``late`` or the ``edit`` come."""

    name: str
    placement: Mapping[str, Any]
    po_number: str
    status: Status
    fields: Mapping[str, str] = field(default_factory=lambda: ALL)
    writes: tuple[int, int] | None = (1, 0)
    """How many Creates and Updates of ours it takes; None: not said."""
    at_s: float = 0.0
    late: Mapping[str, str] = field(default_factory=dict)
    edit: Mapping[str, Any] = field(default_factory=dict)
    drop_webhook: bool = False


PO, OF_DEFAULT = form_field("PO-1"), metafields(cost_center="CC-1")
CREATED, UPDATED = Status.CREATED, Status.UPDATED
WAYS = [
    *(
        way
        for at_s in (1.5, 4.0)
        for way in (
            Way(f"required at {at_s}", PO, "PO-1", CREATED, at_s=at_s, late=GIVEN),
            Way(f"default at {at_s}", PO | OF_DEFAULT, "PO-1", CREATED, at_s=at_s, late={"ship": "S-1"}),
        )
    ),
    Way("required at 40", PO, "PO-1", UPDATED, writes=(0, 1), at_s=40.0, late=GIVEN),
    Way("required at 40, webhook lost", PO, "PO-1", UPDATED, writes=(0, 1), at_s=40.0, late=GIVEN, drop_webhook=True),
    Way("default at 40", PO | OF_DEFAULT, "PO-1", CREATED, writes=(1, 1), at_s=40.0, late={"ship": "S-1"}),
    Way("cart", {"cart_metafields": {"checkout": {"po": "A-26"}}, **metafields(**GIVEN)}, "A-26", CREATED),
    Way("quote", {"quote": {"referenceNumber": "Q-31"}, **metafields(**GIVEN)}, "Q-31", CREATED),
    Way(
        "record",
        PO | OF_DEFAULT | {"buyer_extra_fields": {"Quantity Limit": "7"}, "platform_writes_after": 0.3},
        "PO-1",
        UPDATED,
        {**ALL, "Ship Window": "7", "Quantity Limit": "7"},
        writes=None,
    ),
    Way(
        "PO changed by staff",
        PO | metafields(**GIVEN),
        "PO-2",
        CREATED,
        writes=(1, 1),
        at_s=12.0,
        edit=form_field("PO-2"),
    ),
    Way(
        "platform writes at 0.3",
        # Its webhook comes later than that: a quick worker would be there before the platform.
        PO | metafields(**GIVEN) | {"buyer_po": "BUYER", "platform_writes_after": 0.3, "delay_webhook": 1.0},
        "BUYER",
        UPDATED,
        writes=(0, 1),
    ),
    Way(
        "platform writes at 3",
        PO
        | metafields(**GIVEN)
        | {"buyer_po": "BUYER", "buyer_extra_fields": {"Quantity Limit": "3"}, "platform_writes_after": 3.0},
        "BUYER",
        CREATED,
        ALL | {"Quantity Limit": "3"},
        writes=(1, 1),
    ),
    Way("no record ever", PO | metafields(**GIVEN) | {"own_record": False, "delay_webhook": 11.0}, "PO-1", CREATED),
    Way(
        "subsidiary",
        PO | metafields(**GIVEN) | {"company_id": 5003},
        "PO-1",
        CREATED,
        {**ALL, "Account No": "ERP-10003"},
        writes=(1, 1),
    ),
]


async def register(deployment: Deployment) -> None:
    for scope in (ORDER_UPDATED, *METAFIELD_WRITTEN):
        hook = {"scope": scope, "destination": f"{deployment.url}/webhooks/bigcommerce", "is_active": True}
        (await deployment.sandbox.api.post("/stores/sandbox/v3/hooks", json=hook)).raise_for_status()


async def course(deployment: Deployment, way: Way) -> tuple[str, list[str]]:
    """Place the order, let its values come, and wait for the record: what is not as it should be at the end."""
    sandbox = deployment.sandbox
    order_id = (await sandbox.place_order(customer_id=ADA, **way.placement))["id"]
    await asyncio.sleep(way.at_s)
    if way.late:
        await sandbox.write_metafields(order_id, {"checkout": dict(way.late)}, drop_webhook=way.drop_webhook)
    if way.edit:
        await sandbox.edit_order(order_id, **way.edit)
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while True:
        wrong = await deviations(deployment, way, order_id)
        if not wrong or asyncio.get_running_loop().time() > deadline:
            return way.name, wrong
        await asyncio.sleep(0.25)


async def deviations(deployment: Deployment, way: Way, order_id: int) -> list[str]:
    entry, seen = await deployment.ledger.get("sandbox", order_id), await deployment.sandbox.order(order_id)
    record, operations = seen["record"] or {}, [write["operation"] for write in seen["writes"]]
    writes = operations.count("Create an Order"), operations.count("Update an Order")
    shown = {
        "outcome": (entry and entry.status, way.status),
        "verified": (entry and entry.verified, True),
        "po_number": (record.get("po_number"), way.po_number),
        "fields": (record.get("extra_fields"), dict(way.fields)),
        "writes": (writes, way.writes or writes),
    }
    return [f"{name}: {found}, not {wanted}" for name, (found, wanted) in shown.items() if found != wanted]


async def test_each_way_ends_with_the_right_values_on_the_record(tmp_path: Path) -> None:
    # These rules read every source, for all orders at once: the quota is not what this is about.
    async with deployed(
        tmp_path, rules=RULES, workers=2, late_create="accepted", core_quota=2000, b2b_quota=2000
    ) as deployment:
        await register(deployment)
        ended = await asyncio.gather(*(course(deployment, way) for way in WAYS))

    wrong = [f"{name}: {each}" for name, found in ended for each in found]
    assert not wrong, "\n".join(wrong)
