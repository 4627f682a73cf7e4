"""Locks that let only one command of a kind run for a store: a backfill, a rehearsal."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis

from service.errors import EnrichError
from service.process.task_cancellation import cancel_and_wait
from service.redis.client import TRANSIENT_ERRORS

LOCK_TTL_S = 30
"""The lock of a killed command expires after this."""

RENEW_INTERVAL_S = 5.0
"""Several renewals may fail before the lock expires."""


class AlreadyRunning(EnrichError):
    """Another command of the kind is running for the store."""


@asynccontextmanager
async def single_run(redis: Redis, key: str, *, what: str) -> AsyncIterator[None]:
    """Hold the lock at ``key``, and renew it. Raises AlreadyRunning, which begins with ``what``; other errors are
    Redis's own.

    A second command may start if Redis loses the lock, or if this process hangs until the lock expires. What is locked
    must be harmless then: a backfill queues an order only once.
    """
    owner = f"{socket.gethostname()}, process {os.getpid()}"
    if not await redis.set(key, owner, nx=True, ex=LOCK_TTL_S):
        other = await redis.get(key)
        raise AlreadyRunning(
            f"{what}: is already running ({other.decode() if other else 'it has just ended'}). "
            f"Stop it, or wait until it ends. If it was killed, try again after {LOCK_TTL_S} seconds."
        )
    renewing = asyncio.create_task(_renew(redis, key, owner))
    try:
        yield
    finally:
        await cancel_and_wait([renewing])
        with suppress(*TRANSIENT_ERRORS):
            if await redis.get(key) == owner.encode():
                await redis.delete(key)


async def _renew(redis: Redis, key: str, owner: str) -> None:
    while True:
        await asyncio.sleep(RENEW_INTERVAL_S)
        with suppress(*TRANSIENT_ERRORS):
            await redis.set(key, owner, ex=LOCK_TTL_S)
