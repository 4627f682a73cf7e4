"""The check of the quotas."""

import pytest

from service.bigcommerce import Api
from service.bigcommerce.quota_headers import Quota
from service.checks.access.quotas import check_quotas
from tests.fakes.stacks.checks import lines

USING_UP = "Unless a burst of orders is in progress, other apps of this store are using it up."


def quota(limit: int | None, left: int | None, window_s: float | None = 60.0) -> Quota:
    return Quota(limit, left, window_s, 10.0)


@pytest.mark.parametrize(
    ("api", "seen", "line"),
    [
        (Api.CORE, quota(450, 449, 30.0), "ok  quota, core API  449 of 450 calls in 30 s are left."),
        (Api.CORE, quota(150, 30, None), "ok  quota, core API  30 of 150 calls are left."),
        (
            Api.CORE,
            quota(150, 29, 30.0),
            f"warning  quota, core API  only 29 of 150 calls in 30 s are left. {USING_UP}",
        ),
        (Api.B2B, quota(150, 146), "ok  quota, B2B Edition  146 of 150 calls in 60 s are left."),
        (
            Api.B2B,
            quota(300, 290),
            "ok  quota, B2B Edition  290 of 300 calls in 60 s are left. Most stores have 150.",
        ),
        (
            Api.B2B,
            quota(100, 0),
            f"warning  quota, B2B Edition  only 0 of 100 calls in 60 s are left. Most stores have 150. {USING_UP}",
        ),
    ],
)
def test_quotas_are_reported_and_low_ones_are_warnings(api: Api, seen: Quota, line: str) -> None:
    assert lines(check_quotas("abc123", {api: seen})) == [line]


@pytest.mark.parametrize("seen", [quota(None, 5), quota(150, None), quota(0, 0)])
def test_a_quota_without_headers_is_left_out(seen: Quota) -> None:
    assert check_quotas("abc123", {Api.CORE: seen}) == []
