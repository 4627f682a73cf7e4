"""Values come late, and a worker is killed while orders wait for them."""

import asyncio
import time
from pathlib import Path

import pytest

from service.orders.state.order_entry import Status
from service.redis.client import connect
from tests.chaos.figures import Report
from tests.chaos.load_generator import PLENTY, LoadGenerator, Placed, until
from tests.fakes.deployment import Deployment, deployed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

ORDERS = 40
PER_S = 20
LATE_S = 4.5
"""So long after the order its value comes. An order waits for at most six seconds."""

# Each value is missing when the order is placed, and no webhook tells of it. Without it, nothing is sent.
RULES = r"""
[stores.{store}]
access_token  = "env:TEST_ACCESS_TOKEN"
client_secret = "env:TEST_CLIENT_SECRET"
po_number     = {{ from = "metafields.checkout.po_number", required = true }}

[stores.{store}.extra_fields]
"Account No" = 'company.extraFields."ERP Account"'
"""


async def write_value(deployment: Deployment, placed: Placed, *, at: float) -> None:
    """An app writes the order's PO, at this time of ``time.monotonic``."""
    await asyncio.sleep(at - time.monotonic())
    values: dict[str, dict[str, str | None]] = {"checkout": {"po_number": f"PO-{placed.number}"}}
    await deployment.sandbox.write_metafields(placed.id, values, placed.store, drop_webhook=True)


async def place_orders_whose_values_are_late(deployment: Deployment, load: LoadGenerator) -> list[asyncio.Task[None]]:
    began, writing = time.monotonic(), list[asyncio.Task[None]]()
    for number in range(ORDERS):
        await asyncio.sleep(began + number / PER_S - time.monotonic())
        placed = await load.order()
        writing.append(asyncio.create_task(write_value(deployment, placed, at=time.monotonic() + LATE_S)))
    return writing


async def test_values_come_late_and_a_worker_is_killed_while_they_are_waited_for(
    tmp_path: Path, report: Report
) -> None:
    async with (
        deployed(tmp_path, workers=2, rules=RULES, **PLENTY) as deployment,
        connect(deployment.redis.url) as redis,
    ):
        load = LoadGenerator(deployment)
        writing = await place_orders_whose_values_are_late(deployment, load)

        async def all_wait() -> bool:
            return int(await redis.zcard(f"enrich:late:{load.store}")) == ORDERS

        await until(all_wait)
        victim, survivor = deployment.workers
        victim.kill()
        statuses = await deployment.ledger.statuses(load.store, [placed.id for placed in load.placed])
        await asyncio.gather(*writing)
        outcomes = await load.outcomes(within_s=30)

        report(
            outcomes.figures(
                f"values come {LATE_S} s after the order, a worker killed while {ORDERS} orders wait for them"
            )
        )
        assert set(statuses.values()) == {Status.QUEUED}, "none was sent before"
        assert survivor.events("order_awaiting_values")
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())
        assert set(outcomes.canonical_lines().values()) == {1}
