"""Histograms: a value's bucket holds it, and percentiles are right to within a bucket."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.orders.statistics.histogram import AGES, STAGES, Scale, percentile

SCALES = pytest.mark.parametrize("scale", [AGES, STAGES])


@SCALES
@given(seconds=st.floats(0.0, 99_999.0))
def test_a_bucket_holds_its_values(scale: Scale, seconds: float) -> None:
    low, high = scale.bounds(scale.bucket(seconds))
    assert low - 2e-5 <= seconds < high + 1e-6 * high


@pytest.mark.parametrize(("seconds", "is_inside"), [(9.89, True), (9.999, True), (10.0, False), (10.5, False)])
def test_the_end_of_the_window_is_the_bound_of_a_bucket(seconds: float, is_inside: bool) -> None:
    low, high = AGES.bounds(AGES.bucket(seconds))
    assert (high <= 10.0 + 1e-9) is is_inside
    assert (low >= 10.0 - 1e-9) is not is_inside


@SCALES
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_percentiles_are_close_to_those_of_the_values(scale: Scale, share: float) -> None:
    dice = random.Random(7)
    values = sorted(dice.lognormvariate(0.3, 0.8) for _ in range(5000))
    counts: dict[int, int] = {}
    for value in values:
        counts[scale.bucket(value)] = counts.get(scale.bucket(value), 0) + 1
    exact = values[int(share * len(values))]
    assert percentile(counts, share, scale) == pytest.approx(exact, rel=0.08)


def test_without_values_there_is_no_percentile() -> None:
    assert percentile({}, 0.5, AGES) is None


def test_negative_and_endless_times_have_a_bucket() -> None:
    assert AGES.bucket(-3.0) == 0
    assert STAGES.bucket(0.0) == 0
    assert STAGES.bucket(1e12) == STAGES.bucket(100_000.0)
