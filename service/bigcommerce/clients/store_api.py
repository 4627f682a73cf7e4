"""The clients of one store's APIs, for one unit of work."""

import asyncio
import random
from collections.abc import Callable
from functools import cached_property

from pydantic import SecretStr

from service.bigcommerce.clients.b2b_api import B2B
from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.clients.quotes_api import Quotes
from service.bigcommerce.clients.storefront_api import Storefront
from service.bigcommerce.transport import Answer, Call, Caller
from service.errors import WaitUntil

# A call of the lowest priority gets its turn within one quota window, unless other calls use it all.
MAX_WAIT_S = 30.0
MAX_WAITS = 5


class StoreApi(Caller):
    """The clients of one store's APIs, for one unit of work.

    ``calls`` counts the requests sent. ``timeout_s`` is the timeout of each: by default short, for an order in its
    window. ``priority`` decides which calls are sent when the store's quota runs low. Both can be changed.
    """

    @cached_property
    def core(self) -> Core:
        """The core API."""
        return Core(self)

    @cached_property
    def b2b(self) -> B2B:
        """The B2B Edition management API."""
        return B2B(self)

    @cached_property
    def quotes(self) -> Quotes:
        """The quotes of the B2B Edition management API."""
        return Quotes(self)

    @cached_property
    def storefront(self) -> Storefront:
        """The storefront API: what a buyer sees."""
        return Storefront(self)


OnWait = Callable[[str, float], None]
"""Called before a wait for the quota, with the operation and the seconds."""


class QuotaWaitingApi(StoreApi):
    """A StoreApi that waits for the store's quota, so that work of several calls need not restart for the last one.

    ``max_wait_s`` is the longest wait before one call, ``max_waits`` how often it waits: its turn may go to another
    caller of the same priority. ``on_wait`` is called before each wait. All can be changed.
    """

    max_wait_s = MAX_WAIT_S
    max_waits = MAX_WAITS
    on_wait: OnWait | None = None

    async def call_with(self, token: SecretStr, call: Call, *, timeout_s: float | None = None) -> Answer:
        """Make a call, if necessary after a wait. Raises WaitUntil when the wait would be too long."""
        for _ in range(self.max_waits):
            try:
                return await super().call_with(token, call, timeout_s=timeout_s)
            except WaitUntil as wait:
                if wait.seconds > self.max_wait_s:
                    raise
                if self.on_wait:
                    self.on_wait(call.operation, wait.seconds)
                await asyncio.sleep(wait.seconds + random.uniform(0.0, 0.1))  # noqa: S311 - jitter, not a secret
        return await super().call_with(token, call, timeout_s=timeout_s)
