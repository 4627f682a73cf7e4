"""How fast the core quota of a store lets its orders be read."""

import asyncio

from service.bigcommerce import Account, Priority, Transport
from service.bigcommerce.quota import Quota
from service.bigcommerce.transport import Answer, Call, Caller
from service.errors import OutOfBudget, WaitUntil

PLENTY = 1 / 3
"""With less than this share of the quota left, calls are saved."""

LONGEST_PAUSE_S = 2.0
"""An order in its window cannot wait for much more."""

_RESET_S = 30.0
"""The core API's window, where an answer does not say when it ends."""


class Throttle:
    """Learns from each answer; while the quota is short, spreads what is left of it over the time to its reset.

    Times are the event loop's.
    """

    def __init__(self) -> None:
        self._short_until = 0.0
        self._per_call_s = 0.0
        self._next_at = 0.0

    @property
    def is_short(self) -> bool:
        """Whether the store's quota was told to be short, and has not reset since."""
        return _now() < self._short_until

    @property
    def pause_s(self) -> float:
        """Seconds until orders may be read again; 0 as long as there is plenty."""
        return max(0.0, self._next_at - _now()) if self.is_short else 0.0

    def learn(self, quota: Quota | None) -> None:
        """What an answer said of the quota. One that says nothing teaches nothing."""
        if quota is None or quota.limit is None or quota.left is None:
            return
        if quota.left >= quota.limit * PLENTY:
            self._short_until = 0.0
        else:
            self._save(quota.left, quota.resets_in_s if quota.resets_in_s is not None else _RESET_S)

    def learn_spent(self, seconds: float) -> None:
        """The quota is spent, and resets so many seconds from now."""
        self._save(0, seconds)

    def spend(self, calls: int, started_at: float) -> None:
        """So many calls were made since then: the next may follow when their share of the time has passed."""
        self._next_at = started_at + min(LONGEST_PAUSE_S, calls * self._per_call_s)

    def _save(self, left: int, resets_in_s: float) -> None:
        self._short_until = _now() + resets_in_s
        self._per_call_s = resets_in_s / max(1, left)


class ThrottledCaller(Caller):
    """A caller whose answers set the pace."""

    def __init__(
        self, pace: Throttle, transport: Transport, account: Account, *, timeout_s: float, priority: Priority
    ) -> None:
        super().__init__(transport, account, timeout_s=timeout_s, priority=priority)
        self._pace = pace

    async def call(self, call: Call, *, timeout_s: float | None = None) -> Answer:
        """Make the call, and learn from its answer how much of the quota is left. Errors are those of any call."""
        try:
            answer = await super().call(call, timeout_s=timeout_s)
        except WaitUntil as wait:
            # That nothing is left for less urgent calls is how the budget works, and no shortage.
            if self.priority is Priority.CREATE or not isinstance(wait, OutOfBudget):
                self._pace.learn_spent(wait.seconds)
            raise
        self._pace.learn(answer.quota)
        return answer


def _now() -> float:
    return asyncio.get_running_loop().time()
