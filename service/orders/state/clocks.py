"""One clock for all machines: Redis's.

The clocks of the receiver, the workers and Redis may differ, and an order must not wait because of that. So the
scripts read Redis's TIME for every due time, lease and age, and callers pass only relative amounts (a delay, an age).
They also stamp the times that different machines write and subtract: received, queued, picked up, finished. What a
worker stamps between those it takes from ``RedisClock``, its estimate of the same clock. So no age is wrong or negative
because two machines' clocks differ or one jumps.
"""

import time
from collections.abc import Callable

from redis.asyncio import Redis

Clock = Callable[[], float]
"""Gives the time in seconds since the epoch. Tests pass one of their own instead of Redis's."""


_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time() -> float:
    """Seconds since this machine started: setting its clock does not change them, and a suspended machine goes on."""
    return time.clock_gettime(_BOOT_CLOCK)


def steady_clock() -> Clock:
    """This machine's clock as it is now; it goes on from here evenly, also when the machine's clock is set."""
    offset = time.time() - boot_time()
    return lambda: boot_time() + offset


class RedisClock:
    """Estimates Redis's clock without asking each time, to within half a round trip of ``sync``.

    Before the first ``sync`` it is this machine's clock. It does not follow when that is set.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._offset = time.time() - boot_time()
        self._is_synced = False

    def __call__(self) -> float:
        """Redis's time in seconds since the epoch."""
        return boot_time() + self._offset

    async def sync(self) -> None:
        """Compare with Redis's clock. Errors are Redis's own."""
        sent_at = boot_time()
        now = await redis_time(self._redis)
        answered_at = boot_time()
        measured, doubt = now - (sent_at + answered_at) / 2, (answered_at - sent_at) / 2
        # A slow answer says little: it moves the estimate only as far as it contradicts it.
        is_known, self._is_synced = self._is_synced, True
        self._offset = min(max(self._offset, measured - doubt), measured + doubt) if is_known else measured


async def redis_time(redis: Redis) -> float:
    """Redis's time in seconds since the epoch. Errors are Redis's own."""
    seconds, microseconds = await redis.time()
    return float(seconds + microseconds / 1e6)


def script_time(clock: Clock | None) -> int | None:
    """The time (ms) that a script takes for Redis's: a test's; None for Redis's own."""
    return None if clock is None else round(clock() * 1000)
