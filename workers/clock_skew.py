"""Keeps a worker's estimate of Redis's clock, and logs when this machine's clock is wrong."""

import asyncio
import time

import structlog

from service.logs import Event
from service.redis.client import TRANSIENT_ERRORS
from workers.resources import Resources

log = structlog.get_logger()

# Clocks drift by less than a millisecond in this time. It limits for how long a worker has the old time after Redis's
# clock was set, or after a failover to a machine with another clock.
SYNC_INTERVAL_S = 2.0

# Smaller differences are not logged: BigCommerce tells its time in whole seconds.
MIN_SKEW_S = 2.0


class SkewLog:
    """Logs the difference between this machine's clock and others, at first and when it changes.

    No order waits because of it. But the times in this machine's log are wrong, and a receiver on this machine
    refuses all webhooks once its clock is five minutes wrong.
    """

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}

    def update(self, against: str, skew_s: float) -> None:
        """Note that the clock of ``against`` is ahead of this machine's by ``skew_s`` seconds."""
        if abs(skew_s - self._logged.get(against, 0.0)) < MIN_SKEW_S:
            return
        self._logged[against] = skew_s
        report = log.warning if abs(skew_s) >= MIN_SKEW_S else log.info
        report(Event.CLOCK_SKEW, against=against, skew_ms=round(skew_s * 1000))


async def keep_time(resources: Resources) -> None:
    """Compare the clocks every few seconds, until cancelled. An outage of Redis does not end it."""
    skews, upstream, clock = SkewLog(), resources.transport.upstream_clock, resources.clock
    while True:
        try:
            await clock.sync()
            skews.update("redis", clock() - time.time())
            if upstream.is_known:
                skews.update("bigcommerce", upstream.now() - time.time())
        except TRANSIENT_ERRORS:
            pass
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="clock")
        await asyncio.sleep(SYNC_INTERVAL_S)
