"""From a webhook to a verified record, with every process real."""

import asyncio
from pathlib import Path

import pytest

from service.orders.state.entry import Stage, Status
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET
from tests.fakes.deployment import GUEST, ZOE, Deployment, deployed, outcomes

pytestmark = pytest.mark.integration

CANONICAL = ("order_enriched", "order_skipped", "order_failed")
STAGES = ["created", "webhook_sent", "received", "queued", "picked_up", "read", "sent", "answered", "verified"]


def told_of(house: Deployment) -> list[int]:
    """The orders whose end the workers' logs tell, once for each time."""
    lines = (line for worker in house.workers for line in worker.events())
    return sorted(line["order_id"] for line in lines if line["event"] in CANONICAL)


async def test_orders_of_every_kind_come_out_as_they_must(tmp_path: Path) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.05}) as house:
        usual = {await house.place(number): number for number in range(20)}
        twice = {await house.place(100, duplicate_webhook=True): 100}
        guest = await house.place(101, customer_id=GUEST)
        nobody = await house.place(102, customer_id=ZOE)
        entries = await house.ended([*usual, *twice, guest, nobody])

        waiting = {await house.place(103, status_id=0): 103}
        await house.waits(next(iter(waiting)))
        await house.sandbox.set_status(next(iter(waiting)), 11)
        entries |= await house.ended(waiting)

        assert outcomes(entries) == {Status.CREATED: 22, Status.SKIPPED: 2}
        assert {entries[guest].reason, entries[nobody].reason} == {"guest", "not_a_company_user"}
        await house.assert_enriched(usual | twice | waiting)
        for order_id in usual | twice | waiting:
            entry = entries[order_id]
            assert entry.verified
            assert [stage.value for stage in Stage if stage in entry.times] == STAGES
            # Verifying is not urgent: in a burst it waits until the quota has room for it.
            urgent = [stage for stage in Stage if stage is not Stage.VERIFIED]
            ages = [age for stage in urgent if (age := entry.age_at(stage)) is not None]
            assert all(-1.0 < age < 10.0 for age in ages), ages

        logs = house.web.text + "".join(worker.text for worker in house.workers)
        for secret in (SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET, "@example.com", "Market Street"):
            assert secret not in logs
        async with asyncio.timeout(30):
            while len(told_of(house)) < len(entries):  # noqa: ASYNC110 - the last line may not be written yet
                await asyncio.sleep(0.05)
        assert told_of(house) == sorted(entries)
        lines = [line for worker in house.workers for line in worker.events()]
        ends = [line for line in lines if line["event"].startswith("order_")]
        assert not [line for line in lines if line["event"] in ("job_crashed", "internal_error")]
        assert all("httpx" not in line.get("logger", "") for line in ends)


async def test_an_order_told_of_late_is_updated(tmp_path: Path) -> None:
    async with deployed(tmp_path, create_window=0.0, auto_record_after=0.0) as house:
        orders = {await house.place(1, delay_webhook=0.5): 1}
        # For our clock the window is open still: Create says "already exists", and the record is read and mended.
        entries = await house.ended(orders)

        assert outcomes(entries) == {Status.UPDATED: 1}
        await house.assert_enriched(orders)


async def test_readyz_counts_the_living(tmp_path: Path) -> None:
    async with deployed(tmp_path, workers=2) as house:
        house.workers[0].kill()
        await house.ready(1)
        assert await house.workers[1].stop() == 0
        await house.ready(0)
