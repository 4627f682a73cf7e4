"""Workers that are killed, frozen or told to stop while they hold orders."""

import asyncio
import signal
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest
from arq import ArqRedis
from arq.constants import in_progress_key_prefix

from service.orders.state.jobs import WINDOW
from service.redis.client import connect
from tests.chaos.figures import Report
from tests.chaos.load_generator import PLENTY, LoadGenerator, Placed, until
from tests.fakes.deployment import Deployment, Process, deployed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

HELD = 20
# Long enough for all of them to be in the midst of the same call.
CALL_S = 1.5
# A lease of two seconds, and a second to notice.
PICK_UP_S = 3.0


class Holders:
    """Who holds which orders, by the leases in Redis."""

    def __init__(self, house: Deployment, shoppers: LoadGenerator, redis: ArqRedis) -> None:
        self._house = house
        self._shoppers = shoppers
        self._redis = redis

    async def of(self, orders: Sequence[Placed]) -> dict[int, str]:
        """The name of each order's worker; orders that nobody holds are left out."""
        keys = [in_progress_key_prefix + WINDOW.id(order.store, order.id) for order in orders]
        held = await self._redis.mget(keys)
        return {order.id: raw.decode() for order, raw in zip(orders, held, strict=True) if raw}

    async def give_all_but(self, other: Process) -> tuple[str, list[Placed]]:
        """Place orders that all but one worker take, and wait until that one takes orders, too; whose they are.

        The store has had an order before, so what can be cached is.
        """
        await self._shoppers.order()
        await self._shoppers.outcomes(within_s=20)
        await self._house.sandbox.faults(latency=CALL_S)
        other.signal(signal.SIGSTOP)
        await self._shoppers.come(HELD, per_s=200)
        orders = self._shoppers.placed[-HELD:]

        async def all_are_held() -> bool:
            return len(await self.of(orders)) == HELD

        await until(all_are_held)
        (name,) = set((await self.of(orders)).values())
        other.signal(signal.SIGCONT)
        await self.one_is_taken(lambda owner: owner != name)
        return name, orders

    async def one_is_taken(self, by: Callable[[str], bool]) -> None:
        """Place further orders until a certain worker has taken one."""

        async def is_taken() -> bool:
            placed = await self._shoppers.order()
            found: dict[int, str] = {}

            async def is_held() -> bool:
                found.update(await self.of([placed]))
                return bool(found)

            await until(is_held, every_s=0.005)
            return by(found[placed.id])

        await until(is_taken)

    async def taken_over(self, orders: Sequence[Placed], name: str) -> float:
        """Wait until all of them that are this worker's are another's; seconds since this was called."""
        began, owners = time.monotonic(), await self.of(orders)
        left = {order.id: order for order in orders if owners.get(order.id) == name}
        assert len(left) > HELD // 2, "it was to have them in hand"

        async def is_so() -> bool:
            for order_id, owner in (await self.of(list(left.values()))).items():
                if owner != name:
                    del left[order_id]
            return not left

        await until(is_so)
        return time.monotonic() - began


async def all_are_sent(house: Deployment, orders: Collection[Placed]) -> bool:
    entries = await house.ledger.get_many(house.stores[0], [order.id for order in orders if not order.buyers_po])
    return all(entry.sent for entry in entries)


@pytest.mark.parametrize("moment", [pytest.param("reading", marks=pytest.mark.quick), "creating"])
async def test_orders_of_a_killed_worker_are_taken_over_inside_their_window(
    tmp_path: Path, report: Report, moment: str
) -> None:
    async with (
        deployed(tmp_path, workers=2, **PLENTY) as house,
        connect(house.redis.url) as redis,
    ):
        shoppers = LoadGenerator(house)
        holders = Holders(house, shoppers, redis)
        victim, other = house.workers
        name, orders = await holders.give_all_but(other)
        if moment == "creating":
            await until(lambda: all_are_sent(house, orders))
        victim.kill()
        pick_up_s = await holders.taken_over(orders, name)
        outcomes = await shoppers.outcomes(within_s=30)

        report(
            outcomes.figures(
                f"kill -9 of a worker with {HELD} orders in hand, {moment}, calls of 1.5 s",
                remark=f"picked up after {pick_up_s:.1f} s",
            )
        )
        if moment == "creating":  # the quick one runs beside other tests, which take their time from it
            assert pick_up_s < PICK_UP_S
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_a_frozen_worker_that_thaws_has_no_second_effect(tmp_path: Path, report: Report) -> None:
    async with (
        deployed(tmp_path, workers=2, **PLENTY) as house,
        connect(house.redis.url) as redis,
    ):
        shoppers = LoadGenerator(house)
        holders = Holders(house, shoppers, redis)
        victim, other = house.workers
        name, orders = await holders.give_all_but(other)
        await until(lambda: all_are_sent(house, orders))
        victim.signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        pick_up_s = await holders.taken_over(orders, name)
        await asyncio.sleep(frozen_at + 4 - time.monotonic())
        victim.signal(signal.SIGCONT)
        # It takes orders again, and what it had in hand has ended before it stops.
        await holders.one_is_taken(lambda owner: owner == name)
        outcomes = await shoppers.outcomes(within_s=30)
        assert await victim.stop() == 0

        report(
            (await shoppers.outcomes(within_s=30)).figures(
                f"a worker frozen for 4 s with {HELD} orders in hand", remark=f"picked up after {pick_up_s:.1f} s"
            )
        )
        assert pick_up_s < PICK_UP_S
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())
        assert set(outcomes.canonical_lines().values()) == {1}


@pytest.mark.quick
async def test_workers_are_replaced_under_load_without_a_trace(tmp_path: Path, report: Report) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.3}, **PLENTY) as house:
        shoppers = LoadGenerator(house)
        for _ in range(2):
            coming = asyncio.create_task(shoppers.come(20, per_s=10))
            placed = len(shoppers.placed)
            await until(lambda placed=placed: len(shoppers.placed) >= placed + 10)  # type: ignore[misc]
            leaving = house.workers[-2]
            house.start_worker()
            assert await leaving.stop() == 0
            await coming
        outcomes = await shoppers.outcomes(within_s=30)

        stopped = [line for worker in house.workers for line in worker.events("worker_stopped")]
        requeued = sum(line["requeued"] for line in stopped)
        report(outcomes.figures("SIGTERM of both workers, one by one, at 10 orders/s", remark=f"{requeued} requeued"))
        assert [line["requeued"] for line in stopped] == [0, 0]
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())
        assert set(outcomes.canonical_lines().values()) == {1}
