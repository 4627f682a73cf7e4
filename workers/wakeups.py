"""Waking the workers when an order is queued, so that it need not wait for their next look.

Whoever queues an order publishes the queue's name. Nothing depends on it: a message that gets lost, or a Redis whose
user may not listen, costs an order the time to the next look.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from service.logs import Event
from service.redis.client import TRANSIENT_ERRORS
from service.redis.pool import is_stale
from service.redis.requirements import WAKE_CHANNEL

log = structlog.get_logger()

# A connection that is silent for so long is tried with a PING.
LISTEN_S = 5.0
PAUSE_S = 0.5


async def wake(redis: Redis, wakers: Mapping[str, Callable[[], None]]) -> None:
    """Call the waker of each queue that is told of, until cancelled. Redis may go and come back meanwhile."""
    while True:
        try:
            await _listen(redis, wakers)
        except TRANSIENT_ERRORS:
            pass
        except NoPermissionError as error:
            log.warning(Event.WAKEUPS_UNAVAILABLE, error=str(error))
            return
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="waking")
        await asyncio.sleep(PAUSE_S)


async def _listen(redis: Redis, wakers: Mapping[str, Callable[[], None]]) -> None:
    async with redis.pubsub(ignore_subscribe_messages=True) as messages:
        await messages.subscribe(WAKE_CHANNEL)
        for waker in wakers.values():
            waker()  # for what was told while nobody listened
        while True:
            message = await messages.get_message(timeout=LISTEN_S)
            if is_stale(redis, messages.connection):
                return
            told_of = message["data"].decode() if message else ""
            if told_of in wakers:
                wakers[told_of]()
