"""What a receiver reports to Redis every few seconds: that it is alive, and the webhooks it accepted and refused."""

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import structlog
from redis.exceptions import RedisError

from service.logs import Event
from service.orders.state.per_store.webhook_counts import NO_STORE, WRONG_PATH
from service.orders.state.queue import Queue

log = structlog.get_logger()

REPORT_INTERVAL_S = 5.0

WRONG_PATH_LOG_INTERVAL_S = 60.0
"""Anybody can send requests to any path: they are logged once a minute, with their number."""


class Reporter:
    """Counts webhooks, and reports the counts of this receiver. ``clock`` gives Unix seconds."""

    def __init__(self, queue: Queue, clock: Callable[[], float] = time.time) -> None:
        self._queue = queue
        self._clock = clock
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._counts: Counter[tuple[str, str]] = Counter()
        self._wrong_paths = 0
        self._wrong_path_logged_at: float | None = None

    def count(self, reason: str, store: str = NO_STORE) -> None:
        """Count a webhook: accepted, or refused for this reason. ``store`` must be a configured one."""
        self._counts[store, reason] += 1

    def count_wrong_path(self, path: str) -> None:
        """Count a request to a path that only looks like the receiver's, and log it, at most once a minute."""
        self.count(WRONG_PATH)
        self._wrong_paths += 1
        now, last = self._clock(), self._wrong_path_logged_at
        if last is None or not 0 <= now - last < WRONG_PATH_LOG_INTERVAL_S:
            log.warning(Event.WEBHOOK_WRONG_PATH, path=path, requests=self._wrong_paths)
            self._wrong_paths, self._wrong_path_logged_at = 0, now

    async def run(self) -> None:
        """Report again and again. What Redis does not take is reported with the next counts."""
        try:
            while True:
                await self._report()
                await asyncio.sleep(REPORT_INTERVAL_S)
        finally:
            with suppress(RedisError):
                await self._queue.remove_receiver(self._name)

    async def _report(self) -> None:
        counts, self._counts = self._counts, Counter()
        try:
            await self._queue.report_receiver(self._name, counts, now=self._clock())
        except RedisError:
            self._counts.update(counts)
