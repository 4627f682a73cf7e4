"""Search for orders in the ledger of the configured stores."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from service.cli.common.options import find_redis
from service.configuration import load_configuration
from service.orders.entry_report import changed_at, why
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.redis.client import connect
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """The filters of a search. ``since`` is in seconds since the epoch; texts are compared without regard to case."""

    status: Status | None = None
    reason: str | None = None
    po: str | None = None
    since: float = 0.0

    def matches(self, entry: Entry) -> bool:
        """Whether the order matches, except for ``since``, which the ledger's query applies."""
        return (
            (self.status is None or entry.status is self.status)
            and _contains(why(entry), self.reason)
            and _contains(entry.po_number, self.po)
        )


def _contains(text: str | None, part: str | None) -> bool:
    return part is None or part.casefold() in (text or "").casefold()


@asynccontextmanager
async def open_ledger() -> AsyncIterator[tuple[Redis, Sequence[str]]]:
    """Redis, and the hashes of all stores. Raises ConfigError."""
    settings = Settings.load()
    redis_url = find_redis(settings)
    stores = list(load_configuration(settings.enrich_config).stores)
    async with connect(redis_url) as redis:
        yield redis, stores


async def find(redis: Redis, stores: Sequence[str], order_filter: OrderFilter, limit: int | None = None) -> list[Entry]:
    """The orders of these stores that match, the last changed first."""
    ledger = Ledger(redis)
    found = [entry for store in stores for entry in await _newest(ledger, store, order_filter, limit)]
    return sorted(found, key=changed_at, reverse=True)[:limit]


async def _newest(ledger: Ledger, store: str, order_filter: OrderFilter, limit: int | None) -> list[Entry]:
    found: list[Entry] = []
    async for entry in ledger.entries(
        store, failed_only=order_filter.status is Status.FAILED, since=order_filter.since
    ):
        if order_filter.matches(entry):
            found.append(entry)
            if len(found) == limit:
                break
    return found
