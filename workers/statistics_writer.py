"""Adds up what finished orders add to statistics, every few seconds: for each order, it would cost more than the order.

Until then the counters of a finished order lie in a list in Redis, where no dying worker loses them. Which rules gave
values is noted in the worker's memory: a share is not changed by a few orders more or less.
"""

import asyncio

import structlog

from service.logs import Event
from service.orders.state.per_store.counters import add_up
from service.redis.client import TRANSIENT_ERRORS
from workers.resources import Resources

log = structlog.get_logger()

_INTERVAL_S = 5.0


async def keep_statistics(resources: Resources) -> None:
    """Write statistics every few seconds, until cancelled. An outage of Redis does not end it."""
    while True:
        try:
            await write_statistics(resources)
        except TRANSIENT_ERRORS:
            pass
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="statistics")
        await asyncio.sleep(_INTERVAL_S)


async def write_statistics(resources: Resources) -> None:
    """Write what was noted since the last call; log rules that begin or cease to find values. Raises Redis's errors."""
    await add_up(resources.redis)
    for change in await resources.rule_values.write():
        if change.begins:
            log.warning(Event.RULE_WITHOUT_VALUES, store=change.store, rule=change.rule, orders=change.orders)
        else:
            log.info(Event.RULE_GIVES_VALUES, store=change.store, rule=change.rule, orders=change.orders)
