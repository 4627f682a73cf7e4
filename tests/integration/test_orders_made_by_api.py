"""Orders that an ERP makes by API, with real processes: they get no record by themselves, and some a wrong date."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.orders.state.order_entry import Status
from tests.fakes.deployment import Deployment, deployed, outcomes

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

YEARS_S = 7 * 365 * 86_400.0
HOUR_S = 3600.0


async def created_at_age(deployment: Deployment, order_id: int) -> float:
    """The order's true age when its one Create was taken."""
    seen = await deployment.sandbox.order(order_id)
    (write,) = seen["writes"]
    assert write["operation"] == "Create an Order"
    return float(write["received_at"] - seen["created_at"])


async def canonical_line(deployment: Deployment, order_id: int) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            lines = [line for line in deployment.workers[0].events("order_enriched") if line["order_id"] == order_id]
            if lines:
                return lines[0]
            await asyncio.sleep(0.05)


async def test_each_gets_its_record_and_those_with_a_wrong_date_inside_their_true_window(tmp_path: Path) -> None:
    async with deployed(tmp_path, own_records=False, late_create="accepted") as deployment:
        await deployment.wait_until_reconciled()  # it would find the order whose webhook comes late
        late = await deployment.place(1, delay_webhook=11.0)
        usual = await deployment.place(2)
        backdated = await deployment.place(3, date_offset=-YEARS_S)
        ahead = await deployment.place(4, date_offset=HOUR_S)
        entries = await deployment.wait_until_finished([late, usual, backdated, ahead], within_s=60.0)

        assert outcomes(entries) == {Status.CREATED: 4}
        assert all(entry.verified for entry in entries.values())
        await deployment.assert_enriched({late: 1, usual: 2, backdated: 3, ahead: 4})
        ages = {order_id: await created_at_age(deployment, order_id) for order_id in entries}
        assert ages[late] >= 15.0, "nothing is created before it is clear that no record comes"
        assert max(ages[usual], ages[backdated], ages[ahead]) < 10.0
        in_window = {order_id: (await canonical_line(deployment, order_id))["in_window"] for order_id in entries}
        assert in_window == {late: False, usual: True, backdated: None, ahead: None}
