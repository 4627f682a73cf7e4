"""What a wrong clock of this machine, or of Redis, costs."""

import pytest
from arq import ArqRedis

from service.checks.environment.clocks import check_clock, check_redis_clock, redis_clock_finding
from service.checks.findings import Level
from service.redis.client import connect
from tests.fakes.stacks.checks import lines

NTP = "Synchronize the clocks with NTP (chrony, systemd-timesyncd)."
NO_WAIT = "No order waits because of that, but times in the logs of the machines do not match."
LATE = "new orders count as late and wait behind older ones."


@pytest.mark.parametrize(
    ("skew", "upstream_skew", "level", "message"),
    [
        (0.4, None, Level.OK, "it agrees with this machine's."),
        (-1.9, 0.3, Level.OK, "it agrees with this machine's."),
        (4.0, None, Level.WARNING, f"it is 4.0 s ahead of this machine's. {NO_WAIT}"),
        (-9.04, -8.0, Level.WARNING, f"it is 9.0 s behind this machine's. {NO_WAIT}"),
        (4.0, 4.2, Level.WARNING, f"it is 4.0 s ahead of this machine's. {NO_WAIT}"),
        (1.0, -5.0, Level.WARNING, f"it is 6.0 s ahead of BigCommerce's: {LATE}"),
        (12.0, 0.0, Level.WARNING, f"it is 12.0 s ahead of BigCommerce's: {LATE}"),
    ],
)
def test_a_finding_says_what_it_costs(skew: float, upstream_skew: float | None, level: Level, message: str) -> None:
    finding = redis_clock_finding(skew, upstream_skew)
    assert (finding.level, finding.message) == (level, message)
    assert finding.cure == ("" if level is Level.OK else NTP)


async def test_redis_is_asked(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        assert isinstance(redis, ArqRedis)
        assert [finding.level for finding in await check_redis_clock(redis, None)] == [Level.OK]


async def test_a_redis_that_does_not_answer_is_no_finding_of_the_clock() -> None:
    async with connect("redis://127.0.0.1:1/0") as redis:
        assert await check_redis_clock(redis, None) == []


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
