"""Correcting the budget by the headers of an answer, on a real Redis and a still clock."""

import pytest
from arq import ArqRedis

from service.bigcommerce.quota_headers import Quota
from tests.fakes.processes.budget_spender import Spender, known_window, quota


async def test_an_answer_replaces_a_guess(spender: Spender) -> None:
    await spender.budget.correct(await spender.spend(), quota(420, 12.0, limit=450, window_s=30))
    state = await spender.state()
    assert (state.limit, state.left, state.window_s, state.is_guess) == (450, 420, 30, False)
    assert state.resets_in_s == pytest.approx(12, abs=0.002)


async def test_a_guess_corrected_to_a_small_plan_leaves_nothing(spender: Spender) -> None:
    spent = [await spender.spend() for _ in range(12)]
    await spender.budget.correct(spent[0], quota(9, 60.0, limit=10))
    assert await spender.left() == 0


async def test_calls_in_flight_stay_counted_when_a_guess_is_replaced(spender: Spender) -> None:
    spent = [await spender.spend() for _ in range(20)]
    await spender.budget.correct(spent[0], quota(149, 60.0))
    assert await spender.left() == 130


async def test_calls_of_other_apps_are_taken_off(spender: Spender) -> None:
    spent = await known_window(spender)
    await spender.budget.correct(spent, quota(40, 60.0))
    assert await spender.left() == 40


async def test_an_answer_that_does_not_count_calls_in_flight_gives_nothing_back(spender: Spender) -> None:
    spent = await known_window(spender)
    for _ in range(9):
        await spender.spend()
    await spender.budget.correct(spent, quota(148, 60.0))
    assert await spender.left() == 140


async def test_a_slow_answer_does_not_delay_the_reset(spender: Spender, other_spender: Spender) -> None:
    spent = await known_window(spender, resets_in_s=60.0)
    spender.clock.tick(3)
    await other_spender.spend()
    await other_spender.budget.correct(spent, quota(100, 60.0))
    state = await spender.state()
    assert state.left == 100
    assert state.resets_in_s == pytest.approx(57, abs=0.002)


async def test_a_faster_answer_makes_the_reset_earlier(spender: Spender) -> None:
    spent = await known_window(spender, resets_in_s=60.0)
    await spender.budget.correct(spent, quota(149, 58.0))
    assert 58.0005 < (await spender.state()).resets_in_s < 58.002, "never earlier than reported: the header is rounded"


async def test_an_absurd_reset_is_corrected_by_the_next_answer(spender: Spender) -> None:
    spent = await known_window(spender, resets_in_s=3600)
    await spender.budget.correct(spent, quota(148, 50.0))
    state = await spender.state()
    assert state.resets_in_s == pytest.approx(50, abs=0.002)
    assert state.window_s == 60


async def test_an_answer_of_a_newer_window_replaces_everything(spender: Spender) -> None:
    await known_window(spender, left=7, resets_in_s=10.0)
    spent = await spender.spend()
    spender.clock.tick(9.9)
    await spender.budget.correct(spent, quota(148, 59.9))
    state = await spender.state()
    assert state.left == 148
    assert state.resets_in_s == pytest.approx(59.9, abs=0.002)


@pytest.mark.parametrize("refused", [False, True])
async def test_an_answer_of_a_past_window_is_ignored(spender: Spender, *, refused: bool) -> None:
    old = await known_window(spender, left=1, resets_in_s=1.0)
    spender.clock.tick(1.5)
    await spender.budget.correct(old, quota(0, 0.1), refused=refused)
    assert await spender.left() == 150, "the new window has not begun yet"
    await spender.spend()
    await spender.budget.correct(old, quota(0, 0.1), refused=refused)
    assert await spender.left() == 149, "the new window is a guess"
    await known_window(spender, left=148)
    await spender.budget.correct(old, quota(0, 0.1), refused=refused)
    assert await spender.left() == 148, "the new window is known"


async def test_a_late_call_of_the_old_window_can_report_the_new_one(spender: Spender) -> None:
    await known_window(spender, resets_in_s=1.0)
    old = await spender.spend()
    spender.clock.tick(1.2)
    for _ in range(10):
        await spender.spend()
    await spender.budget.correct(old, quota(30, 59.8))
    state = await spender.state()
    assert (state.left, state.is_guess) == (30, False)


@pytest.mark.parametrize("left", [None, 0, 77])
async def test_429_means_that_nothing_is_left_until_the_reset(spender: Spender, left: int | None) -> None:
    spent = await known_window(spender)
    await spender.budget.correct(spent, quota(left, 33.0), refused=True)
    assert await spender.wait() == pytest.approx(33, abs=0.003)


@pytest.mark.parametrize(
    "reported",
    [quota(None, 10.0), quota(10, None), Quota(None, None, None, None), quota(None, None)],
)
async def test_an_answer_without_left_or_reset_changes_nothing(spender: Spender, reported: Quota) -> None:
    spent = await spender.spend()
    before = await spender.state()
    await spender.budget.correct(spent, reported)
    assert await spender.state() == before


@pytest.mark.parametrize("reported", [quota(100, 50.0, None, None), quota(100, 50.0, 0, 0.0)])
async def test_limit_and_window_stay_when_the_headers_lack_them(spender: Spender, reported: Quota) -> None:
    await spender.budget.correct(await spender.spend(), reported)
    state = await spender.state()
    assert (state.limit, state.left, state.window_s) == (150, 100, 60)


async def test_left_is_never_more_than_the_limit(spender: Spender) -> None:
    await known_window(spender, left=10_000)
    assert await spender.left() <= 150


async def test_a_budget_lost_in_redis_is_restored_by_an_answer(spender: Spender, redis: ArqRedis) -> None:
    spent = await known_window(spender)
    await redis.flushall()
    await spender.budget.correct(spent, quota(40, 30.0))
    state = await spender.state()
    assert (state.limit, state.left, state.is_guess) == (150, 40, False)
