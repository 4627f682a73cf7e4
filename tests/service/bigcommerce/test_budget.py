"""The rules of the budget one by one, on a real Redis and a clock that stands still."""

import asyncio
from dataclasses import dataclass

import pytest
from arq import ArqRedis
from structlog.testing import capture_logs

from service.bigcommerce import Api, Budget, BudgetState, Priority
from service.bigcommerce.budget import KEEP_S, Spent
from service.bigcommerce.quota import Quota
from service.errors import OutOfBudget
from service.redis.client import connect
from tests.fakes.redis_server import running_redis
from tests.fakes.sandbox import StillClock

CREATE, VERIFY_MANY, VERIFY, RECOVER, BACKGROUND = Priority
LOWER = (VERIFY_MANY, VERIFY, RECOVER, BACKGROUND)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one process asks for budget for one store."""

    clock: StillClock
    budget: Budget
    store: str = "abc123"
    api: Api = Api.B2B

    async def spend(self, priority: Priority = CREATE) -> Spent:
        spent = await self.budget.spend(self.store, self.api, priority, operation="Get an Order")
        assert spent
        return spent

    async def wait(self, priority: Priority = CREATE) -> float:
        """How many seconds this priority, which is refused, shall wait."""
        with pytest.raises(OutOfBudget) as refusal:
            await self.spend(priority)
        return refusal.value.seconds

    async def grants(self, priority: Priority = CREATE, *, most: int = 1000) -> int:
        """Spend until it is refused."""
        for count in range(most):
            try:
                await self.spend(priority)
            except OutOfBudget:
                return count
        return most

    async def state(self) -> BudgetState:
        state = await self.budget.left(self.store, self.api)
        assert state
        return state

    async def left(self) -> int:
        return (await self.state()).left


def quota(left: int | None, resets_in_s: float | None, limit: int | None = 150, window_s: float | None = 60) -> Quota:
    return Quota(limit, left, window_s, resets_in_s)


@pytest.fixture
def desk(redis: ArqRedis) -> Desk:
    clock = StillClock()
    return Desk(clock, Budget(redis, clock=clock))


@pytest.fixture
def other_desk(desk: Desk, redis: ArqRedis) -> Desk:
    """Another process, the same store."""
    return Desk(desk.clock, Budget(redis, clock=desk.clock))


async def known(desk: Desk, left: int = 149, resets_in_s: float = 60.0, limit: int = 150) -> Spent:
    """Begin a window that an answer has told of."""
    spent = await desk.spend()
    await desk.budget.correct(spent, quota(left, resets_in_s, limit))
    return spent


# How much there is to spend


@pytest.mark.parametrize(("api", "window_s"), [(Api.CORE, 30), (Api.B2B, 60)])
async def test_unknown_store_has_the_smallest_plan(redis: ArqRedis, api: Api, window_s: float) -> None:
    clock = StillClock()
    desk = Desk(clock, Budget(redis, clock=clock), api=api)
    assert await desk.grants() == 150
    assert await desk.wait() == pytest.approx(window_s, abs=0.002)


async def test_each_store_and_api_has_a_budget_of_its_own(desk: Desk) -> None:
    await desk.grants()
    for other in (Desk(desk.clock, desk.budget, api=Api.CORE), Desk(desk.clock, desk.budget, store="def456")):
        await other.spend()


async def test_all_processes_share_a_budget(desk: Desk, other_desk: Desk) -> None:
    for _ in range(75):
        await desk.spend()
        await other_desk.spend()
    assert await desk.wait() == await other_desk.wait()


async def test_storefront_calls_are_not_counted(desk: Desk) -> None:
    assert await desk.budget.spend("abc123", Api.STOREFRONT, CREATE, operation="Get Order Details") is None
    assert await desk.budget.left("abc123", Api.STOREFRONT) is None


async def test_next_window_is_like_the_last(desk: Desk) -> None:
    await known(desk, left=29, resets_in_s=2.0, limit=30)
    desk.clock.tick(2.002)
    assert await desk.grants() == 30
    assert await desk.wait() == pytest.approx(60, abs=0.002), "the length that the headers told"


async def test_limits_are_forgotten_some_minutes_after_their_window(desk: Desk, redis: ArqRedis) -> None:
    await known(desk, resets_in_s=7.0)
    assert KEEP_S * 1000 < await redis.pttl("enrich:budget:b2b:abc123") <= (KEEP_S + 7.1) * 1000


async def test_clock_that_is_set_back_costs_no_more_than_a_window(desk: Desk) -> None:
    await known(desk)
    await desk.grants()
    desk.clock.tick(-3600)
    assert await desk.wait() <= 60.002


async def test_redis_tells_the_time_unless_told_otherwise(redis: ArqRedis) -> None:
    desk = Desk(StillClock(), Budget(redis))
    await desk.budget.correct(await desk.spend(), quota(1, 1.0, limit=2))
    await desk.spend()
    waits = await desk.wait()
    assert 0 < waits <= 1.002
    # No sleep can be too short: whoever waits as told is let in.
    await asyncio.sleep(waits)
    await desk.spend()


# Who may spend it


@pytest.mark.parametrize(("priority", "grants"), [(CREATE, 150), (VERIFY, 7), (RECOVER, 6), (BACKGROUND, 3)])
async def test_lower_priorities_have_a_small_head_start(desk: Desk, priority: Priority, grants: int) -> None:
    assert await desk.grants(priority) == grants


async def test_refused_create_waits_for_the_reset(desk: Desk) -> None:
    await desk.grants()
    desk.clock.tick(20)
    waits = await desk.wait()
    assert waits == pytest.approx(40, abs=0.002)
    desk.clock.tick(waits - 0.002)
    await desk.wait()
    desk.clock.tick(0.002)
    await desk.spend()


@pytest.mark.parametrize("priority", LOWER)
@pytest.mark.parametrize("spent", [40, 75, 140, 149])
async def test_refused_lower_priority_is_told_when_its_reserve_has_shrunk(
    desk: Desk, priority: Priority, spent: int
) -> None:
    for _ in range(spent):
        await desk.spend()
    waits = await desk.wait(priority)
    assert 0 < waits <= 60.001
    desk.clock.tick(waits - 0.002)
    assert await desk.wait(priority) <= 0.003
    desk.clock.tick(0.002)
    await desk.spend(priority)


async def test_lower_priority_waits_for_the_reset_when_nothing_is_left(desk: Desk) -> None:
    await desk.grants()
    assert {await desk.wait(priority) for priority in LOWER} == {await desk.wait()}


async def test_what_nobody_above_uses_is_theirs(desk: Desk) -> None:
    grants, end = 0, desk.clock.now + 60
    while True:
        try:
            await desk.spend(BACKGROUND)
            grants += 1
        except OutOfBudget as refusal:
            desk.clock.tick(refusal.seconds)
            if desk.clock.now >= end:
                break
    assert grants == 149, "the last one is kept to the end"


async def test_create_finds_its_share_whatever_lower_priorities_took(desk: Desk) -> None:
    """They take all they get, all the time; a burst in the middle of the window still finds its share."""
    for _ in range(60):
        desk.clock.tick(0.5)
        for priority in LOWER:
            await desk.grants(priority)
    assert await desk.grants() >= 60


@pytest.mark.parametrize(
    ("creates_a_second", "verified"),
    [
        (10, 2),  # they have used the window up after 15 s
        (5, 3),  # after 30 s
        (2, 28),  # nearly all that 120 creates leave of 150
        (0, 120),  # every try
    ],
)
async def test_the_more_orders_come_the_less_is_left_for_verification(
    desk: Desk, creates_a_second: int, verified: int
) -> None:
    """Orders come evenly for a whole window, and every half second one of them is to be read back."""
    created = read_back = 0
    for tick in range(600):
        if creates_a_second and tick % (10 // creates_a_second) == 0:
            created += await desk.grants(most=1)
        if tick % 5 == 0:
            read_back += await desk.grants(VERIFY, most=1)
        desk.clock.tick(0.09999)
    assert read_back == verified
    assert created == min(150 - read_back, creates_a_second * 60)


# What answers tell


async def test_answer_replaces_a_guess(desk: Desk) -> None:
    await desk.budget.correct(await desk.spend(), quota(420, 12.0, limit=450, window_s=30))
    state = await desk.state()
    assert (state.limit, state.left, state.window_s, state.is_guess) == (450, 420, 30, False)
    assert state.resets_in_s == pytest.approx(12, abs=0.002)


async def test_guess_corrected_to_a_small_plan_denies_what_is_beyond_it(desk: Desk) -> None:
    spent = [await desk.spend() for _ in range(12)]
    await desk.budget.correct(spent[0], quota(9, 60.0, limit=10))
    assert await desk.left() == 0


async def test_calls_under_way_stay_counted_when_a_guess_is_replaced(desk: Desk) -> None:
    spent = [await desk.spend() for _ in range(20)]
    await desk.budget.correct(spent[0], quota(149, 60.0))
    assert await desk.left() == 130


async def test_what_others_spent_is_taken_off(desk: Desk) -> None:
    spent = await known(desk)
    await desk.budget.correct(spent, quota(40, 60.0))
    assert await desk.left() == 40


async def test_answer_that_does_not_count_calls_under_way_yet_gives_nothing_back(desk: Desk) -> None:
    spent = await known(desk)
    for _ in range(9):
        await desk.spend()
    await desk.budget.correct(spent, quota(148, 60.0))
    assert await desk.left() == 140


async def test_slow_answer_does_not_put_off_the_reset(desk: Desk, other_desk: Desk) -> None:
    spent = await known(desk, resets_in_s=60.0)
    desk.clock.tick(3)
    await other_desk.spend()
    await other_desk.budget.correct(spent, quota(100, 60.0))
    state = await desk.state()
    assert state.left == 100
    assert state.resets_in_s == pytest.approx(57, abs=0.002)


async def test_faster_answer_brings_the_reset_nearer(desk: Desk) -> None:
    spent = await known(desk, resets_in_s=60.0)
    await desk.budget.correct(spent, quota(149, 58.0))
    assert 58.0005 < (await desk.state()).resets_in_s < 58.002, "never sooner: the header is rounded"


async def test_one_absurd_reset_is_made_good_by_the_next_answer(desk: Desk) -> None:
    spent = await known(desk, resets_in_s=3600)
    await desk.budget.correct(spent, quota(148, 50.0))
    state = await desk.state()
    assert state.resets_in_s == pytest.approx(50, abs=0.002)
    assert state.window_s == 60


async def test_answer_of_a_newer_window_replaces_all(desk: Desk) -> None:
    await known(desk, left=7, resets_in_s=10.0)
    spent = await desk.spend()
    desk.clock.tick(9.9)
    await desk.budget.correct(spent, quota(148, 59.9))
    state = await desk.state()
    assert state.left == 148
    assert state.resets_in_s == pytest.approx(59.9, abs=0.002)


@pytest.mark.parametrize("refused", [False, True])
async def test_answer_of_a_window_that_has_passed_is_ignored(desk: Desk, *, refused: bool) -> None:
    old = await known(desk, left=1, resets_in_s=1.0)
    desk.clock.tick(1.5)
    await desk.budget.correct(old, quota(0, 0.1), refused=refused)
    assert await desk.left() == 150, "nobody has begun the new window yet"
    await desk.spend()
    await desk.budget.correct(old, quota(0, 0.1), refused=refused)
    assert await desk.left() == 149, "the new window is a guess"
    await known(desk, left=148)
    await desk.budget.correct(old, quota(0, 0.1), refused=refused)
    assert await desk.left() == 148, "the new window is known"


async def test_late_call_of_the_old_window_may_tell_of_the_new_one(desk: Desk) -> None:
    await known(desk, resets_in_s=1.0)
    old = await desk.spend()
    desk.clock.tick(1.2)
    for _ in range(10):
        await desk.spend()
    await desk.budget.correct(old, quota(30, 59.8))
    state = await desk.state()
    assert (state.left, state.is_guess) == (30, False)


@pytest.mark.parametrize("left", [None, 0, 77])
async def test_429_means_that_nothing_is_left_until_the_reset(desk: Desk, left: int | None) -> None:
    spent = await known(desk)
    await desk.budget.correct(spent, quota(left, 33.0), refused=True)
    assert await desk.wait() == pytest.approx(33, abs=0.003)


@pytest.mark.parametrize(
    "told",
    [quota(None, 10.0), quota(10, None), Quota(None, None, None, None), quota(None, None)],
)
async def test_answer_that_does_not_tell_enough_changes_nothing(desk: Desk, told: Quota) -> None:
    spent = await desk.spend()
    before = await desk.state()
    await desk.budget.correct(spent, told)
    assert await desk.state() == before


@pytest.mark.parametrize("told", [quota(100, 50.0, None, None), quota(100, 50.0, 0, 0.0)])
async def test_limit_and_window_stay_as_known_when_untold(desk: Desk, told: Quota) -> None:
    await desk.budget.correct(await desk.spend(), told)
    state = await desk.state()
    assert (state.limit, state.left, state.window_s) == (150, 100, 60)


async def test_more_left_than_the_limit_cannot_be(desk: Desk) -> None:
    await known(desk, left=10_000)
    assert await desk.left() <= 150


async def test_what_was_lost_in_redis_is_learnt_again(desk: Desk, redis: ArqRedis) -> None:
    spent = await known(desk)
    await redis.flushall()
    await desk.budget.correct(spent, quota(40, 30.0))
    state = await desk.state()
    assert (state.limit, state.left, state.is_guess) == (150, 40, False)


# What it costs, what shows of it


async def test_call_costs_one_script_and_another_only_for_news(desk: Desk, redis: ArqRedis) -> None:
    await known(desk)
    await redis.config_resetstat()
    for left in range(148, 48, -1):
        desk.clock.tick(0.01)
        await desk.budget.correct(await desk.spend(), quota(left, 60 - (149 - left) * 0.01))
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 100
    await desk.budget.correct(await desk.spend(), quota(7, 59.0))
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 102


async def test_nothing_is_known_of_a_store_that_was_never_called(desk: Desk) -> None:
    assert await desk.budget.left("abc123", Api.B2B) is None


async def test_state_after_the_reset_is_that_of_the_window_to_come(desk: Desk) -> None:
    await known(desk, left=3, resets_in_s=5.0, limit=450)
    desk.clock.tick(6)
    assert await desk.state() == BudgetState(limit=450, left=450, window_s=60, resets_in_s=60, is_guess=True)


async def test_spent_quota_is_told_of_once_a_window(desk: Desk) -> None:
    with capture_logs() as events:
        for _ in range(2):
            await desk.grants()
            await desk.wait()
            await desk.wait(VERIFY)
            desk.clock.tick(60.001)
    event = {"event": "quota_spent", "log_level": "warning", "store": "abc123", "api": "b2b", "priority": "create"}
    assert events == [event | {"resets_in_ms": 60_000}] * 2


async def test_lower_priority_that_has_to_wait_is_no_event(desk: Desk) -> None:
    with capture_logs() as events:
        await desk.grants(BACKGROUND)
    assert events == []


async def test_call_goes_out_when_redis_does_not_answer() -> None:
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
