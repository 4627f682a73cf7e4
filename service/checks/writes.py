"""Whether anything is written for a store: the stores file may forbid it, and a person may have paused it."""

from collections.abc import Iterator

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.checks.findings import Finding, Level, counted
from service.orders.state.per_store.pauses import Pauses
from service.orders.state.worklists.held_orders import HeldOrders
from service.stores import Store


def writes_off_findings(store: Store) -> Iterator[Finding]:
    """A warning where the stores file says that nothing is written."""
    if store.writes == "off":
        message = '"off": orders are received, read and shown, but nothing is written for this store.'
        cure = 'Set writes = "on" or remove the key to go live: the orders held so far then go on.'
        yield Finding(Level.WARNING, store.hash, "writes", message, cure)


async def check_pause(redis: Redis | None, store: str) -> list[Finding]:
    """A warning where a person has paused the store. None without Redis."""
    if redis is None:
        return []
    try:
        pause, held = await Pauses(redis).read(store), await HeldOrders(redis).count(store)
    except RedisError:
        return []  # the findings on Redis say so
    if pause is None:
        return []
    by = f" by {pause.who}" if pause.who else ""
    message = f"paused{by}: nothing is written for this store. {counted(held, 'order')} held."
    return [Finding(Level.WARNING, store, "pause", message, f"`enrich stores resume {store}` ends that.")]
