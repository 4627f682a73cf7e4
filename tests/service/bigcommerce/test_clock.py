from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bigcommerce.clock import UpstreamClock

LOCAL = 1_750_000_000.0


class Clocks:
    """A local clock, and the upstream's clock ``skew`` seconds ahead of it."""

    def __init__(self, skew: float, local: float = LOCAL) -> None:
        self.local = local
        self.skew = skew
        self.clock = UpstreamClock(lambda: self.local)

    def answer(self, there: float = 0.0, back: float = 0.0, *, stale: float = 0.0) -> None:
        """One call: the request takes ``there`` seconds, the answer ``back``; its Date is ``stale`` seconds old."""
        sent_at = self.local
        self.local += there
        date = http_date(self.local + self.skew - stale)
        self.local += back
        self.clock.observe(date, sent_at, self.local)

    def idle(self, seconds: float) -> None:
        self.local += seconds


def http_date(timestamp: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(timestamp // 1), UTC), usegmt=True)


seconds = st.floats(0, 3, allow_nan=False)
skews = st.floats(-100_000, 100_000, allow_nan=False)


def test_upstream_time_is_local_time_before_the_first_answer() -> None:
    clock = UpstreamClock(lambda: LOCAL)
    assert clock.skew == 0.0
    assert clock.now() == LOCAL


def test_one_answer_gives_the_time_to_half_a_second() -> None:
    clocks = Clocks(skew=-3600.0, local=LOCAL + 0.2)
    clocks.answer()
    assert clocks.clock.skew == pytest.approx(-3599.7)  # 0.2 s into its second, but it may be up to 1 s


@given(skew=skews, there=seconds, back=seconds, start=seconds)
def test_estimate_is_within_half_a_second_and_half_the_latency(
    skew: float, there: float, back: float, start: float
) -> None:
    clocks = Clocks(skew, LOCAL + start)
    clocks.answer(there, back)
    assert abs(clocks.clock.skew - skew) <= 0.5 + (there + back) / 2 + 1e-5


@given(skew=skews, answers=st.lists(st.tuples(seconds, seconds, seconds), min_size=1, max_size=200))
def test_estimate_is_within_the_bounds_of_every_answer(skew: float, answers: list[tuple[float, float, float]]) -> None:
    clocks = Clocks(skew)
    fastest = 10.0
    for there, back, pause in answers:
        clocks.idle(pause)
        clocks.answer(there, back)
    for there, back, _ in answers[-64:]:
        fastest = min(fastest, there + back)
    assert abs(clocks.clock.skew - skew) <= 0.5 + fastest / 2 + 1e-5
    assert clocks.clock.now() == clocks.local + clocks.clock.skew


def test_many_fast_answers_give_the_time_to_their_latency() -> None:
    clocks = Clocks(skew=2.345)
    for _ in range(60):
        clocks.idle(0.137)
        clocks.answer(0.01, 0.01)
    assert clocks.clock.skew == pytest.approx(2.345, abs=0.1)


def test_stale_date_of_a_cache_is_ignored() -> None:
    clocks = Clocks(skew=1.0)
    for _ in range(5):
        clocks.idle(0.3)
        clocks.answer(0.05, 0.05)
    before = clocks.clock.skew
    clocks.answer(0.05, 0.05, stale=600)
    assert clocks.clock.skew == before


def test_cache_that_answers_every_other_call_is_ignored() -> None:
    clocks = Clocks(skew=1.0)
    for number in range(100):
        clocks.idle(0.3)
        clocks.answer(0.05, 0.05, stale=0 if number % 2 == 0 else 600)
    assert clocks.clock.skew == pytest.approx(1.0, abs=0.2)


def test_repeated_answers_of_a_cache_are_ignored() -> None:
    clocks = Clocks(skew=1.0)
    for number in range(40):
        clocks.idle(2.0)
        clocks.answer(0.05, 0.05, stale=0 if number % 10 == 0 else 600 + 2.1 * number)  # the same Date each time
    assert clocks.clock.skew == pytest.approx(1.0, abs=0.6)


def test_stale_first_answer_is_replaced_by_the_second() -> None:
    clocks = Clocks(skew=1.0)
    clocks.answer(0.05, 0.05, stale=600)
    clocks.idle(0.3)
    clocks.answer(0.05, 0.05)
    assert clocks.clock.skew == pytest.approx(1.0, abs=0.6)


@pytest.mark.parametrize("step", [-3600.0, -2.0, 2.0, 3600.0])
def test_stepped_clock_is_followed_after_three_answers(step: float) -> None:
    clocks = Clocks(skew=0.0)
    for _ in range(64):
        clocks.idle(0.3)
        clocks.answer(0.05, 0.05)
    clocks.local += step
    clocks.skew -= step
    for _ in range(3):
        clocks.idle(0.3)
        clocks.answer(0.05, 0.05)
    assert clocks.clock.skew == pytest.approx(-step, abs=0.6)


def test_call_during_a_step_is_ignored() -> None:
    clock = UpstreamClock(lambda: LOCAL)
    clock.observe(http_date(LOCAL + 50), LOCAL, LOCAL - 100)
    assert clock.skew == 0.0


def test_servers_that_differ_by_milliseconds_do_not_contradict() -> None:
    clocks = Clocks(skew=0.0)
    for number in range(200):
        clocks.idle(0.0137)
        clocks.skew = 0.03 if number % 2 else -0.03
        clocks.answer(0.001, 0.001)
    clocks.skew = 0.06
    for _ in range(5):  # now another server, always early in its second
        clocks.local = clocks.local // 1 + 1.01
        clocks.answer(0.001, 0.001)
    assert clocks.clock.skew == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("header", [None, "", "yesterday", "Wed, 32 Jan 2018 21:05:30 GMT", "0", "99999999999999"])
def test_invalid_date_is_ignored(header: str | None) -> None:
    clock = UpstreamClock(lambda: LOCAL)
    clock.observe(header, LOCAL, LOCAL + 0.1)
    assert clock.skew == 0.0


@given(st.text())
def test_any_date_can_be_parsed(header: str) -> None:
    UpstreamClock(lambda: LOCAL).observe(header, LOCAL, LOCAL + 0.1)
