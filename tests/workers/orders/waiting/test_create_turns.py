"""Until when each of a store's waiting orders may wait, so that all of them get their Create."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bigcommerce import Api, BudgetState
from service.orders.create_window import Window
from service.orders.state.job_kinds import POLL_VALUES, WINDOW
from service.orders.state.order_entry import Stage, Status
from tests.fakes.stacks.job_stack import ORDER, JobStack
from tests.fakes.upstream import STORE_HASH
from workers.orders.waiting.create_turns import CREATE_NEEDS_S, CREATES_PER_S, CreateTurns, last_moments

QUOTA = BudgetState(limit=150, left=150, window_s=60.0, resets_in_s=60.0, is_guess=False)


def moments(opened: list[float], quota: BudgetState | None = QUOTA) -> list[float]:
    """The last moments of orders 1, 2, …; the time now is 0."""
    found = last_moments({number: Window(at) for number, at in enumerate(opened, 1)}, quota, now=0.0)
    return [round(found[number], 2) for number in sorted(found)]


@pytest.mark.parametrize(
    ("opened", "quota", "expected"),
    [
        # Alone: three seconds before the window closes, whatever is known of the quota.
        ([0.0], QUOTA, [7.0]),
        ([0.0], None, [7.0]),
        ([-9.0], QUOTA, [-2.0]),
        # Windows that close one after the other do not disturb each other.
        ([0.0, 1.0, 2.0], QUOTA, [7.0, 8.0, 9.0]),
        ([2.0, 0.0, 1.0], QUOTA, [9.0, 7.0, 8.0]),
        # Of those that close together, the k-th goes 20 ms before the next one.
        ([0.0, 0.0, 0.0], QUOTA, [6.96, 6.98, 7.0]),
        ([0.0] * 101, QUOTA, [round(5.0 + number / 50, 2) for number in range(101)]),
        # One that closes a moment before a crowd goes before it.
        ([0.0, *[0.1] * 51], QUOTA, [6.08, *[round(6.1 + number / 50, 2) for number in range(51)]]),
        # The next quota has two calls: the first to close use up what is left of this one.
        ([0.0] * 4, replace(QUOTA, limit=2, left=2, resets_in_s=4.0), [3.48, 3.5, 6.98, 7.0]),
        ([0.0] * 2, replace(QUOTA, limit=2, left=2, resets_in_s=4.0), [6.98, 7.0]),
        # A reset after their last moments changes nothing: earlier calls would find no more quota.
        ([0.0] * 4, replace(QUOTA, limit=2, left=2, resets_in_s=7.5), [6.94, 6.96, 6.98, 7.0]),
    ],
)
def test_the_last_moments(opened: list[float], quota: BudgetState | None, expected: list[float]) -> None:
    assert moments(opened, quota) == expected


@given(
    opened=st.lists(st.floats(-10, 0), min_size=1, max_size=300),
    limit=st.integers(1, 200),
    resets_in_s=st.floats(0.1, 60),
)
def test_each_order_gets_its_create_in_closing_order(opened: list[float], limit: int, resets_in_s: float) -> None:
    quota = replace(QUOTA, limit=limit, resets_in_s=resets_in_s)
    windows = {number: Window(at) for number, at in enumerate(opened)}

    found = last_moments(windows, quota, now=0.0)

    in_turn = sorted(found, key=lambda number: (windows[number].closes_at, number))
    times = [found[number] for number in in_turn]
    assert found.keys() == windows.keys()
    assert all(later - earlier >= 1 / CREATES_PER_S - 1e-6 for earlier, later in pairwise(times))
    assert all(found[number] <= windows[number].closes_at - CREATE_NEEDS_S for number in found)
    assert sum(time >= resets_in_s for time in times) <= limit


@pytest.fixture
def turns(job_stack: JobStack) -> CreateTurns:
    return CreateTurns(job_stack.resources.late, job_stack.resources.transport, STORE_HASH, 6.0)


async def test_no_order_waits_longer_than_the_store_says(job_stack: JobStack, turns: CreateTurns) -> None:
    window = Window(job_stack.clock())
    assert await turns.last_moment(1, window) == window.opened_at + 6.0


async def test_a_crowd_that_comes_later_makes_a_waiting_order_go_earlier(
    job_stack: JobStack, turns: CreateTurns
) -> None:
    await job_stack.webhook()
    job_id, now = WINDOW.id(STORE_HASH, ORDER), job_stack.clock()
    await job_stack.redis.zadd(WINDOW.queue, {job_id: (now + 6.0) * 1000})
    await turns.join(ORDER, Window(now))
    assert await job_stack.redis.zscore(WINDOW.queue, job_id) == pytest.approx((now + 6.0) * 1000, abs=1)

    for number in range(99):
        await turns.join(100 + number, Window(now))

    assert await job_stack.redis.zscore(WINDOW.queue, job_id) == pytest.approx((now + 5.02) * 1000, abs=2)
    assert await job_stack.redis.zcard(WINDOW.queue) == 1, "a job that is gone does not come back"


async def test_the_poll_moves_the_orders_of_a_large_crowd(job_stack: JobStack, turns: CreateTurns) -> None:
    job_stack.configure(fields='"F2" = "metafields.checkout.f"')
    metafields = {"data": [], "meta": {"pagination": {"total_pages": 1}}}
    job_stack.upstream.on("GET /v3/orders/1/metafields", metafields)
    job_stack.upstream.on("GET /v3/orders/metafields", metafields)
    await job_stack.webhook()
    assert await job_stack.run_next() == WINDOW.id(STORE_HASH, ORDER)
    opened_at = (await job_stack.entry()).times[Stage.CREATED]
    for number in range(149):
        await turns.join(100 + number, Window(opened_at))

    assert await job_stack.run_next() == POLL_VALUES.id(STORE_HASH)

    due = await job_stack.redis.zscore(WINDOW.queue, WINDOW.id(STORE_HASH, ORDER))
    assert due == pytest.approx((opened_at + 4.02) * 1000, abs=2)


async def test_orders_whose_window_has_closed_do_not_count(job_stack: JobStack, turns: CreateTurns) -> None:
    now = job_stack.clock()
    for number in range(100):
        await turns.join(100 + number, Window(now))
    job_stack.clock.tick(10.1)

    assert await turns.last_moment(1, Window(job_stack.clock())) == job_stack.clock() + 6.0


async def test_an_order_that_is_attempted_gives_its_turn_back(job_stack: JobStack, turns: CreateTurns) -> None:
    now = job_stack.clock()
    await turns.join(ORDER, Window(now))
    await job_stack.resources.late.remove(STORE_HASH, ORDER)
    assert await job_stack.resources.late.turns(STORE_HASH, since=now - 10) == {}


@pytest.mark.parametrize(
    ("others", "limit", "create_age"),
    [
        (1, 2, 6.0),  # the next quota has a call for each
        (1, 1, 2.5),  # it has one for the order that closes last
        (2, 1, 2.48),  # two go before the reset, one after the other
    ],
)
async def test_an_order_gives_up_before_the_reset_when_the_next_quota_is_not_enough_for_all(
    job_stack: JobStack,
    turns: CreateTurns,
    monkeypatch: pytest.MonkeyPatch,
    others: int,
    limit: int,
    create_age: float,
) -> None:
    opened_at = Window.of_order(job_stack.order["date_created"]).opened_at
    reset_at = opened_at + 3.0

    async def quota_left(_: str, __: Api) -> BudgetState:
        return replace(QUOTA, limit=limit, left=100, resets_in_s=reset_at - job_stack.clock())

    monkeypatch.setattr(job_stack.resources.transport, "quota_left", quota_left)
    job_stack.configure(fields='"F2" = { from = "order.external_id", wait = true }')
    for number in range(others):
        await turns.join(100 + number, Window(opened_at))
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert entry.status is Status.CREATED
    assert entry.create_age == pytest.approx(create_age, abs=0.05)
