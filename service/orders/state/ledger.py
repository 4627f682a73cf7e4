"""The ledger: each order's entry, kept in Redis for 30 days, or 90 when the order failed."""

from collections.abc import AsyncIterator, Iterable

from redis.asyncio import Redis

from service.orders.state.keys import entry_key, failed_key, index_key
from service.orders.state.order_entry import Entry, Status


class Ledger:
    """Reads entries, which ``transitions`` writes. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, store: str, order_id: int) -> Entry | None:
        """The order's entry; None when it has none."""
        stored = await self._redis.hgetall(entry_key(store, order_id))  # type: ignore[misc]
        return _parse(store, order_id, stored)

    async def statuses(self, store: str, order_ids: Iterable[int]) -> dict[int, Status]:
        """The status of each of the orders that has an entry."""
        ids = list(order_ids)
        async with self._redis.pipeline(transaction=False) as pipe:
            for order_id in ids:
                pipe.hget(entry_key(store, order_id), "status")
            found = await pipe.execute()
        return {order_id: Status(raw.decode()) for order_id, raw in zip(ids, found, strict=True) if raw is not None}

    async def entries(
        self, store: str, *, failed_only: bool = False, since: float = 0.0, batch: int = 200
    ) -> AsyncIterator[Entry]:
        """The store's entries, the last changed first, back to ``since`` (in seconds since the epoch)."""
        seen: set[int] = set()
        for key in [failed_key(store)] if failed_only else [index_key(store), failed_key(store)]:
            async for order_ids in self._newest(key, since, batch):
                fresh = [order_id for order_id in order_ids if order_id not in seen]
                seen.update(fresh)
                for entry in await self.get_many(store, fresh):
                    yield entry

    async def _newest(self, key: str, since: float, batch: int) -> AsyncIterator[list[int]]:
        start = 0
        while True:
            members = await self._redis.zrevrangebyscore(key, max="+inf", min=int(since * 1000), start=start, num=batch)
            if not members:
                return
            yield [int(member) for member in members]
            start += len(members)

    async def get_many(self, store: str, order_ids: Iterable[int]) -> list[Entry]:
        """The entries of those of the orders that have one."""
        ids = list(order_ids)
        async with self._redis.pipeline(transaction=False) as pipe:
            for order_id in ids:
                pipe.hgetall(entry_key(store, order_id))
            found = await pipe.execute()
        parsed = (_parse(store, order_id, stored) for order_id, stored in zip(ids, found, strict=True))
        return [entry for entry in parsed if entry is not None]


def _parse(store: str, order_id: int, stored: dict[bytes, bytes]) -> Entry | None:
    if not stored:
        return None
    return Entry.from_hash(store, order_id, {key.decode(): value.decode() for key, value in stored.items()})
