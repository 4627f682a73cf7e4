"""The job of a store that attempts its waiting orders again: those that no webhook told of."""

from typing import Any

import structlog

from workers.backoff import requeue
from workers.resources import Resources

BATCH = 250
"""So many orders are woken at once: one list call reads as many. (``service.orders.document.batch_loader``)"""


class WaitingOrdersWaker:
    """Wakes the orders whose next attempt is due. The job stays until no order of the store waits."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def wake(self, ctx: dict[str, Any], store: str) -> None:
        """Wake one batch; the job comes back when the next order is due."""
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                await self._resources.waiting.wake_due(store, most=BATCH)
            except Exception as error:
                raise requeue(ctx, error) from error
