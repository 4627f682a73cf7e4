"""The batch loader while the core quota is short."""

import asyncio

import pytest
from arq import ArqRedis

from service.bigcommerce import Budget, Priority
from service.errors import OutOfBudget, WaitUntil
from service.orders.document.batch_loader import MAX_SINGLES
from service.orders.document.throttle import Throttle
from tests.fakes.sandbox import StillClock
from tests.fakes.stacks.loader_stack import LIST, SINGLE, OpenStack, ids_of


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Throttle, "pause_s", 0.0)


@pytest.mark.usefixtures("no_pause")
async def test_while_the_quota_is_short_all_concurrent_requests_are_batched(open_stack: OpenStack) -> None:
    stack = await open_stack(core_quota=30)
    ids = await stack.place(30)
    for order_id in ids[:21]:
        await stack.read([order_id])
    await stack.calls()

    # Less than a third is left: the first request is read alone, and those that come meanwhile are batched.
    assert ids_of(await stack.read(ids[:8])) == ids[:8]
    assert await stack.calls() == {SINGLE: 1, LIST: 1}


@pytest.mark.usefixtures("no_pause")
async def test_orders_are_read_alone_again_when_the_quota_is_no_longer_short(open_stack: OpenStack) -> None:
    stack = await open_stack(core_quota=30)
    ids = await stack.place(30)
    for order_id in ids[:21]:
        await stack.read([order_id])
    stack.clock.tick(31)
    await stack.read(ids[:1])
    await stack.calls()

    assert ids_of(await stack.read(ids[:MAX_SINGLES])) == ids[:MAX_SINGLES]
    assert await stack.calls() == {SINGLE: MAX_SINGLES}


async def test_a_short_quota_is_spread_until_its_reset(open_stack: OpenStack) -> None:
    stack = await open_stack(core_quota=30, core_quota_window=3.0)
    ids = await stack.place(21)
    for order_id in ids:
        await stack.read([order_id])

    # About 8 calls are left for 3 s. The first order does not wait, the second one does.
    started_at = asyncio.get_running_loop().time()
    await stack.read(ids[:1])
    await stack.read(ids[:1])
    assert 0.2 < asyncio.get_running_loop().time() - started_at < 3.0


@pytest.mark.usefixtures("no_pause")
async def test_an_order_without_quota_raises_wait_until(open_stack: OpenStack) -> None:
    stack = await open_stack(core_quota=2)
    ids = await stack.place(8)

    outcomes = await stack.outcomes(ids)

    assert [type(each) for each in outcomes[:2]] == [dict] * 2
    assert all(isinstance(each, WaitUntil) for each in outcomes[2:])


async def test_an_order_out_of_budget_is_not_requested(open_stack: OpenStack, redis: ArqRedis) -> None:
    stack = await open_stack(core_quota=8, budget=Budget(redis))
    ids = await stack.place(6)
    await stack.read(ids[:1])
    await stack.read(ids[1:3])
    for priority in (Priority.RECOVER, Priority.BACKGROUND):
        with pytest.raises(OutOfBudget):
            await stack.read(ids[:1], priority=priority)

    assert await stack.calls() == {SINGLE: 3}


async def test_less_urgent_orders_out_of_budget_do_not_throttle_the_others(
    open_stack: OpenStack, redis: ArqRedis
) -> None:
    stack = await open_stack(core_quota=50, budget=Budget(redis))
    ids = await stack.place(MAX_SINGLES * 4)
    for order_id in ids[:6]:
        await stack.read([order_id])
    with pytest.raises(OutOfBudget):
        await stack.read(ids[:1], priority=Priority.BACKGROUND)
    await stack.calls()

    assert ids_of(await stack.read(ids[:MAX_SINGLES])) == ids[:MAX_SINGLES]
    assert await stack.calls() == {SINGLE: MAX_SINGLES}


async def test_urgent_orders_are_read_when_less_urgent_ones_of_their_batch_are_out_of_budget(
    open_stack: OpenStack, redis: ArqRedis
) -> None:
    stack = await open_stack(core_quota=1000, budget=Budget(redis, clock=StillClock()))
    ids = await stack.place(600)
    for order_id in ids[:25]:
        await stack.read([order_id])
    running = stack.start(ids[100 : 100 + MAX_SINGLES])
    later = stack.start(ids[-5:], priority=Priority.BACKGROUND)
    urgent = stack.start(ids[:5])

    assert ids_of(await asyncio.gather(*urgent, *running)) == [*ids[:5], *ids[100 : 100 + MAX_SINGLES]]
    outcomes = await asyncio.gather(*later, return_exceptions=True)
    assert all(isinstance(each, OutOfBudget) for each in outcomes)
