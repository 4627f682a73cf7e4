"""Throttles order reads while a store's core quota is short."""

import asyncio

from service.bigcommerce import Account, Priority, Transport
from service.bigcommerce.quota_headers import Quota
from service.bigcommerce.transport import Answer, Call, Caller
from service.errors import OutOfBudget, WaitUntil

SHORT_BELOW = 1 / 3
"""The quota is short when less than this share of it is left."""

MAX_PAUSE_S = 2.0
"""An order in its window cannot wait much longer."""

_WINDOW_S = 30.0
"""The core API's quota window, used when an answer does not say when it resets."""


class Throttle:
    """Spreads the remaining quota over the time until its reset, from what each answer says of it.

    Times are the event loop's.
    """

    def __init__(self) -> None:
        self._short_until = 0.0
        self._per_call_s = 0.0
        self._next_at = 0.0

    @property
    def is_short(self) -> bool:
        """Whether the quota was short in the last answer, and has not reset since."""
        return _now() < self._short_until

    @property
    def pause_s(self) -> float:
        """Seconds until the next read may start; 0 while the quota is not short."""
        return max(0.0, self._next_at - _now()) if self.is_short else 0.0

    def learn(self, quota: Quota | None) -> None:
        """Take over the quota that an answer reports. An answer without it changes nothing."""
        if quota is None or quota.limit is None or quota.left is None:
            return
        if quota.left >= quota.limit * SHORT_BELOW:
            self._short_until = 0.0
        else:
            self._set_short(quota.left, quota.resets_in_s if quota.resets_in_s is not None else _WINDOW_S)

    def learn_spent(self, resets_in_s: float) -> None:
        """Note that the quota is spent."""
        self._set_short(0, resets_in_s)

    def spend(self, calls: int, started_at: float) -> None:
        """Note calls that began at ``started_at``: the next read waits until their share of the time is over."""
        self._next_at = started_at + min(MAX_PAUSE_S, calls * self._per_call_s)

    def _set_short(self, left: int, resets_in_s: float) -> None:
        self._short_until = _now() + resets_in_s
        self._per_call_s = resets_in_s / max(1, left)


class ThrottledCaller(Caller):
    """A caller that reports the quota of each answer to a throttle."""

    def __init__(
        self, throttle: Throttle, transport: Transport, account: Account, *, timeout_s: float, priority: Priority
    ) -> None:
        super().__init__(transport, account, timeout_s=timeout_s, priority=priority)
        self._throttle = throttle

    async def call(self, call: Call, *, timeout_s: float | None = None) -> Answer:
        """Make the call, and report how much of the quota is left. Errors are those of any call."""
        try:
            answer = await super().call(call, timeout_s=timeout_s)
        except WaitUntil as wait:
            # A less urgent call without budget is no shortage: the budget keeps a reserve for more urgent ones.
            if self.priority is Priority.CREATE or not isinstance(wait, OutOfBudget):
                self._throttle.learn_spent(wait.seconds)
            raise
        self._throttle.learn(answer.quota)
        return answer


def _now() -> float:
    return asyncio.get_running_loop().time()
