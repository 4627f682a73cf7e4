"""Notes who orders, for stores that write as their buyers: for them, tokens are fetched ahead."""

from contextlib import suppress

from service.configuration import ConfiguredStore
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.storefront.active_buyers import ACTIVE_S, ActiveBuyer, ActiveBuyers
from service.redis.client import TRANSIENT_ERRORS
from workers.resources import Resources


async def note_active_buyer(resources: Resources, entry: Entry, configured: ConfiguredStore | None) -> None:
    """Note the buyer of a finished order, if a Company's record of it is there and the order is of the last 30 days.

    An error of Redis is ignored: the buyer's next order does it.
    """
    if configured is None or not configured.store.creates_as_buyer or not entry.customer_id:
        return
    placed_at, now = entry.times.get(Stage.CREATED), resources.transport.upstream_clock.now()
    has_record = entry.status.is_written or entry.status is Status.UNCHANGED
    if not has_record or placed_at is None or now - placed_at > ACTIVE_S:
        return
    buyer = ActiveBuyer(entry.customer_id, entry.channel_id)
    with suppress(*TRANSIENT_ERRORS):
        await ActiveBuyers(resources.redis).note_order(entry.store, buyer, at=min(placed_at, now))
