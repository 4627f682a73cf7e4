"""``enrich backfill`` as a user runs it, and stops it: every process is real."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from service.orders.state.order_entry import Status
from tests.fakes.deployment import ADA, GUEST, Deployment, Process, deployed, outcomes

pytestmark = pytest.mark.integration

DAY = 86_400
PLENTY = 10_000


@pytest.mark.chaos
async def test_a_stopped_backfill_can_be_continued_and_new_orders_are_not_delayed(tmp_path: Path) -> None:
    async with deployed(tmp_path, core_quota=PLENTY, b2b_quota=PLENTY, faults={"latency": 0.02}) as deployment:
        customers = [ADA if number % 4 == 0 else GUEST for number in range(120)]
        placing = (deployment.place(number, customer_id=who, age=DAY) for number, who in enumerate(customers))
        placed = await asyncio.gather(*placing)
        old = {order_id: number for number, order_id in enumerate(placed) if customers[number] == ADA}

        first = backfill(deployment, "first")
        await wait_until_one_is_finished(deployment, placed)
        await deployment.sandbox.faults(latency=0.3)  # slow, so that the signal comes before its end
        fresh = {await deployment.place(1000): 1000}
        first.signal(signal.SIGINT)
        assert await first.wait() == 130
        assert "Stopped.\n" in first.text
        assert "Run the same command again to continue" in first.text

        await deployment.sandbox.faults(latency=0.02)
        second = backfill(deployment, "second", "--json")
        entries = await deployment.wait_until_finished([*placed, *fresh])
        assert await second.wait() == 0
        result: dict[str, Any] = json.loads("{" + second.text.rpartition("\n{\n")[2])

        assert outcomes(entries) == {Status.UPDATED: 30, Status.SKIPPED: 90, Status.CREATED: 1}
        assert all(entries[order_id].verified for order_id in old)
        await deployment.assert_enriched(old | fresh)
        for order_id in old:
            assert len((await deployment.sandbox.order(order_id))["writes"]) == 1
        assert (result["finished"], result["reached"], result["not_ended"]) == (True, max(placed), [])
        assert result["ended_before"] > 0
        assert not [line for worker in deployment.workers for line in worker.events("job_crashed")]


def backfill(deployment: Deployment, name: str, *words: str) -> Process:
    return Process(name, ["service.cli", "backfill", "--since", "30d", *words], deployment.environ, deployment.folder)


async def wait_until_one_is_finished(deployment: Deployment, order_ids: list[int]) -> None:
    async with asyncio.timeout(30):
        while not any(  # noqa: ASYNC110 - it is Redis that changes
            status.is_final for status in (await deployment.ledger.statuses("sandbox", order_ids)).values()
        ):
            await asyncio.sleep(0.01)
