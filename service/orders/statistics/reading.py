"""Reads the statistics of stores from Redis."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from service.orders.state.clocks import Clock
from service.orders.state.keys import statistics_prefix
from service.orders.state.per_store.counters import add_up, day_of, hour_of
from service.orders.statistics.aggregate import Aggregate

# Answers that Redis must keep at the same time: some 3 kB each.
_BATCH = 200


@dataclass(frozen=True, slots=True)
class StorePeriod:
    """What happened to the orders of a store that were placed in a day or an hour, which began at ``begin`` (UTC)."""

    store: str
    begin: datetime
    aggregate: Aggregate


class Statistics:
    """Reads statistics. Errors are Redis's own.

    ``clock`` replaces Redis's time, which says what has expired.
    """

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock

    async def days(self, stores: Sequence[str], since: datetime, until: datetime) -> list[StorePeriod]:
        """The days (UTC) of each store, from that of ``since`` to the last that begins before ``until``.

        Days without orders are among them. Days are kept for 400 days.
        """
        first = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        days = list(_begins(first, until, timedelta(days=1)))
        return await self._read([(store, day, day_of(day)) for store in stores for day in days])

    async def hours(self, stores: Sequence[str], since: datetime, until: datetime) -> list[StorePeriod]:
        """The same for hours, which are kept for 72 hours."""
        first = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        hours = list(_begins(first, until, timedelta(hours=1)))
        return await self._read([(store, hour, hour_of(hour)) for store in stores for hour in hours])

    async def _read(self, wanted: Sequence[tuple[str, datetime, str]]) -> list[StorePeriod]:
        await add_up(self._redis, clock=self._clock)
        found: list[StorePeriod] = []
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            async with self._redis.pipeline(transaction=False) as pipe:
                for store, _, name in batch:
                    pipe.hgetall(statistics_prefix(store) + name)
                answers = await pipe.execute()
            found += [
                StorePeriod(store, begin, Aggregate(_parse(answer)))
                for (store, begin, _), answer in zip(batch, answers, strict=True)
            ]
        return found


def _begins(first: datetime, until: datetime, step: timedelta) -> Iterator[datetime]:
    while first < until:
        yield first
        first += step


def _parse(stored: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(errors="replace"): int(count) for name, count in stored.items()}
