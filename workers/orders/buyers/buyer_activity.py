"""Notes who orders, for stores that write as their buyers: for them, tokens are fetched ahead."""

from contextlib import suppress

from service.configuration import ConfiguredStore
from service.orders.state.keys import buyers_seeded_key
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.storefront.active_buyers import ACTIVE_S, ActiveBuyer, ActiveBuyers
from service.redis.client import TRANSIENT_ERRORS
from workers.resources import Resources

SEED_ORDERS = 5000
"""So many of the ledger's last orders say who was active before the store began to write as its buyers."""


async def note_active_buyer(resources: Resources, entry: Entry, configured: ConfiguredStore | None) -> None:
    """Note the buyer of a finished order. An error of Redis is ignored: the buyer's next order does it."""
    if configured is not None and configured.store.creates_as_buyer:
        with suppress(*TRANSIENT_ERRORS):
            await _note(resources, entry, now=resources.transport.upstream_clock.now())


async def seed_active_buyers(resources: Resources, store: str, *, now: float) -> None:
    """Note the buyers of the orders that the ledger has, once for a store. Errors are Redis's own."""
    if not await resources.redis.set(buyers_seeded_key(store), "1", ex=ACTIVE_S, nx=True):
        return
    seen = 0
    async for entry in resources.ledger.entries(store, since=now - ACTIVE_S):
        await _note(resources, entry, now=now)
        seen += 1
        if seen == SEED_ORDERS:
            return


async def _note(resources: Resources, entry: Entry, *, now: float) -> None:
    """Note the order's buyer, if a Company's record of it is there and it was placed in the last 30 days."""
    placed_at = entry.times.get(Stage.CREATED)
    has_record = entry.status.is_written or entry.status is Status.UNCHANGED
    if not entry.customer_id or not has_record or placed_at is None or now - placed_at > ACTIVE_S:
        return
    buyer = ActiveBuyer(entry.customer_id, entry.channel_id)
    await ActiveBuyers(resources.redis).note_order(entry.store, buyer, at=min(placed_at, now))
