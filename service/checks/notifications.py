"""Checks whether messages of ``[notify]`` get to their channels."""

from collections import Counter

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.checks.findings import Finding, Level, counted
from service.notify.persistence import Persistence


async def check_notifications(redis: Redis) -> list[Finding]:
    """A warning for each channel whose messages wait after a failure. No finding where Redis does not answer."""
    persistence = Persistence(redis)
    try:
        waiting = Counter(queued.channel for queued in await persistence.queue())
        pauses = {channel: await persistence.pause(channel) for channel in waiting}
    except RedisError:
        return []  # check_redis reports it
    return [
        Finding(
            Level.WARNING,
            None,
            f"[notify] {channel}",
            f"{counted(waiting[channel], 'message')} could not be delivered yet: {pause.trouble.removesuffix('.')}.",
            "The workers try again. `enrich notify test` tries the channel now.",
        )
        for channel, pause in pauses.items()
        if pause is not None
    ]
