"""Watches the alerts and delivers the messages, again and again: in each worker, of which one at a time does it.

Without a worker, the receivers do it (``standby``): otherwise nobody would tell that no worker is running.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import httpx
import structlog
from redis.asyncio import Redis

from service.configuration import Configuration
from service.logs import Event
from service.notify.channels.channel import SEND_TIMEOUT_S
from service.notify.delivery import Delivery
from service.notify.persistence import Persistence
from service.notify.readings import ReadingsReader
from service.notify.watcher import Watcher
from service.orders.state.clocks import Clock, redis_time
from service.redis.client import TRANSIENT_ERRORS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timing:
    """How often, in seconds, alerts are looked at and messages delivered, and when the leases of a dead worker end."""

    watch_s: float = 15.0
    deliver_s: float = 2.0
    watch_lease_s: float = 40.0
    send_lease_s: float = 2 * SEND_TIMEOUT_S


class Notifier:
    """Watches and delivers for the stores of ``configuration``. ``count`` gets each result by channel kind.

    The two loops run until they are cancelled; an error is left to the next run, and logged unless it is a transient
    one of Redis. Times are Redis's, unless a ``clock`` is given.
    """

    def __init__(
        self,
        redis: Redis,
        configuration: Callable[[], Configuration],
        *,
        count: Callable[[str, str], None] = lambda kind, result: None,
        timing: Timing | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._redis = redis
        self._configuration = configuration
        self._timing = timing or Timing()
        self._clock = clock
        self._queued = asyncio.Event()
        persistence, owner = Persistence(redis), f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._delivery = Delivery(
            persistence, _transport, owner=owner, lease_s=self._timing.send_lease_s, now=self._now, count=count
        )
        reader, lease_s = ReadingsReader(redis, clock=clock), self._timing.watch_lease_s
        self._watcher = Watcher(persistence, reader, owner=owner, lease_s=lease_s, drop=self._delivery.drop)

    async def watch(self) -> None:
        """Look at the alerts again and again."""
        try:
            while True:
                await _guarded(self.watch_once)
                await asyncio.sleep(self._timing.watch_s)
        finally:
            await self.stop()

    async def deliver(self) -> None:
        """Deliver messages as they come."""
        while True:
            await _guarded(self.deliver_once)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.deliver_s):
                    await self._queued.wait()
            self._queued.clear()

    async def run_once(self) -> None:
        """Look at the alerts once, and deliver what is due."""
        await _guarded(self.watch_once)
        await _guarded(self.deliver_once)

    async def stop(self) -> None:
        """Let another worker watch at once."""
        await _guarded(self._watcher.stop)

    async def watch_once(self) -> bool:
        """Look at the alerts once, and queue messages about what began or ended; False if another worker does it."""
        queued = await self._watcher.watch(self._configuration())
        if queued:
            self._queued.set()
        return queued is not None

    async def deliver_once(self) -> None:
        """Deliver the messages that are due."""
        notify = self._configuration().notify
        if notify is not None:
            await self._delivery.deliver(notify)

    async def _now(self) -> float:
        return self._clock() if self._clock else await redis_time(self._redis)


async def _guarded(run: Callable[[], Awaitable[object]]) -> None:
    """Run once. Whatever goes wrong with messages must not end the process, which has orders to enrich."""
    try:
        await run()
    except TRANSIENT_ERRORS:
        pass
    except Exception:
        log.exception(Event.INTERNAL_ERROR, place="notifications")


def _transport() -> httpx.AsyncBaseTransport:
    # Imported here: a receiver makes no calls but these, and aiohttp takes 8 MB.
    from service.bigcommerce.connection_pool import http_client

    return http_client()
