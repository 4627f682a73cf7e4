"""Calls for one order: their priority in the quota, and quick retries until the create window closes.

After the window nothing is urgent. The first error is raised then, and the order goes to the recovery queue, which
retries it for 48 hours.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.bigcommerce import Priority, StoreApi
from service.bigcommerce.clock import UpstreamClock
from service.errors import TryAgain, Unsure, WaitUntil
from service.orders.create_window import Window
from service.orders.state.order_entry import Entry, Stage
from service.orders.state.queue import BACKFILL
from service.orders.state.worklists.waiting_orders import POLL
from service.transient_retry import call_with_retry

T = TypeVar("T")

# An attempt does not wait longer than this for the quota: the worker is needed for other orders.
MAX_QUOTA_WAIT_S = 0.25

# In ten seconds these allow about a dozen tries.
INITIAL_BACKOFF_S = 0.05
MAX_BACKOFF_S = 1.0
JITTER_S = 0.1


class WindowRetry:
    """Makes the calls of one attempt at an order."""

    def __init__(
        self, entry: Entry, api: StoreApi, upstream_clock: UpstreamClock, ensure_lease: Callable[[], Awaitable[None]]
    ) -> None:
        """``ensure_lease`` is awaited before each call. It raises when another worker has the order now."""
        self.window = _expected_window(entry)
        self._entry = entry
        self._api = api
        self._upstream = upstream_clock
        self._ensure_lease = ensure_lease
        self._backoffs = 0

    def is_open(self) -> bool:
        """Whether the create window is open, by BigCommerce's clock."""
        return self.window.is_open(self._upstream.now())

    def window_left(self) -> float:
        """Seconds until the window closes, by BigCommerce's clock; never negative."""
        return self.window.left(self._upstream.now())

    def can_create(self) -> bool:
        """Whether Create an Order can still succeed: the window is open, and no record is known to exist."""
        return self.is_open() and not self._entry.exists

    async def call(
        self, call: Callable[[], Awaitable[T]], *, transient: tuple[type[Exception], ...] = (TryAgain,)
    ) -> T:
        """Make a call; retry ``transient`` errors while the window is open. Raises the last error."""

        def retry_on(error: Exception) -> bool | float:
            left = self.window.left(self._upstream.now())
            if isinstance(error, WaitUntil):
                return error.seconds if error.seconds < min(left, MAX_QUOTA_WAIT_S) else False
            # A write that may have succeeded is read back first, not sent again.
            return isinstance(error, transient) and not isinstance(error, Unsure) and left > 0

        async def leased() -> T:
            await self._ensure_lease()
            self._api.priority = self.priority
            return await call()

        return await call_with_retry(
            leased, on=retry_on, wait_initial=INITIAL_BACKOFF_S, wait_max=MAX_BACKOFF_S, wait_jitter=JITTER_S
        )

    async def back_off(self) -> None:
        """Sleep with exponential backoff, but not beyond the end of the window."""
        self._backoffs += 1
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        pause = min(MAX_BACKOFF_S, INITIAL_BACKOFF_S * 2**self._backoffs) * jitter
        await asyncio.sleep(min(pause, self.window.left(self._upstream.now())))

    @property
    def priority(self) -> Priority:
        """The class of the next call. Orders that can still be created go first; everything else has time."""
        if self.can_create():
            return Priority.CREATE
        is_poll = self._entry.woken_by == POLL and not self._entry.composed
        return Priority.BACKGROUND if is_poll or self._entry.source == BACKFILL else Priority.RECOVER


def _expected_window(entry: Entry) -> Window:
    """The order's window. Before the order was read: as the webhook's own time or its arrival suggests."""
    if entry.window_opened_at is not None:
        return Window(entry.window_opened_at)
    for stage in (Stage.CREATED, Stage.WEBHOOK_SENT, Stage.RECEIVED):
        if stage in entry.times:
            return Window(entry.times[stage])
    return Window(0.0)
