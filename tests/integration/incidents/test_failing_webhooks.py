"""Webhooks never arrive, with real processes: orders are found, and still enriched inside their window."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from arq import ArqRedis

from service.orders.state.keys import cursor_key
from service.orders.state.order_entry import Status
from service.redis.client import connect
from tests.fakes.deployment import Deployment, Process, deployed, outcomes
from workers.periodic.cursor import Cursor
from workers.periodic.webhook_pace import WebhookPace

pytestmark = pytest.mark.integration


@asynccontextmanager
async def quickly_deployed(folder: Path, *, reconcile_s: float) -> AsyncIterator[Deployment]:
    """A deployment without webhooks whose worker starts last, and runs its periodic tasks every few seconds."""
    async with deployed(
        folder, workers=0, worker_module="tests.fakes.processes.quick_worker", faults={"webhook_drop_rate": 1.0}
    ) as deployment:
        deployment.environ["TEST_RECONCILE_S"] = str(reconcile_s)
        deployment.start_worker()
        await deployment.ready(1)
        yield deployment


async def until_logged(worker: Process, event: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not (found := worker.events(event)):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)
    return found[0]


async def hooks_of(deployment: Deployment) -> list[dict[str, Any]]:
    hooks: list[dict[str, Any]] = (await deployment.sandbox.api.get("/stores/sandbox/v3/hooks")).json()["data"]
    return hooks


async def switch_off_hooks(deployment: Deployment) -> None:
    for hook in await hooks_of(deployment):
        path = f"/stores/sandbox/v3/hooks/{hook['id']}"
        (await deployment.sandbox.api.put(path, json={"is_active": False})).raise_for_status()


async def is_reconciled(redis: ArqRedis) -> bool:
    cursor = await Cursor.read(redis, cursor_key("sandbox"))
    return cursor is not None and cursor.since is not None


@pytest.mark.chaos
async def test_orders_without_a_webhook_are_found_and_created(tmp_path: Path) -> None:
    async with quickly_deployed(tmp_path, reconcile_s=2.0) as deployment:
        orders: dict[int, int] = {}
        for number in range(10):
            orders[await deployment.place(number)] = number
            await asyncio.sleep(0.5)
        entries = await deployment.wait_until_finished(orders)

        assert outcomes(entries) == {Status.CREATED: 10}
        assert {entry.source for entry in entries.values()} == {"reconcile"}
        await deployment.assert_enriched(orders)
        assert not deployment.workers[0].events("internal_error")


@pytest.mark.chaos
async def test_a_deactivated_webhook_is_reactivated_and_orders_are_polled_meanwhile(tmp_path: Path) -> None:
    # The real interval: reconciling alone would find this test's orders too late.
    async with quickly_deployed(tmp_path, reconcile_s=60.0) as deployment:
        worker = deployment.workers[0]
        await switch_off_hooks(deployment)

        await until_logged(worker, "hook_reactivated")
        await until_logged(worker, "polling_started")
        await until_logged(worker, "hook_ok")
        assert all(hook["is_active"] for hook in await hooks_of(deployment))

        orders: dict[int, int] = {}
        for number in range(5):
            orders[await deployment.place(number)] = number
            await asyncio.sleep(0.7)
        entries = await deployment.wait_until_finished(orders)
        assert outcomes(entries) == {Status.CREATED: 5}, "found while their windows were open"
        await deployment.assert_enriched(orders)


@pytest.mark.chaos
async def test_a_busy_stores_webhook_is_switched_on_again_soon_after_it_falls_silent(tmp_path: Path) -> None:
    """With a worker's real intervals: reconciling every minute, the check of the webhooks every ten minutes."""
    async with deployed(tmp_path, workers=0) as deployment, connect(deployment.redis.url) as redis:
        orders: dict[int, int] = {}

        async def place_orders() -> None:
            while True:
                number = len(orders)
                orders[await deployment.place(number)] = number
                await asyncio.sleep(0.1 if len(orders) < 20 else 0.5)

        # The worker starts when the store has a pace. A store that becomes busy later has one from the next run on.
        placing = asyncio.create_task(place_orders())
        async with asyncio.timeout(60):
            while (await WebhookPace.read(redis, "sandbox", interval_s=60.0)).mean_gap_s is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            worker = deployment.start_worker()
            while not await is_reconciled(redis):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        before = set(orders)
        await switch_off_hooks(deployment)
        async with asyncio.timeout(60):
            while not worker.events("hook_reactivated"):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)
        placing.cancel()
        assert all(hook["is_active"] for hook in await hooks_of(deployment))

        entries = await deployment.wait_until_finished(set(orders) - before)
        assert outcomes(entries)[Status.CREATED] > 0.7 * len(entries), outcomes(entries)
        assert len(worker.events("polling_started")) == 1
