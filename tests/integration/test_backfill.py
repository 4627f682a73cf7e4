"""``enrich backfill`` as a user runs it, and stops it: every process is real."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from service.orders.state.entry import Status
from tests.fakes.deployment import ADA, GUEST, Deployment, Process, deployed, outcomes

pytestmark = pytest.mark.integration

DAY = 86_400
PLENTY = 10_000


async def test_a_backfill_that_is_stopped_goes_on_and_fresh_orders_do_not_notice(tmp_path: Path) -> None:
    async with deployed(tmp_path, core_quota=PLENTY, b2b_quota=PLENTY, faults={"latency": 0.02}) as house:
        customers = [ADA if number % 4 == 0 else GUEST for number in range(120)]
        placing = (house.place(number, customer_id=who, age=DAY) for number, who in enumerate(customers))
        placed = await asyncio.gather(*placing)
        old = {order_id: number for number, order_id in enumerate(placed) if customers[number] == ADA}

        first = backfill(house, "first")
        await some_have_ended(house, placed)
        await house.sandbox.faults(latency=0.3)  # it must not be done before it is stopped
        fresh = {await house.place(1000): 1000}
        first.signal(signal.SIGINT)
        assert await first.ended() == 130
        assert "Stopped.\n" in first.text
        assert "The same command goes on" in first.text

        await house.sandbox.faults(latency=0.02)
        second = backfill(house, "second", "--json")
        entries = await house.ended([*placed, *fresh])
        assert await second.ended() == 0
        told: dict[str, Any] = json.loads("{" + second.text.rpartition("\n{\n")[2])

        assert outcomes(entries) == {Status.UPDATED: 30, Status.SKIPPED: 90, Status.CREATED: 1}
        assert all(entries[order_id].verified for order_id in old)
        await house.assert_enriched(old | fresh)
        for order_id in old:
            assert len((await house.sandbox.order(order_id))["writes"]) == 1
        assert (told["finished"], told["reached"], told["not_ended"]) == (True, max(placed), [])
        assert told["ended_before"] > 0
        assert not [line for worker in house.workers for line in worker.events("job_crashed")]


def backfill(house: Deployment, name: str, *words: str) -> Process:
    return Process(name, ["service.cli", "backfill", "--since", "30d", *words], house.environ, house.folder)


async def some_have_ended(house: Deployment, order_ids: list[int]) -> None:
    async with asyncio.timeout(30):
        while not any(  # noqa: ASYNC110 - it is Redis that changes
            status.is_final for status in (await house.ledger.statuses("sandbox", order_ids)).values()
        ):
            await asyncio.sleep(0.01)
