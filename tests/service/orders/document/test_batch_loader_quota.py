"""Orders read for many at once while the core quota is short."""

import asyncio

import pytest
from arq import ArqRedis

from service.bigcommerce import Budget, Priority
from service.errors import OutOfBudget, WaitUntil
from service.orders.document.batch_loader import SINGLES
from service.orders.document.throttle import Throttle
from tests.fakes.loader_stack import LIST, SINGLE, OpenHouse, ids_of


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Throttle, "pause_s", 0.0)


@pytest.mark.usefixtures("no_pause")
async def test_orders_are_read_together_from_the_first_on_while_the_quota_is_short(open_house: OpenHouse) -> None:
    house = await open_house(core_quota=30)
    ids = await house.place(30)
    for order_id in ids[:21]:
        await house.read([order_id])
    await house.calls()

    # Less than a third is left: one goes at once, those who find it under way go together.
    assert ids_of(await house.read(ids[:8])) == ids[:8]
    assert await house.calls() == {SINGLE: 1, LIST: 1}


@pytest.mark.usefixtures("no_pause")
async def test_orders_are_read_by_themselves_again_when_the_quota_is_plentiful(open_house: OpenHouse) -> None:
    house = await open_house(core_quota=30)
    ids = await house.place(30)
    for order_id in ids[:21]:
        await house.read([order_id])
    house.clock.tick(31)
    await house.read(ids[:1])
    await house.calls()

    assert ids_of(await house.read(ids[:SINGLES])) == ids[:SINGLES]
    assert await house.calls() == {SINGLE: SINGLES}


async def test_what_is_left_of_a_short_quota_is_spread_until_its_reset(open_house: OpenHouse) -> None:
    house = await open_house(core_quota=30, core_quota_window=3.0)
    ids = await house.place(21)
    for order_id in ids:
        await house.read([order_id])

    # About 8 calls are left for 3 s, and the first order does not wait: a pause before the second one.
    started_at = asyncio.get_running_loop().time()
    await house.read(ids[:1])
    await house.read(ids[:1])
    assert 0.2 < asyncio.get_running_loop().time() - started_at < 3.0


@pytest.mark.usefixtures("no_pause")
async def test_an_order_that_the_quota_leaves_nothing_for_is_told_to_wait(open_house: OpenHouse) -> None:
    house = await open_house(core_quota=2)
    ids = await house.place(8)

    outcomes = await house.outcomes(ids)

    assert [type(each) for each in outcomes[:2]] == [dict] * 2
    assert all(isinstance(each, WaitUntil) for each in outcomes[2:])


async def test_an_order_that_is_out_of_budget_is_not_asked_for(open_house: OpenHouse, redis: ArqRedis) -> None:
    house = await open_house(core_quota=8, budget=Budget(redis))
    ids = await house.place(6)
    await house.read(ids[:1])
    await house.read(ids[1:3])
    for priority in (Priority.RECOVER, Priority.BACKGROUND):
        with pytest.raises(OutOfBudget):
            await house.read(ids[:1], priority=priority)

    assert await house.calls() == {SINGLE: 3}


async def test_less_urgent_orders_that_are_out_of_budget_do_not_slow_the_others(
    open_house: OpenHouse, redis: ArqRedis
) -> None:
    house = await open_house(core_quota=50, budget=Budget(redis))
    ids = await house.place(SINGLES * 4)
    for order_id in ids[:6]:
        await house.read([order_id])
    with pytest.raises(OutOfBudget):
        await house.read(ids[:1], priority=Priority.BACKGROUND)
    await house.calls()

    assert ids_of(await house.read(ids[:SINGLES])) == ids[:SINGLES]
    assert await house.calls() == {SINGLE: SINGLES}


async def test_urgent_orders_are_read_though_less_urgent_ones_in_their_batch_are_out_of_budget(
    open_house: OpenHouse, redis: ArqRedis
) -> None:
    house = await open_house(core_quota=1000, budget=Budget(redis))
    ids = await house.place(600)
    for order_id in ids[:25]:
        await house.read([order_id])
    running = house.start(ids[100 : 100 + SINGLES])
    later = house.start(ids[-5:], priority=Priority.BACKGROUND)
    urgent = house.start(ids[:5])

    assert ids_of(await asyncio.gather(*urgent, *running)) == [*ids[:5], *ids[100 : 100 + SINGLES]]
    outcomes = await asyncio.gather(*later, return_exceptions=True)
    assert all(isinstance(each, OutOfBudget) for each in outcomes)
