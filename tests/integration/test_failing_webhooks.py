"""Webhooks never arrive, with real processes: orders are found, and still enriched inside their window."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.orders.state.entry import Status
from tests.fakes.deployment import Deployment, Process, deployed, outcomes

pytestmark = pytest.mark.integration


@asynccontextmanager
async def quickly_deployed(folder: Path, *, reconcile_s: float) -> AsyncIterator[Deployment]:
    """A deployment without webhooks whose worker starts last, and runs its periodic tasks every few seconds."""
    async with deployed(
        folder, workers=0, worker_module="tests.fakes.quick_worker", faults={"webhook_drop_rate": 1.0}
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


async def test_a_deactivated_webhook_is_reactivated_and_orders_are_polled_meanwhile(tmp_path: Path) -> None:
    # The real interval: reconciling alone would find this test's orders too late.
    async with quickly_deployed(tmp_path, reconcile_s=60.0) as deployment:
        worker, api = deployment.workers[0], deployment.sandbox.api
        hooks = (await api.get("/stores/sandbox/v3/hooks")).json()["data"]
        for hook in hooks:
            (await api.put(f"/stores/sandbox/v3/hooks/{hook['id']}", json={"is_active": False})).raise_for_status()

        await until_logged(worker, "hook_reactivated")
        await until_logged(worker, "polling_started")
        await until_logged(worker, "hook_ok")
        hooks = (await api.get("/stores/sandbox/v3/hooks")).json()["data"]
        assert [hook["is_active"] for hook in hooks] == [True, True]

        orders: dict[int, int] = {}
        for number in range(5):
            orders[await deployment.place(number)] = number
            await asyncio.sleep(0.7)
        entries = await deployment.wait_until_finished(orders)
        assert outcomes(entries) == {Status.CREATED: 5}, "found while their windows were open"
        await deployment.assert_enriched(orders)
