"""The throttle: no pauses until the quota is short."""

import asyncio

import pytest

from service.bigcommerce.quota_headers import Quota
from service.orders.document.throttle import MAX_PAUSE_S, Throttle


def now() -> float:
    return asyncio.get_running_loop().time()


def quota(left: int | None, resets_in_s: float | None = 30.0, limit: int | None = 150) -> Quota:
    return Quota(limit, left, 30.0, resets_in_s)


async def test_the_quota_is_not_short_before_the_first_answer() -> None:
    throttle = Throttle()
    throttle.spend(100, now())
    assert not throttle.is_short
    assert throttle.pause_s == 0


@pytest.mark.parametrize(("left", "is_short"), [(150, False), (50, False), (49, True), (0, True)])
async def test_less_than_a_third_is_short(left: int, is_short: bool) -> None:
    throttle = Throttle()
    throttle.learn(quota(left))
    assert throttle.is_short is is_short


async def test_the_remaining_quota_is_spread_until_the_reset() -> None:
    throttle = Throttle()
    throttle.learn(quota(40, resets_in_s=20.0))
    throttle.spend(2, now())
    assert throttle.pause_s == pytest.approx(1.0, abs=0.1)


async def test_the_duration_of_calls_counts_toward_their_pause() -> None:
    throttle = Throttle()
    throttle.learn(quota(40, resets_in_s=20.0))
    throttle.spend(2, now() - 5)
    assert throttle.pause_s == 0


async def test_pauses_are_limited() -> None:
    throttle = Throttle()
    throttle.learn(quota(1))
    throttle.spend(2, now())
    assert throttle.pause_s == pytest.approx(MAX_PAUSE_S, abs=0.1)


async def test_no_calls_need_no_pause() -> None:
    throttle = Throttle()
    throttle.learn_spent(20.0)
    throttle.spend(0, now())
    assert throttle.is_short
    assert throttle.pause_s == 0


async def test_shortage_ends_with_the_reset() -> None:
    throttle = Throttle()
    throttle.learn(quota(1, resets_in_s=0.0))
    assert not throttle.is_short


async def test_shortage_ends_when_an_answer_reports_more_quota() -> None:
    throttle = Throttle()
    throttle.learn_spent(30.0)
    throttle.spend(1, now())
    throttle.learn(quota(149))
    assert not throttle.is_short
    assert throttle.pause_s == 0


@pytest.mark.parametrize("reported", [None, quota(None), quota(0, limit=None)])
async def test_an_answer_without_the_quota_changes_nothing(reported: Quota | None) -> None:
    throttle = Throttle()
    throttle.learn(reported)
    assert not throttle.is_short
    throttle.learn_spent(30.0)
    throttle.learn(reported)
    assert throttle.is_short


async def test_without_a_reset_time_the_whole_window_is_assumed() -> None:
    throttle = Throttle()
    throttle.learn(quota(30, resets_in_s=None))
    throttle.spend(1, now())
    assert throttle.pause_s == pytest.approx(1.0, abs=0.1)
