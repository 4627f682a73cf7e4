"""Checks this machine's clock, and Redis's, which decides when the jobs of all machines are due."""

import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.checks.findings import Finding, Level
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.clocks import redis_time

# BigCommerce's clock is known to about a second: its answers have whole seconds.
MIN_SKEW_S = 2.0

SKEW_WARNING_S = 2.0
# The receiver refuses signatures that are five minutes off; delivery takes some of that.
SKEW_ERROR_S = 240.0

_SUBJECT = "clock of Redis"
_CURE = "Synchronize the clocks with NTP (chrony, systemd-timesyncd)."


def check_clock(skew: float) -> Finding:
    """Check the clock. ``skew`` is how many seconds BigCommerce's clock is ahead of this machine's."""
    off = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} BigCommerce's"
    cure = "Synchronize it with NTP (chrony, systemd-timesyncd)."
    if abs(skew) > SKEW_ERROR_S:
        message = f"this machine's clock is {off}: from five minutes on, the receiver refuses webhooks."
        return Finding(Level.ERROR, None, "clock", message, cure)
    if abs(skew) > SKEW_WARNING_S:
        message = f"this machine's clock is {off}. Orders keep their ten seconds: BigCommerce's clock decides."
        return Finding(Level.WARNING, None, "clock", message, cure)
    return Finding(Level.OK, None, "clock", "this machine's clock agrees with BigCommerce's.")


async def check_redis_clock(redis: Redis, upstream_skew: float | None) -> list[Finding]:
    """Compare Redis's clock with this machine's and BigCommerce's; no finding when Redis does not answer.

    ``upstream_skew`` is how many seconds BigCommerce's clock is ahead of this machine's; None when it is not known.
    """
    asked_at = time.time()
    try:
        now = await redis_time(redis)
    except RedisError:
        return []  # check_redis reports it
    return [redis_clock_finding(now - (asked_at + time.time()) / 2, upstream_skew)]


def redis_clock_finding(skew: float, upstream_skew: float | None) -> Finding:
    """Say what a wrong clock of Redis costs. The skews are how far Redis's and BigCommerce's are ahead of ours (s)."""
    ahead = skew - upstream_skew if upstream_skew is not None else 0.0
    if ahead > WINDOW_LENGTH_S / 2:  # the rest of the window is for the webhook's way
        message = f"it is {ahead:.1f} s ahead of BigCommerce's: new orders count as late and wait behind older ones."
        return Finding(Level.WARNING, None, _SUBJECT, message, _CURE)
    if abs(skew) > MIN_SKEW_S:
        off = f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
        message = f"it is {off}. No order waits because of that, but times in the logs of the machines do not match."
        return Finding(Level.WARNING, None, _SUBJECT, message, _CURE)
    return Finding(Level.OK, None, _SUBJECT, "it agrees with this machine's.")
