"""Reads what the alerts depend on from Redis. Errors are Redis's own."""

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from service.configuration import Configuration, ConfiguredStore
from service.gauges import Gauges
from service.notify.alerts import Readings, Recent
from service.orders.failures.unmuted_failures import UnmutedFailure, UnmutedFailures
from service.orders.state.clocks import Clock, redis_time
from service.orders.state.keys import breaker_key, entry_key, index_key
from service.orders.state.order_entry import Entry
from service.orders.state.worklists.late_orders import LateOrders

# As in the alert for Prometheus. Of a busy store, the newest orders say enough.
RECENT_S = 900.0
MAX_RECENT = 100
# With very many stores fewer of each: reading takes 50 µs an order.
MIN_RECENT = 20
MAX_RECENT_OF_ALL = 5000

# What ``Entry.made_window`` depends on.
_FIELDS = ("status", "source", "create_age", "window_opened_at", "waited", "awaits_record")


class ReadingsReader:
    """Reads all of it for the stores that are told of. Times are Redis's, unless a ``clock`` is given."""

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock
        self._gauges = Gauges(redis, clock=clock)
        self._failures = UnmutedFailures(redis)

    async def read(self, configuration: Configuration, stores: Sequence[str]) -> Readings:
        """Read what the alerts of these stores depend on."""
        now = self._clock() if self._clock else await redis_time(self._redis)
        configured = [configuration.stores[store] for store in stores]
        state = await self._gauges.read(stores)
        return Readings(
            now,
            state,
            await self._locked_out(stores),
            {one.store.hash: await self._late_values_stopped(one) for one in configured},
            await self._recent(stores, now),
            {store: await self._groups(store) for store in stores if state.stores[store].unmuted_failed},
        )

    async def failures(self, store: str, *, after: float = 0.0) -> list[UnmutedFailure]:
        """The store's failed orders that are not muted and failed after that time, the newest first."""
        return [failure for failure in await self._failures.failed(store) if failure.at > after]

    async def _groups(self, store: str) -> Mapping[str, float]:
        """Each group of the store's failed orders, and when its newest one failed."""
        newest: dict[str, float] = {}
        for failure in await self._failures.failed(store):
            newest.setdefault(failure.group, failure.at)
        return newest

    async def _locked_out(self, stores: Sequence[str]) -> Mapping[str, bool]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for store in stores:
                pipe.exists(breaker_key(store))
            return dict(zip(stores, map(bool, await pipe.execute()), strict=True))

    async def _late_values_stopped(self, configured: ConfiguredStore) -> bool:
        if not configured.rules.late or not configured.store.late_values_s:
            return False
        return await LateOrders(self._redis).is_stopped(configured.store.hash)

    async def _recent(self, stores: Sequence[str], now: float) -> Mapping[str, Recent]:
        number = max(MIN_RECENT, min(MAX_RECENT, MAX_RECENT_OF_ALL // max(1, len(stores))))
        async with self._redis.pipeline(transaction=False) as pipe:
            for store in stores:
                pipe.zrevrangebyscore(
                    index_key(store), max="+inf", min=int((now - RECENT_S) * 1000), start=0, num=number
                )
            found = await pipe.execute()
        return {store: await self._recent_of(store, ids) for store, ids in zip(stores, found, strict=True)}

    async def _recent_of(self, store: str, ids: Sequence[bytes]) -> Recent:
        async with self._redis.pipeline(transaction=False) as pipe:
            for order_id in ids:
                pipe.hmget(entry_key(store, int(order_id)), list(_FIELDS))
            found = await pipe.execute()
        counted = [entry.made_window for entry in (_partial(store, values) for values in found)]
        return Recent(counted.count(True) + counted.count(False), counted.count(False))


def _partial(store: str, values: Sequence[bytes | None]) -> Entry:
    known = {name: value.decode() for name, value in zip(_FIELDS, values, strict=True) if value is not None}
    return Entry.from_hash(store, 0, known)
