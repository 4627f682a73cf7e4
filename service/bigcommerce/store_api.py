"""Both APIs of one store, for one piece of work."""

import asyncio
import random
from functools import cached_property

from service.bigcommerce.b2b import B2B
from service.bigcommerce.budget import Priority
from service.bigcommerce.core import Core
from service.bigcommerce.storefront import Storefront
from service.bigcommerce.transport import TIMEOUT_S, Account, Answer, Call, Caller, Transport
from service.errors import WaitUntil

# A call of the lowest class gets its turn within a window of the quota, if others leave anything.
LONGEST_WAIT_S = 30.0
MOST_WAITS = 5


class StoreApi(Caller):
    """Both APIs of one store, for one piece of work.

    ``calls`` counts the requests that were made. ``timeout_s`` is how long each may take: short by default, as for
    an order in its window; whoever has more time may set it. ``priority`` decides which calls go out when the store's
    quota runs low; it may be set too.
    """

    def __init__(
        self,
        transport: Transport,
        account: Account,
        *,
        timeout_s: float = TIMEOUT_S,
        priority: Priority = Priority.CREATE,
    ) -> None:
        super().__init__(transport, account, timeout_s=timeout_s, priority=priority)
        self.core = Core(self)
        self.b2b = B2B(self)

    @cached_property
    def storefront(self) -> Storefront:
        """What the buyer sees."""
        return Storefront(self)


class QuotaWaitingApi(StoreApi):
    """Waits for the store's quota: work of several calls must not begin anew each time that it lacks the last.

    ``longest_wait_s`` may be set by whoever has the time for a longer one.
    """

    longest_wait_s = LONGEST_WAIT_S

    async def call(self, call: Call, *, timeout_s: float | None = None) -> Answer:
        """Make a call, if need be after a wait. Raises WaitUntil when the quota is not to be had for long."""
        for _ in range(MOST_WAITS):
            try:
                return await super().call(call, timeout_s=timeout_s)
            except WaitUntil as wait:
                if wait.seconds > self.longest_wait_s:
                    raise
                await asyncio.sleep(wait.seconds + random.uniform(0.0, 0.1))  # noqa: S311 - jitter, not a secret
        return await super().call(call, timeout_s=timeout_s)
