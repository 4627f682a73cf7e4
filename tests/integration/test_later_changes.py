"""Values that change or come after the order was enriched, with real processes."""

import asyncio
from pathlib import Path

import pytest

from service.orders.state.order_entry import Entry, Status
from tests.fakes.deployment import Deployment, deployed

pytestmark = pytest.mark.integration

RULES = r"""
[stores.{store}]
access_token  = "env:TEST_ACCESS_TOKEN"
client_secret = "env:TEST_CLIENT_SECRET"
late_values   = "0s"
po_number     = {{ from = ["metafields.checkout.po", "order.external_id"], default = "NONE" }}

[stores.{store}.extra_fields]
"Account No" = 'company.extraFields."ERP Account"'
"""


async def record_shows(deployment: Deployment, order_id: int, po_number: str) -> Entry:
    """Wait until the record shows this PO and the order is finished again."""
    async with asyncio.timeout(30.0):
        while True:
            record = (await deployment.sandbox.order(order_id))["record"]
            entry = await deployment.ledger.get("sandbox", order_id)
            if record and record["po_number"] == po_number and entry and entry.status.is_final:
                return entry
            await asyncio.sleep(0.1)


@pytest.mark.chaos
async def test_later_values_are_carried_to_the_record(tmp_path: Path) -> None:
    async with deployed(tmp_path, rules=RULES, workers=2) as deployment:
        for scope in ("store/order/updated", "store/order/metafield/created", "store/order/metafield/updated"):
            hook = {"scope": scope, "destination": f"{deployment.url}/webhooks/bigcommerce", "is_active": True}
            (await deployment.sandbox.api.post("/stores/sandbox/v3/hooks", json=hook)).raise_for_status()
        order_id = await deployment.place(1)
        entry = (await deployment.wait_until_finished([order_id]))[order_id]
        assert (entry.status, entry.po_number) == (Status.CREATED, "NONE")

        await deployment.sandbox.edit_order(order_id, external_id="E-1")
        entry = await record_shows(deployment, order_id, "E-1")
        assert (entry.status, entry.source, entry.verified) == (Status.CREATED, "order_updated", True)

        await deployment.sandbox.write_metafields(order_id, {"checkout": {"po": "A-26"}})
        entry = await record_shows(deployment, order_id, "A-26")
        assert (entry.source, entry.verified) == ("metafield", True)

        before = (await deployment.sandbox.order(order_id))["updates"]
        await deployment.sandbox.edit_order(order_id, external_id="E-2")  # a later source than the metafield
        await deployment.sandbox.edit_order(order_id, staff_notes="shipped")
        await asyncio.sleep(7.0)  # more than the pause between two readings
        assert (await deployment.sandbox.order(order_id))["updates"] == before


@pytest.mark.chaos
async def test_fresh_orders_do_not_notice_that_an_erp_touches_hundreds(tmp_path: Path) -> None:
    async with deployed(tmp_path, rules=RULES) as deployment:
        hook = {
            "scope": "store/order/updated",
            "destination": f"{deployment.url}/webhooks/bigcommerce",
            "is_active": True,
        }
        old = [await deployment.place(number) for number in range(30)]
        await deployment.wait_until_finished(old, within_s=90.0)
        (await deployment.sandbox.api.post("/stores/sandbox/v3/hooks", json=hook)).raise_for_status()
        before = await deployment.sandbox.calls()

        fresh = []
        for touched in range(0, 30, 6):
            for _ in range(5):  # an ERP writes an order in several steps
                for order_id in old[touched : touched + 6]:
                    await deployment.sandbox.edit_order(order_id, staff_notes=f"exported {touched}")
            fresh.append(await deployment.place(100 + touched))
        entries = await deployment.wait_until_finished(fresh)
        async with asyncio.timeout(60.0):
            while await deployment.queue._redis.zcard("enrich:changed:sandbox"):  # noqa: ASYNC110 - the marks are read
                await asyncio.sleep(0.1)
        calls = await deployment.sandbox.calls()

    assert {entry.status for entry in entries.values()} == {Status.CREATED}
    assert all(entry.create_age is not None and entry.create_age < 10.0 for entry in entries.values())
    writes = [
        sum(each["b2b"].get(name, {}).get("200", 0) for name in ("Create an Order", "Update an Order"))
        for each in (before, calls)
    ]
    assert writes[1] - writes[0] == len(fresh), "nothing is written for what did not change a value"
    reads = [sum(each["core"].get("Get an Order", {}).values()) for each in (before, calls)]
    assert reads[1] - reads[0] < 30, "150 events are read in lists"
