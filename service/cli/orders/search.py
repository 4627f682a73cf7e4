"""Finding orders in the ledger: the stores that are configured, and what is asked of an order."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from service.cli.common.options import find_redis
from service.cli.orders.entry_format import changed_at, why
from service.configuration import load_configuration
from service.orders.state.entry import Entry, Status
from service.orders.state.ledger import Ledger
from service.redis.client import connect
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an order must be to be found. ``since`` is in seconds since the epoch; case does not matter in texts."""

    status: Status | None = None
    reason: str | None = None
    po: str | None = None
    since: float = 0.0

    def takes(self, entry: Entry) -> bool:
        """Whether the order is one of those. Its time was looked at when it was read."""
        return (
            (self.status is None or entry.status is self.status)
            and _holds(why(entry), self.reason)
            and _holds(entry.po_number, self.po)
        )


def _holds(text: str | None, part: str | None) -> bool:
    return part is None or part.casefold() in (text or "").casefold()


@asynccontextmanager
async def open_ledger() -> AsyncIterator[tuple[Redis, Sequence[str]]]:
    """Redis, and the hashes of all stores. Raises ConfigError."""
    settings = Settings.load()
    redis_url = find_redis(settings)
    stores = list(load_configuration(settings.enrich_config).stores)
    async with connect(redis_url) as redis:
        yield redis, stores


async def find(redis: Redis, stores: Sequence[str], wanted: Wanted, limit: int | None = None) -> list[Entry]:
    """Those orders of the stores, the last changed first."""
    ledger = Ledger(redis)
    found = [entry for store in stores for entry in await _newest(ledger, store, wanted, limit)]
    return sorted(found, key=changed_at, reverse=True)[:limit]


async def _newest(ledger: Ledger, store: str, wanted: Wanted, limit: int | None) -> list[Entry]:
    found: list[Entry] = []
    async for entry in ledger.entries(store, failed_only=wanted.status is Status.FAILED, since=wanted.since):
        if wanted.takes(entry):
            found.append(entry)
            if len(found) == limit:
                break
    return found
