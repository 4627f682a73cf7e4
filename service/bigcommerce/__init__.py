"""BigCommerce's two APIs, and nothing about this product.

``StoreApi`` is the way in: one for each piece of work, cheap to make, over one ``Transport`` for the process.
"""

from functools import cached_property

from service.bigcommerce.apis import Api
from service.bigcommerce.b2b import B2B
from service.bigcommerce.budget import Budget, BudgetState, Priority
from service.bigcommerce.core import Core
from service.bigcommerce.storefront import Storefront
from service.bigcommerce.transport import TIMEOUT_S, Account, Caller, Transport, http_client

__all__ = ["Account", "Api", "Budget", "BudgetState", "Priority", "StoreApi", "Transport", "http_client"]


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
