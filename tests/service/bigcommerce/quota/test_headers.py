import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bigcommerce.quota_headers import Quota

CORE = (
    "x-rate-limit-requests-quota",
    "x-rate-limit-requests-left",
    "x-rate-limit-time-window-ms",
    "x-rate-limit-time-reset-ms",
)
B2B = (
    "x-requests-allocated",
    "x-requests-remaining",
    "x-requests-window-length",
    "x-request-window-resets-after",
)


def headers(names: tuple[str, ...], *values: str) -> dict[str, str]:
    return dict(zip(names, values, strict=True))


def test_core_quota_is_parsed_to_seconds() -> None:
    assert Quota.from_headers(headers(CORE, "150", "149", "30000", "15500")) == Quota(150, 149, 30.0, 15.5)


def test_b2b_quota_is_parsed_with_its_units() -> None:
    quota = headers(B2B, "150 times/60 s", "149 times", "0 times", "0.397 s")
    assert Quota.from_headers(quota) == Quota(150, 149, 60.0, 0.397)


def test_one_header_is_enough() -> None:
    assert Quota.from_headers({"x-requests-remaining": "7 times"}) == Quota(None, 7, None, None)


def test_without_headers_there_is_no_quota() -> None:
    assert Quota.from_headers({}) is None


@pytest.mark.parametrize("value", ["", "many", "-5", "NaN s", "inf", "1" * 400, "s 5e", "9" * 12])
def test_garbage_is_none(value: str) -> None:
    quota = Quota.from_headers({"x-request-window-resets-after": value, "x-requests-remaining": "3"})
    assert quota is not None
    assert (quota.left, quota.resets_in_s) in {(3, None), (3, 5.0)} - ({(3, 5.0)} if value != "s 5e" else set())


def test_a_core_reset_that_is_hours_away_is_none() -> None:
    assert Quota.from_headers(headers(CORE, "150", "149", "30000", "99999999")) == Quota(150, 149, 30.0, None)


@given(st.lists(st.text(), min_size=4, max_size=4), st.sampled_from([CORE, B2B]))
def test_no_header_breaks_the_parser(values: list[str], names: tuple[str, ...]) -> None:
    quota = Quota.from_headers(dict(zip(names, values, strict=True)))
    assert quota is None or quota.left is None or quota.left >= 0
