"""Wake-up notifications (Redis pub/sub): workers poll at once when an order is queued.

Queueing an order publishes the queue's name. Nothing depends on it: if a message is lost, or the Redis user may not
subscribe, the order waits until the next poll.
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

# After so long without a message the connection is checked with a PING.
PING_AFTER_S = 5.0
RECONNECT_DELAY_S = 0.5


async def listen_for_wakeups(redis: Redis, callbacks: Mapping[str, Callable[[], None]]) -> None:
    """Call a queue's callback whenever an order is queued there, until cancelled. Reconnects to Redis."""
    while True:
        try:
            await _listen(redis, callbacks)
        except TRANSIENT_ERRORS:
            pass
        except NoPermissionError as error:
            log.warning(Event.WAKEUPS_UNAVAILABLE, error=str(error))
            return
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="wakeups")
        await asyncio.sleep(RECONNECT_DELAY_S)


async def _listen(redis: Redis, callbacks: Mapping[str, Callable[[], None]]) -> None:
    async with redis.pubsub(ignore_subscribe_messages=True) as messages:
        await messages.subscribe(WAKE_CHANNEL)
        for callback in callbacks.values():
            callback()  # messages may have been missed before
        while True:
            message = await messages.get_message(timeout=PING_AFTER_S)
            if is_stale(redis, messages.connection):
                return
            queue = message["data"].decode() if message else ""
            if queue in callbacks:
                callbacks[queue]()
