"""Workers are killed, frozen or stopped while they have orders in progress."""

import asyncio
import signal
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest
from arq import ArqRedis
from arq.constants import in_progress_key_prefix

from service.orders.state.job_kinds import WINDOW
from service.redis.client import connect
from tests.chaos.figures import Report
from tests.chaos.load_generator import PLENTY, LoadGenerator, Placed, until
from tests.fakes.deployment import Deployment, Process, deployed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

ORDERS_IN_PROGRESS = 20
# Long enough for all orders to be inside the same call.
CALL_S = 1.5
# The lease of two seconds, and a second until another worker notices.
MAX_TAKEOVER_S = 3.0


class LeaseOwners:
    """The worker that has each order in progress, by the leases in Redis."""

    def __init__(self, deployment: Deployment, load: LoadGenerator, redis: ArqRedis) -> None:
        self._deployment = deployment
        self._load = load
        self._redis = redis

    async def of(self, orders: Sequence[Placed]) -> dict[int, str]:
        """The name of each order's worker, without orders that no worker has taken."""
        keys = [in_progress_key_prefix + WINDOW.id(order.store, order.id) for order in orders]
        held = await self._redis.mget(keys)
        return {order.id: raw.decode() for order, raw in zip(orders, held, strict=True) if raw}

    async def give_orders_to_all_but(self, other: Process) -> tuple[str, list[Placed]]:
        """Place orders while one worker is frozen, then resume it; returns the owner of the orders, and the orders.

        One order is finished before, so that the store's data is cached.
        """
        await self._load.order()
        await self._load.outcomes(within_s=20)
        await self._deployment.sandbox.faults(latency=CALL_S)
        other.signal(signal.SIGSTOP)
        await self._load.place_orders(ORDERS_IN_PROGRESS, per_s=200)
        orders = self._load.placed[-ORDERS_IN_PROGRESS:]

        async def all_are_taken() -> bool:
            return len(await self.of(orders)) == ORDERS_IN_PROGRESS

        await until(all_are_taken)
        (name,) = set((await self.of(orders)).values())
        other.signal(signal.SIGCONT)
        await self.wait_until_one_is_taken(lambda owner: owner != name)
        return name, orders

    async def wait_until_one_is_taken(self, by: Callable[[str], bool]) -> None:
        """Place further orders until a certain worker has taken one."""

        async def is_taken() -> bool:
            placed = await self._load.order()
            found: dict[int, str] = {}

            async def has_owner() -> bool:
                found.update(await self.of([placed]))
                return bool(found)

            await until(has_owner, every_s=0.005)
            return by(found[placed.id])

        await until(is_taken)

    async def wait_for_takeover(self, orders: Sequence[Placed], name: str) -> float:
        """Wait until another worker has taken over this worker's orders; returns the seconds that it took."""
        began, owners = time.monotonic(), await self.of(orders)
        left = {order.id: order for order in orders if owners.get(order.id) == name}
        assert len(left) > ORDERS_IN_PROGRESS // 2, "the worker should have most of them in progress"

        async def are_taken_over() -> bool:
            for order_id, owner in (await self.of(list(left.values()))).items():
                if owner != name:
                    del left[order_id]
            return not left

        await until(are_taken_over)
        return time.monotonic() - began


async def all_are_sent(deployment: Deployment, orders: Collection[Placed]) -> bool:
    entries = await deployment.ledger.get_many(
        deployment.stores[0], [order.id for order in orders if not order.buyers_po]
    )
    return all(entry.sent for entry in entries)


@pytest.mark.parametrize("moment", ["reading", "creating"])
async def test_orders_of_a_killed_worker_are_taken_over_inside_their_window(
    tmp_path: Path, report: Report, moment: str
) -> None:
    async with (
        deployed(tmp_path, workers=2, **PLENTY) as deployment,
        connect(deployment.redis.url) as redis,
    ):
        load = LoadGenerator(deployment)
        owners = LeaseOwners(deployment, load, redis)
        victim, other = deployment.workers
        name, orders = await owners.give_orders_to_all_but(other)
        if moment == "creating":
            await until(lambda: all_are_sent(deployment, orders))
        victim.kill()
        pick_up_s = await owners.wait_for_takeover(orders, name)
        outcomes = await load.outcomes(within_s=30)

        report(
            outcomes.figures(
                f"kill -9 of a worker with {ORDERS_IN_PROGRESS} orders in progress, {moment}, calls of 1.5 s",
                remark=f"picked up after {pick_up_s:.1f} s",
            )
        )
        assert pick_up_s < MAX_TAKEOVER_S
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_a_frozen_worker_that_resumes_writes_nothing_twice(tmp_path: Path, report: Report) -> None:
    async with (
        deployed(tmp_path, workers=2, **PLENTY) as deployment,
        connect(deployment.redis.url) as redis,
    ):
        load = LoadGenerator(deployment)
        owners = LeaseOwners(deployment, load, redis)
        victim, other = deployment.workers
        name, orders = await owners.give_orders_to_all_but(other)
        await until(lambda: all_are_sent(deployment, orders))
        victim.signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        pick_up_s = await owners.wait_for_takeover(orders, name)
        await asyncio.sleep(frozen_at + 4 - time.monotonic())
        victim.signal(signal.SIGCONT)
        # It takes orders again, and finishes what it had in progress before it stops.
        await owners.wait_until_one_is_taken(lambda owner: owner == name)
        outcomes = await load.outcomes(within_s=30)
        assert await victim.stop() == 0

        report(
            (await load.outcomes(within_s=30)).figures(
                f"a worker frozen for 4 s with {ORDERS_IN_PROGRESS} orders in progress",
                remark=f"picked up after {pick_up_s:.1f} s",
            )
        )
        assert pick_up_s < MAX_TAKEOVER_S
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())
        assert set(outcomes.canonical_lines().values()) == {1}


async def test_workers_are_replaced_under_load_without_loss(tmp_path: Path, report: Report) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.3}, **PLENTY) as deployment:
        load = LoadGenerator(deployment)
        for _ in range(2):
            placing = asyncio.create_task(load.place_orders(20, per_s=10))
            placed = len(load.placed)
            await until(lambda placed=placed: len(load.placed) >= placed + 10)  # type: ignore[misc]
            leaving = deployment.workers[-2]
            deployment.start_worker()
            assert await leaving.stop() == 0
            await placing
        outcomes = await load.outcomes(within_s=30)

        stopped = [line for worker in deployment.workers for line in worker.events("worker_stopped")]
        requeued = sum(line["requeued"] for line in stopped)
        report(outcomes.figures("SIGTERM of both workers, one by one, at 10 orders/s", remark=f"{requeued} requeued"))
        assert [line["requeued"] for line in stopped] == [0, 0]
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())
        assert set(outcomes.canonical_lines().values()) == {1}
