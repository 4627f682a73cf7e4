"""An order for which nothing may be written now: it is held with the values that would be sent.

The stores file says so (``writes = "off"``), or somebody has paused the store. ``service.orders.state.worklists.
held_orders`` lets the orders go on, in recovery.
"""

from service.orders.state.order_entry import Entry
from workers.backoff import retry_redis
from workers.orders.order_log import log_finished
from workers.orders.result_types import AwaitingWrites
from workers.resources import Resources


async def hold(resources: Resources, entry: Entry, awaiting: AwaitingWrites) -> bool:
    """Hold the order, with its log line; False when it has just changed, or may be written: begin a new attempt."""
    entry.trouble = None
    if entry.sent is None:
        entry.composed = False  # it is read again when it goes on: a pause may last
    if not await retry_redis(lambda: resources.transitions.hold(entry, writes_off=awaiting.writes_off)):
        return False
    log_finished(entry)
    return True
