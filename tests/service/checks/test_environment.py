"""Checks of the quotas, the clock and Redis."""

from typing import Any

import pytest
from redis import exceptions
from redis.asyncio import Redis

from service.bigcommerce import Api
from service.bigcommerce.quota import Quota
from service.checks.environment import check_clock, check_quotas, check_redis, check_redis_settings
from service.redis.client import connect
from tests.fakes.checks import lines

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


AGREE = "ok  clock  this machine's clock agrees with BigCommerce's."
SYNC = "Synchronize it with NTP (chrony, systemd-timesyncd)."
SAFE = f"Orders keep their ten seconds: BigCommerce's clock decides. {SYNC}"
REFUSED = f"from five minutes on, the receiver refuses webhooks. {SYNC}"


@pytest.mark.parametrize(
    ("skew", "line"),
    [
        (0.0, AGREE),
        (-1.9, AGREE),
        (2.5, f"warning  clock  this machine's clock is 2.5 s behind BigCommerce's. {SAFE}"),
        (-240.0, f"warning  clock  this machine's clock is 240.0 s ahead of BigCommerce's. {SAFE}"),
        (241.0, f"error  clock  this machine's clock is 241.0 s behind BigCommerce's: {REFUSED}"),
        (-3600.0, f"error  clock  this machine's clock is 3600.0 s ahead of BigCommerce's: {REFUSED}"),
    ],
)
def test_a_clock_skew_is_reported(skew: float, line: str) -> None:
    assert lines([check_clock(skew)]) == [line]


EVICTION = (
    "warning  Redis  maxmemory-policy is allkeys-lru: when memory runs out, Redis deletes waiting orders."
    " Set it to noeviction."
)
NO_PERSISTENCE = "warning  Redis  appendonly is no: waiting orders are lost when Redis stops. Set it to yes."


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"maxmemory-policy": "noeviction", "appendonly": "yes"}, []),
        ({"maxmemory-policy": "allkeys-lru", "appendonly": "yes"}, [EVICTION]),
        ({"maxmemory-policy": "noeviction", "appendonly": "no"}, [NO_PERSISTENCE]),
        ({"maxmemory-policy": "allkeys-lru", "appendonly": "no"}, [EVICTION, NO_PERSISTENCE]),
    ],
)
def test_redis_settings_that_may_lose_orders_are_warnings(settings: dict[str, str], expected: list[str]) -> None:
    assert lines(check_redis_settings(settings)) == expected


async def test_a_redis_that_answers_and_persists_is_ok(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        assert lines(await check_redis(redis)) == ["ok  Redis  answers."]


async def test_settings_are_read_from_redis(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        try:
            await redis.config_set("maxmemory-policy", "allkeys-lru")
            assert lines(await check_redis(redis)) == ["ok  Redis  answers.", EVICTION]
        finally:
            await redis.config_set("maxmemory-policy", "noeviction")


class RefusingRedis(Redis):
    """Answers with these errors."""

    def __init__(
        self, *, ping: exceptions.RedisError | None = None, config: exceptions.RedisError | None = None
    ) -> None:
        self._ping, self._config = ping, config

    async def ping(self, **_: Any) -> bool:
        if self._ping:
            raise self._ping
        return True

    async def config_get(self, *_: Any, **__: Any) -> dict[str, str]:
        raise self._config or AssertionError("not to be asked")

    def __del__(self, *_: Any) -> None:
        """There is no connection."""


@pytest.mark.parametrize(
    "error", [exceptions.NoPermissionError("NOPERM"), exceptions.ResponseError("unknown command 'CONFIG'")]
)
async def test_settings_that_cannot_be_read_are_left_out(error: exceptions.RedisError) -> None:
    assert lines(await check_redis(RefusingRedis(config=error))) == ["ok  Redis  answers."]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            exceptions.ConnectionError("refused"),
            "error  Redis  does not answer (ConnectionError)."
            " Check that it is running and REDIS_URL is correct: the receiver and the workers need it.",
        ),
        (
            exceptions.AuthenticationError("invalid password"),
            "error  Redis  refuses this user or password (invalid password)."
            " Correct REDIS_URL: the receiver and the workers need it.",
        ),
        (
            exceptions.NoPermissionError("NOPERM"),
            "error  Redis  refuses this user or password (NOPERM)."
            " Correct REDIS_URL: the receiver and the workers need it.",
        ),
    ],
)
async def test_a_redis_that_does_not_answer_is_one_finding(error: exceptions.RedisError, line: str) -> None:
    assert lines(await check_redis(RefusingRedis(ping=error))) == [line]
