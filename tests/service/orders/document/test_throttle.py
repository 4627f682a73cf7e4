"""How fast orders are read: as fast as they come, until the quota is short."""

import asyncio

import pytest

from service.bigcommerce.quota import Quota
from service.orders.document.throttle import LONGEST_PAUSE_S, Throttle


def now() -> float:
    return asyncio.get_running_loop().time()


def quota(left: int | None, resets_in_s: float | None = 30.0, limit: int | None = 150) -> Quota:
    return Quota(limit, left, 30.0, resets_in_s)


async def test_there_is_plenty_before_anything_is_known() -> None:
    pace = Throttle()
    pace.spend(100, now())
    assert not pace.is_short
    assert pace.pause_s == 0


@pytest.mark.parametrize(("left", "is_short"), [(150, False), (50, False), (49, True), (0, True)])
async def test_less_than_a_third_is_short(left: int, is_short: bool) -> None:
    pace = Throttle()
    pace.learn(quota(left))
    assert pace.is_short is is_short


async def test_what_is_left_is_spread_over_the_time_to_the_reset() -> None:
    pace = Throttle()
    pace.learn(quota(40, resets_in_s=20.0))
    pace.spend(2, now())
    assert pace.pause_s == pytest.approx(1.0, abs=0.1)


async def test_the_time_that_calls_took_is_part_of_their_pause() -> None:
    pace = Throttle()
    pace.learn(quota(40, resets_in_s=20.0))
    pace.spend(2, now() - 5)
    assert pace.pause_s == 0


async def test_no_pause_is_long() -> None:
    pace = Throttle()
    pace.learn(quota(1))
    pace.spend(2, now())
    assert pace.pause_s == pytest.approx(LONGEST_PAUSE_S, abs=0.1)


async def test_what_was_not_called_needs_no_pause() -> None:
    pace = Throttle()
    pace.learn_spent(20.0)
    pace.spend(0, now())
    assert pace.is_short
    assert pace.pause_s == 0


async def test_shortage_ends_with_the_reset() -> None:
    pace = Throttle()
    pace.learn(quota(1, resets_in_s=0.0))
    assert not pace.is_short


async def test_shortage_ends_when_an_answer_says_so() -> None:
    pace = Throttle()
    pace.learn_spent(30.0)
    pace.spend(1, now())
    pace.learn(quota(149))
    assert not pace.is_short
    assert pace.pause_s == 0


@pytest.mark.parametrize("told", [None, quota(None), quota(0, limit=None)])
async def test_an_answer_without_the_quota_changes_nothing(told: Quota | None) -> None:
    pace = Throttle()
    pace.learn(told)
    assert not pace.is_short
    pace.learn_spent(30.0)
    pace.learn(told)
    assert pace.is_short


async def test_without_a_reset_the_whole_window_is_taken_to_lie_ahead() -> None:
    pace = Throttle()
    pace.learn(quota(30, resets_in_s=None))
    pace.spend(1, now())
    assert pace.pause_s == pytest.approx(1.0, abs=0.1)
