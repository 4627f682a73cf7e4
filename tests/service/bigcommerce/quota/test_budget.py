"""Spending the budget, one rule at a time, on a real Redis and a still clock."""

import asyncio

import pytest
from arq import ArqRedis
from structlog.testing import capture_logs

from service.bigcommerce import Api, Budget, BudgetState, Priority, quota_budget
from service.bigcommerce.quota_budget import KEEP_S, Spent
from service.errors import OutOfBudget
from service.redis.client import connect
from tests.fakes.processes.budget_spender import (
    BACKGROUND,
    CREATE,
    LOWER,
    RECOVER,
    VERIFY,
    Spender,
    known_window,
    quota,
)
from tests.fakes.redis.server import running_redis
from tests.fakes.sandbox import StillClock

# How much a store can spend


@pytest.mark.parametrize(("api", "window_s"), [(Api.CORE, 30), (Api.B2B, 60)])
async def test_an_unknown_store_has_the_smallest_plan(redis: ArqRedis, api: Api, window_s: float) -> None:
    clock = StillClock()
    spender = Spender(clock, Budget(redis, clock=clock), api=api)
    assert await spender.grants() == 150
    assert await spender.wait() == pytest.approx(window_s, abs=0.002)


async def test_each_store_and_api_has_its_own_budget(spender: Spender) -> None:
    await spender.grants()
    for other in (
        Spender(spender.clock, spender.budget, api=Api.CORE),
        Spender(spender.clock, spender.budget, store="def456"),
    ):
        await other.spend()


async def test_all_processes_share_a_budget(spender: Spender, other_spender: Spender) -> None:
    for _ in range(75):
        await spender.spend()
        await other_spender.spend()
    assert await spender.wait() == await other_spender.wait()


async def test_a_create_over_the_storefront_is_not_counted(spender: Spender) -> None:
    assert await spender.budget.spend("abc123", Api.STOREFRONT, CREATE, operation="Create an Order") is None
    assert await spender.budget.left_of(["abc123"]) == {"abc123": {}}


async def test_what_can_wait_at_the_storefront_is_taken_off_b2b_editions_quota(spender: Spender) -> None:
    async def look() -> Spent | None:
        budget, operation = spender.budget, "Get Order Details"
        return await budget.spend("abc123", Api.STOREFRONT, Priority.BACKGROUND, operation=operation)

    assert [await look() for _ in range(3)] == [None] * 3, "no answer of the storefront corrects a budget"
    state = await spender.budget.left("abc123", Api.B2B)
    assert state is not None
    assert (state.limit, state.left) == (150, 147)
    with pytest.raises(OutOfBudget, match="Get Order Details"):
        await look()
    assert await spender.grants() == 147, "nobody who looks takes the calls of orders"


async def test_the_next_window_is_like_the_last(spender: Spender) -> None:
    await known_window(spender, left=29, resets_in_s=2.0, limit=30)
    spender.clock.tick(2.002)
    assert await spender.grants() == 30
    assert await spender.wait() == pytest.approx(60, abs=0.002), "the length from the headers"


async def test_limits_expire_some_minutes_after_their_window(spender: Spender, redis: ArqRedis) -> None:
    await known_window(spender, resets_in_s=7.0)
    assert KEEP_S * 1000 < await redis.pttl("enrich:budget:b2b:abc123") <= (KEEP_S + 7.1) * 1000


async def test_a_clock_set_back_costs_at_most_one_window(spender: Spender) -> None:
    await known_window(spender)
    await spender.grants()
    spender.clock.tick(-3600)
    assert await spender.wait() <= 60.002


async def test_the_time_is_that_of_redis_without_a_clock(redis: ArqRedis) -> None:
    spender = Spender(StillClock(), Budget(redis))
    await spender.budget.correct(await spender.spend(), quota(1, 1.0, limit=2))
    await spender.spend()
    waits = await spender.wait()
    assert 0 < waits <= 1.002
    # Waiting exactly as long as the refusal says is enough.
    await asyncio.sleep(waits)
    await spender.spend()


# Priorities


@pytest.mark.parametrize(("priority", "grants"), [(CREATE, 150), (VERIFY, 7), (RECOVER, 6), (BACKGROUND, 3)])
async def test_lower_priorities_have_a_small_head_start(spender: Spender, priority: Priority, grants: int) -> None:
    assert await spender.grants(priority) == grants


async def test_a_refused_create_waits_for_the_reset(spender: Spender) -> None:
    await spender.grants()
    spender.clock.tick(20)
    waits = await spender.wait()
    assert waits == pytest.approx(40, abs=0.002)
    spender.clock.tick(waits - 0.002)
    await spender.wait()
    spender.clock.tick(0.002)
    await spender.spend()


@pytest.mark.parametrize("priority", LOWER)
@pytest.mark.parametrize("spent", [40, 75, 140, 149])
async def test_a_refused_lower_priority_waits_until_the_reserve_has_shrunk(
    spender: Spender, priority: Priority, spent: int
) -> None:
    for _ in range(spent):
        await spender.spend()
    waits = await spender.wait(priority)
    assert 0 < waits <= 60.001
    spender.clock.tick(waits - 0.002)
    assert await spender.wait(priority) <= 0.003
    spender.clock.tick(0.002)
    await spender.spend(priority)


async def test_a_lower_priority_waits_for_the_reset_when_nothing_is_left(spender: Spender) -> None:
    await spender.grants()
    assert {await spender.wait(priority) for priority in LOWER} == {await spender.wait()}


async def test_a_lower_priority_gets_what_higher_ones_do_not_use(spender: Spender) -> None:
    grants, end = 0, spender.clock.now + 60
    while True:
        try:
            await spender.spend(BACKGROUND)
            grants += 1
        except OutOfBudget as refusal:
            spender.clock.tick(refusal.seconds)
            if spender.clock.now >= end:
                break
    assert grants == 149, "the last call is reserved until the reset"


async def test_creates_get_their_share_whatever_lower_priorities_take(spender: Spender) -> None:
    """Lower priorities always take all they get; a burst in the middle of the window still gets its share."""
    for _ in range(60):
        spender.clock.tick(0.5)
        for priority in LOWER:
            await spender.grants(priority)
    assert await spender.grants() >= 60


@pytest.mark.parametrize(
    ("creates_a_second", "verified"),
    [
        (10, 2),  # they use up the window after 15 s
        (5, 3),  # after 30 s
        (2, 28),  # nearly all that 120 creates leave of 150
        (0, 120),  # every attempt
    ],
)
async def test_verification_gets_less_the_more_orders_come(
    spender: Spender, creates_a_second: int, verified: int
) -> None:
    """Orders come evenly for a whole window, and one is to be read back every half second."""
    created = read_back = 0
    for tick in range(600):
        if creates_a_second and tick % (10 // creates_a_second) == 0:
            created += await spender.grants(most=1)
        if tick % 5 == 0:
            read_back += await spender.grants(VERIFY, most=1)
        spender.clock.tick(0.09999)
    assert read_back == verified
    assert created == min(150 - read_back, creates_a_second * 60)


# Cost, state and log


async def test_a_call_costs_one_script_and_a_second_one_only_when_the_answer_differs(
    spender: Spender, redis: ArqRedis
) -> None:
    await known_window(spender)
    await redis.config_resetstat()
    for left in range(148, 48, -1):
        spender.clock.tick(0.01)
        await spender.budget.correct(await spender.spend(), quota(left, 60 - (149 - left) * 0.01))
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 100
    await spender.budget.correct(await spender.spend(), quota(7, 59.0))
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 102


async def test_a_store_that_was_never_called_has_no_state(spender: Spender) -> None:
    assert await spender.budget.left("abc123", Api.B2B) is None


async def test_the_state_after_the_reset_is_that_of_the_next_window(spender: Spender) -> None:
    await known_window(spender, left=3, resets_in_s=5.0, limit=450)
    spender.clock.tick(6)
    assert await spender.state() == BudgetState(limit=450, left=450, window_s=60, resets_in_s=60, is_guess=True)


async def test_a_spent_quota_is_logged_once_a_window(spender: Spender) -> None:
    with capture_logs() as events:
        for _ in range(2):
            await spender.grants()
            await spender.wait()
            await spender.wait(VERIFY)
            spender.clock.tick(60.001)
    event = {"event": "quota_spent", "log_level": "warning", "store": "abc123", "api": "b2b", "priority": "create"}
    assert events == [event | {"resets_in_ms": 60_000}] * 2


async def test_a_lower_priority_that_waits_is_not_logged(spender: Spender) -> None:
    with capture_logs() as events:
        await spender.grants(BACKGROUND)
    assert events == []


async def test_a_call_is_not_counted_when_redis_does_not_answer() -> None:
    async with running_redis() as server, connect(server.url) as redis:
        budget = Budget(redis)
        spent = await budget.spend("abc123", Api.B2B, CREATE, operation="Get an Order")
        assert spent
        server.pause()
        assert await budget.spend("abc123", Api.B2B, CREATE, operation="Get an Order") is None
        await budget.correct(spent, quota(10, 50.0))
        server.kill()
        assert await budget.spend("abc123", Api.B2B, CREATE, operation="Get an Order") is None
        await budget.correct(spent, quota(10, 50.0))


# What is known without spending


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize("calls", [1, 2])
async def test_the_state_tells_how_long_a_call_would_wait(spender: Spender, priority: Priority, calls: int) -> None:
    for left in (149, 120, 60, 7, 2, 1, 0):
        await known_window(spender, left=left)
        for _ in range(4):
            told_s, waited_s = (await spender.state()).wait_s(priority, calls), 0.0
            try:
                await spender.budget.spend("abc123", Api.B2B, priority, operation="Get an Order", calls=calls)
            except OutOfBudget as out:
                waited_s = out.seconds
            assert told_s == pytest.approx(waited_s, abs=0.002)
            spender.clock.tick(9.7)
        spender.clock.tick(61.0)


async def test_a_process_knows_by_itself_that_the_quota_is_spent(spender: Spender) -> None:
    def spent_for_s() -> float:
        return spender.budget.spent_for_s("abc123", Api.B2B)

    assert spent_for_s() == 0.0
    await known_window(spender, left=1, resets_in_s=40.0)
    assert spent_for_s() == 0.0
    await spender.spend()
    assert spent_for_s() == pytest.approx(40.0, abs=0.01)
    spender.clock.tick(30.0)
    assert spent_for_s() == pytest.approx(10.0, abs=0.01)
    spender.clock.tick(11.0)
    assert spent_for_s() == 0.0


# Memory


async def test_windows_that_are_over_are_forgotten_and_open_ones_are_not(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota_budget, "CLEAR_AT", 10)
    clock = StillClock()
    budget = Budget(redis, clock=clock)
    sizes = []
    for number in range(60):
        await budget.spend(f"s{number}", Api.CORE, Priority.BACKGROUND, operation="Get All Orders")
        sizes.append(len(budget._windows))
        clock.tick(5.0)  # six windows of 30 s are open at a time
    assert max(sizes) < 20
    assert {store for store, _ in budget._windows} >= {f"s{number}" for number in range(55, 60)}
