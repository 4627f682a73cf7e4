"""From a webhook to a verified record, with real processes."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.orders.state.order_entry import Stage, Status
from service.orders.statistics.aggregate import Aggregate
from service.orders.statistics.reading import Statistics
from service.orders.statistics.window_result import RECORD_THERE
from service.redis.client import connect
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET
from tests.fakes.deployment import GUEST, ZOE, Deployment, deployed, outcomes

pytestmark = pytest.mark.integration

CANONICAL = ("order_enriched", "order_skipped", "order_failed")
STAGES = ["created", "webhook_sent", "received", "queued", "picked_up", "read", "sent", "answered", "verified"]


def logged_orders(deployment: Deployment) -> list[int]:
    """The orders that have canonical lines in the workers' logs, once for each line."""
    lines = (line for worker in deployment.workers for line in worker.events())
    return sorted(line["order_id"] for line in lines if line["event"] in CANONICAL)


async def statistics(deployment: Deployment) -> Aggregate:
    """What is counted of the last two days."""
    now = datetime.now(UTC)
    async with connect(deployment.redis.url) as redis:
        days = await Statistics(redis).days(deployment.stores, now - timedelta(days=1), now)
    return Aggregate.total(day.aggregate for day in days)


async def test_orders_of_every_kind_have_the_expected_outcome(tmp_path: Path) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.05}) as deployment:
        usual = {await deployment.place(number): number for number in range(20)}
        twice = {await deployment.place(100, duplicate_webhook=True): 100}
        guest = await deployment.place(101, customer_id=GUEST)
        no_company = await deployment.place(102, customer_id=ZOE)
        entries = await deployment.wait_until_finished([*usual, *twice, guest, no_company])

        waiting = {await deployment.place(103, status_id=0): 103}
        await deployment.wait_until_waiting(next(iter(waiting)))
        await deployment.sandbox.set_status(next(iter(waiting)), 11)
        entries |= await deployment.wait_until_finished(waiting)

        assert outcomes(entries) == {Status.CREATED: 22, Status.SKIPPED: 2}
        assert {entries[guest].reason, entries[no_company].reason} == {"guest", "not_a_company_user"}
        await deployment.assert_enriched(usual | twice | waiting)
        for order_id in usual | twice | waiting:
            entry = entries[order_id]
            assert entry.verified
            assert [stage.value for stage in Stage if stage in entry.times] == STAGES
            # Verification is not urgent: in a burst it waits for quota.
            urgent = [stage for stage in Stage if stage is not Stage.VERIFIED]
            ages = [age for stage in urgent if (age := entry.age_at(stage)) is not None]
            assert all(-1.0 < age < 10.0 for age in ages), ages

        counted = await statistics(deployment)
        assert counted.outcomes == {"created": 22, "skipped": 2}
        assert (counted.made, counted.missed, counted.share_in_window) == (22, 0, 1.0)
        assert counted.create_ages.total == counted.webhook_delays.total == 22

        logs = deployment.web.text + "".join(worker.text for worker in deployment.workers)
        for secret in (SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET, "@example.com", "Market Street"):
            assert secret not in logs
        async with asyncio.timeout(30):
            while len(logged_orders(deployment)) < len(entries):  # noqa: ASYNC110 - the last line may not be written yet
                await asyncio.sleep(0.05)
        assert logged_orders(deployment) == sorted(entries)
        lines = [line for worker in deployment.workers for line in worker.events()]
        ends = [line for line in lines if line["event"].startswith("order_")]
        assert not [line for line in lines if line["event"] in ("job_crashed", "internal_error")]
        assert all("httpx" not in line.get("logger", "") for line in ends)


async def test_an_order_with_a_late_webhook_is_updated(tmp_path: Path) -> None:
    async with deployed(tmp_path, create_window=0.0, auto_record_after=0.0) as deployment:
        orders = {await deployment.place(1, delay_webhook=0.5): 1}
        # By our clock the window is still open: Create answers "already exists", and the record is read and updated.
        entries = await deployment.wait_until_finished(orders)

        assert outcomes(entries) == {Status.UPDATED: 1}
        await deployment.assert_enriched(orders)
        assert (await statistics(deployment)).misses == {RECORD_THERE: 1}


@pytest.mark.chaos
async def test_readyz_counts_live_workers(tmp_path: Path) -> None:
    async with deployed(tmp_path, workers=2) as deployment:
        deployment.workers[0].kill()
        await deployment.ready(1)
        assert await deployment.workers[1].stop() == 0
        await deployment.ready(0)
