"""A burst past B2B Edition's quota: some orders are created over the storefront API, with tokens fetched before."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from service.bigcommerce import Api, Budget
from service.orders.state.order_entry import Status
from service.redis.client import connect
from tests.fakes.deployment import ADA, Deployment, deployed
from tests.fakes.storefront import OVERFLOW_RULES, held

# It waits for two windows of the quota: one that the burst begins in, and the next, in which it is verified.
pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(120)]

BEN = 102
QUOTA, WINDOW_S = 24, 15.0
ORDERS = 40


async def wait_for_tokens(deployment: Deployment) -> None:
    """Wait until the workers hold tokens of both buyers."""
    async with asyncio.timeout(40.0):
        while len(await held(deployment, [ADA, BEN])) < 2:  # noqa: ASYNC110 - the workers fetch them
            await asyncio.sleep(0.1)


async def wait_for_new_quota(deployment: Deployment) -> None:
    """Wait until a window of the quota begins, so that the burst cannot wait for the next one."""
    async with connect(deployment.redis.url) as redis, asyncio.timeout(2 * WINDOW_S):
        while True:
            left = await Budget(redis).left(deployment.stores[0], Api.B2B)
            if left is None or left.resets_in_s >= WINDOW_S - 0.2:
                return
            await asyncio.sleep(0.05)


async def test_a_burst_past_the_quota_is_created_in_its_window(tmp_path: Path) -> None:
    async with deployed(
        tmp_path,
        workers=2,
        rules=OVERFLOW_RULES,
        worker_module="tests.fakes.processes.quick_worker",
        b2b_quota=QUOTA,
        b2b_quota_window=WINDOW_S,
    ) as deployment:
        first = {await deployment.place(number, customer_id=buyer): number for number, buyer in ((1, ADA), (2, BEN))}
        await deployment.wait_until_finished(first)
        await wait_for_tokens(deployment)
        await wait_for_new_quota(deployment)

        burst = {
            await deployment.place(number, customer_id=(ADA, BEN)[number % 2]): number
            for number in range(3, 3 + ORDERS)
        }
        entries = await deployment.wait_until_finished(burst, within_s=60.0)
        await deployment.assert_enriched(burst)
        seen = [await deployment.sandbox.order(order_id) for order_id in burst]
        counts = await deployment.sandbox.calls()
        tokens = [token.get_secret_value() for token in await held(deployment, [ADA, BEN])]
        async with connect(deployment.redis.url) as redis:
            stored = [await redis.dump(key) for key in await redis.keys("*")]
        logs = "".join(process.text for process in deployment.processes)
        lines = [line for worker in deployment.workers for line in worker.events("order_enriched")]

    assert {(entry.status, entry.in_window, entry.verified) for entry in entries.values()} == {
        (Status.CREATED, True, True)
    }
    via = Counter(entry.via for entry in entries.values())
    assert via["storefront"] >= ORDERS - QUOTA
    assert via["b2b"] > 0
    by_sandbox: dict[int, Any] = {order["id"]: order["writes"][0]["api"] for order in seen}
    assert by_sandbox == {order_id: entry.via for order_id, entry in entries.items()}
    assert {line["order_id"]: line["via"] for line in lines if line["order_id"] in burst} == by_sandbox
    assert counts["over_quota"]["b2b"] <= 2, counts["over_quota"]
    assert len(tokens) == 2
    for token in tokens:
        assert token not in logs
        assert all(token.encode() not in value for value in stored if value)
