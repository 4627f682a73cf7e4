"""Lets a receiver watch the alerts while no worker is alive."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from service.configuration import Configuration
from service.orders.state.heartbeats import Heartbeats
from service.redis.client import TRANSIENT_ERRORS, connect

if TYPE_CHECKING:
    from service.notify.notifier import Notifier

POLL_INTERVAL_S = 15.0


async def stand_by(
    redis_url: str, configuration: Callable[[], Configuration], *, every_s: float = POLL_INTERVAL_S
) -> None:
    """Look whether workers are alive; while none is, watch the alerts and deliver messages. Runs until cancelled."""
    notifier: Notifier | None = None
    async with connect(redis_url) as redis:
        while True:
            await asyncio.sleep(every_s)
            if configuration().notify is None:
                continue
            with suppress(*TRANSIENT_ERRORS):
                if not await Heartbeats(redis).running():
                    notifier = notifier or _notifier(redis, configuration)
                    await notifier.run_once()
                elif notifier is not None:
                    await notifier.stop()
                    notifier = None


def _notifier(redis: Redis, configuration: Callable[[], Configuration]) -> "Notifier":
    # Imported here: most receivers never need it.
    from service.notify.notifier import Notifier

    return Notifier(redis, configuration)
