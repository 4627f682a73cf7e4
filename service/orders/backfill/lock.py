"""One backfill at a time for a store: two would each fill the queue."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis

from service.errors import EnrichError
from service.orders.backfill.retry import end
from service.orders.state.keys import backfill_lock_key
from service.redis.client import TRANSIENT_ERRORS

LOCK_S = 30
"""A backfill that was killed is forgotten after this."""

RENEW_EVERY_S = 5.0


class AlreadyRunning(EnrichError):
    """Another backfill of the store is running."""


@asynccontextmanager
async def single_backfill(redis: Redis, store: str) -> AsyncIterator[None]:
    """Run with no other backfill of the store beside it. Raises AlreadyRunning; other errors are Redis's own.

    Should Redis lose the lock, or this process hang for longer than it holds, a second one may begin: it does no
    harm, as an order is queued once.
    """
    key, me = backfill_lock_key(store), f"{socket.gethostname()}, process {os.getpid()}"
    if not await redis.set(key, me, nx=True, ex=LOCK_S):
        who = await redis.get(key)
        raise AlreadyRunning(
            f"backfill of {store}: is running already ({who.decode() if who else 'it has just ended'}). "
            f"Stop it, or wait for its end; one that was killed is forgotten after {LOCK_S} seconds."
        )
    renewing = asyncio.create_task(_renew(redis, key, me))
    try:
        yield
    finally:
        await end(renewing)
        with suppress(*TRANSIENT_ERRORS):
            if await redis.get(key) == me.encode():
                await redis.delete(key)


async def _renew(redis: Redis, key: str, me: str) -> None:
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        with suppress(*TRANSIENT_ERRORS):
            await redis.set(key, me, ex=LOCK_S)
