"""The ledger: each order's entry, kept in Redis for 30 days, or 90 when the order failed."""

from collections.abc import AsyncIterator, Iterable, Sequence

from redis.asyncio import Redis

from service.orders.state.keys import entry_key, failed_key, index_key
from service.orders.state.order_entry import Entry, Status
from service.redis.hashes import read_fields


class Ledger:
    """Reads entries, which ``transitions`` writes. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def stores(self) -> list[str]:
        """The stores that have orders here, whatever the stores file says. It walks over all keys of Redis."""
        prefix = index_key("")
        keys = [key.decode() async for key in self._redis.scan_iter(match=f"{prefix}*", count=5000)]
        return sorted({key.removeprefix(prefix).removesuffix(":failed") for key in keys})

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
        return [entry for entry in await self.get_each((store, order_id) for order_id in order_ids) if entry]

    async def get_each(self, orders: Iterable[tuple[str, int]]) -> list[Entry | None]:
        """The entry of each order, given as its store and id; None where it has none."""
        wanted = list(orders)
        async with self._redis.pipeline(transaction=False) as pipe:
            for store, order_id in wanted:
                pipe.hgetall(entry_key(store, order_id))
            found = await pipe.execute()
        return [_parse(store, order_id, stored) for (store, order_id), stored in zip(wanted, found, strict=True)]

    async def get_parts(self, orders: Iterable[tuple[str, int]], names: Sequence[str]) -> list[Entry | None]:
        """As ``get_each``, with only these fields of ``Entry.to_hash``: it costs much less. Others have defaults."""
        wanted, fields = list(orders), ["status", *names]
        found = await read_fields(self._redis, [entry_key(*each) for each in wanted], fields)
        stored = [
            {name: value for name, value in zip(fields, values, strict=True) if value is not None} for values in found
        ]
        return [
            Entry.from_hash(store, order_id, each) if each else None
            for (store, order_id), each in zip(wanted, stored, strict=True)
        ]


def _parse(store: str, order_id: int, stored: dict[bytes, bytes]) -> Entry | None:
    if not stored:
        return None
    return Entry.from_hash(store, order_id, {key.decode(): value.decode() for key, value in stored.items()})
