"""Required values that come late, with real processes: inside the window, long after it, and while workers die."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from service.bigcommerce.clients.hooks import METAFIELD_WRITTEN
from service.orders.state.order_entry import Entry, Status
from tests.chaos.load_generator import until
from tests.fakes.deployment import Deployment, deployed

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(120)]

RULES = r"""
[stores.{store}]
access_token  = "env:TEST_ACCESS_TOKEN"
client_secret = "env:TEST_CLIENT_SECRET"
po_number     = "order.billing_address.form_fields[?name=='PO Number'].value | [0]"

[stores.{store}.extra_fields]
"Cost Center" = {{ from = "metafields.checkout.cost_center", required = true }}
"Account No"  = 'company.extraFields."ERP Account"'
"""


async def register_metafield_hooks(deployment: Deployment) -> None:
    for scope in METAFIELD_WRITTEN:
        hook = {"scope": scope, "destination": f"{deployment.url}/webhooks/bigcommerce", "is_active": True}
        answer = await deployment.sandbox.api.post(f"/stores/{deployment.stores[0]}/v3/hooks", json=hook)
        answer.raise_for_status()


async def write_value(deployment: Deployment, order_id: int, *, at_s: float) -> None:
    """An app writes the order's cost center when the order has this age."""
    placed_at = (await deployment.sandbox.order(order_id))["created_at"]
    await asyncio.sleep(max(0.0, placed_at + at_s - time.time()))
    await deployment.sandbox.write_metafields(order_id, {"checkout": {"cost_center": f"CC-{order_id}"}})


async def entry_of(deployment: Deployment, order_id: int) -> Entry:
    entry = await deployment.ledger.get(deployment.stores[0], order_id)
    assert entry is not None
    return entry


def lines(deployment: Deployment, order_id: int, event: str) -> list[dict[str, Any]]:
    return [line for worker in deployment.workers for line in worker.events(event) if line.get("order_id") == order_id]


async def test_required_values_that_come_4_and_40_seconds_after_the_order(tmp_path: Path) -> None:
    async with deployed(tmp_path, rules=RULES, auto_record_after=20.0) as deployment:
        await register_metafield_hooks(deployment)
        soon, late = await deployment.place(1), await deployment.place(2)
        writing = [
            asyncio.create_task(write_value(deployment, soon, at_s=4.0)),
            asyncio.create_task(write_value(deployment, late, at_s=40.0)),
        ]
        entries = await deployment.wait_until_finished([soon], within_s=15)
        await deployment.wait_until_waiting(late)
        await until(lambda: lines(deployment, late, "order_waiting"))
        await asyncio.gather(*writing)
        entries |= await deployment.wait_until_finished([late], within_s=20)
        records = [(await deployment.sandbox.order(order_id))["record"] for order_id in (soon, late)]

    assert [entry.status for entry in entries.values()] == [Status.CREATED, Status.UPDATED]
    assert {entry.verified for entry in entries.values()} == {True}
    assert [(record["po_number"], record["extra_fields"]) for record in records] == [
        ("PO-1", {"Cost Center": f"CC-{soon}", "Account No": "ERP-10001"}),
        ("PO-2", {"Cost Center": f"CC-{late}", "Account No": "ERP-10001"}),
    ]
    (line,) = lines(deployment, late, "order_waiting")
    assert (line["level"], line["outcome"], line["reason"], line["rule"]) == (
        "warning",
        "waiting",
        "value",
        "Cost Center",
    )
    assert lines(deployment, soon, "order_waiting") == []


async def test_an_order_that_waits_is_continued_by_another_worker_after_kill_9(tmp_path: Path) -> None:
    rules = RULES.replace("po_number     =", 'late_values   = "1s"\npo_number     =')
    async with deployed(tmp_path, rules=rules, auto_record_after=12.0) as deployment:
        await register_metafield_hooks(deployment)
        order_id = await deployment.place(1)
        await deployment.wait_until_waiting(order_id)
        deployment.workers[0].kill()
        waits = await entry_of(deployment, order_id)
        survivor = deployment.start_worker()

        # Nothing tells of a change: the attempt at the end of the window is the other worker's.
        await until(lambda: survivor.events("order_waiting"))
        still_waits = await entry_of(deployment, order_id)
        survivor.kill()
        deployment.start_worker()
        await write_value(deployment, order_id, at_s=13.0)
        entry = (await deployment.wait_until_finished([order_id]))[order_id]
        record = (await deployment.sandbox.order(order_id))["record"]

    assert (waits.status, waits.reason, waits.rule) == (Status.WAITING, "value", "Cost Center")
    assert (still_waits.status, still_waits.rule) == (Status.WAITING, "Cost Center")
    assert still_waits.attempts > waits.attempts
    assert (entry.status, entry.verified, record["extra_fields"]) == (
        Status.UPDATED,
        True,
        {"Cost Center": f"CC-{order_id}", "Account No": "ERP-10001"},
    )
    assert len(lines(deployment, order_id, "order_waiting")) == 1
