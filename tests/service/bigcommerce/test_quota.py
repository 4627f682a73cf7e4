import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bigcommerce.quota import Quota

CORE = (
    "X-Rate-Limit-Requests-Quota",
    "X-Rate-Limit-Requests-Left",
    "X-Rate-Limit-Time-Window-Ms",
    "X-Rate-Limit-Time-Reset-Ms",
)
B2B = (
    "X-Requests-Allocated",
    "X-Requests-Remaining",
    "X-Requests-Window-Length",
    "X-Request-Window-Resets-After",
)


def headers(names: tuple[str, ...], *values: str) -> httpx.Headers:
    return httpx.Headers(dict(zip(names, values, strict=True)))


def test_core_quota_is_read_in_seconds() -> None:
    assert Quota.from_headers(headers(CORE, "150", "149", "30000", "15500")) == Quota(150, 149, 30.0, 15.5)


def test_b2b_quota_is_read_with_its_units() -> None:
    told = headers(B2B, "150 times/60 s", "149 times", "0 times", "0.397 s")
    assert Quota.from_headers(told) == Quota(150, 149, 60.0, 0.397)


def test_header_names_are_read_in_any_case() -> None:
    assert Quota.from_headers(httpx.Headers({"x-requests-remaining": "7 times"})) == Quota(None, 7, None, None)


def test_no_header_is_no_quota() -> None:
    assert Quota.from_headers(httpx.Headers()) is None


@pytest.mark.parametrize("value", ["", "many", "-5", "NaN s", "inf", "1" * 400, "s 5e", "9" * 12])
def test_garbage_is_none(value: str) -> None:
    told = Quota.from_headers(httpx.Headers({"X-Request-Window-Resets-After": value, "X-Requests-Remaining": "3"}))
    assert told is not None
    assert (told.left, told.resets_in_s) in {(3, None), (3, 5.0)} - ({(3, 5.0)} if value != "s 5e" else set())


def test_core_reset_that_is_hours_away_is_none() -> None:
    assert Quota.from_headers(headers(CORE, "150", "149", "30000", "99999999")) == Quota(150, 149, 30.0, None)


@given(st.lists(st.text(), min_size=4, max_size=4), st.sampled_from([CORE, B2B]))
def test_no_header_breaks_the_reading(values: list[str], names: tuple[str, ...]) -> None:
    told = Quota.from_headers(dict(zip(names, values, strict=True)))
    assert told is None or told.left is None or told.left >= 0
