"""Reads the statistics of stores from Redis."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from service.orders.state.clocks import Clock
from service.orders.state.keys import statistics_prefix
from service.orders.state.per_store.counters import add_up, day_of, hour_of
from service.orders.statistics.aggregate import Aggregate
from service.redis.hashes import read_fields

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

    async def days(
        self, stores: Sequence[str], since: datetime, until: datetime, *, only: Sequence[str] = ()
    ) -> list[StorePeriod]:
        """The days (UTC) of each store, from that of ``since`` to the last that begins before ``until``.

        Days without orders are among them. Days are kept for 400 days. With ``only``, no other counters are read,
        which costs much less.
        """
        days = [(day, day_of(day)) for day in _begins(midnight(since), until, timedelta(days=1))]
        return await self._read([(store, *day) for store in stores for day in days], only)

    async def hours(
        self, stores: Sequence[str], since: datetime, until: datetime, *, only: Sequence[str] = ()
    ) -> list[StorePeriod]:
        """The same for hours, which are kept for 72 hours."""
        first = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        hours = [(hour, hour_of(hour)) for hour in _begins(first, until, timedelta(hours=1))]
        return await self._read([(store, *hour) for store in stores for hour in hours], only)

    async def _read(self, wanted: Sequence[tuple[str, datetime, str]], only: Sequence[str]) -> list[StorePeriod]:
        if only:
            return await self._read_only(wanted, only)
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

    async def _read_only(self, wanted: Sequence[tuple[str, datetime, str]], only: Sequence[str]) -> list[StorePeriod]:
        keys = [statistics_prefix(store) + name for store, _, name in wanted]
        # Both are in one pipeline, where Redis keeps this order. Otherwise some orders of the last seconds are missing.
        _, found = await asyncio.gather(add_up(self._redis, clock=self._clock), read_fields(self._redis, keys, only))
        return [
            StorePeriod(store, begin, Aggregate({name: int(n) for name, n in zip(only, counts, strict=True) if n}))
            for (store, begin, _), counts in zip(wanted, found, strict=True)
        ]


def midnight(moment: datetime) -> datetime:
    """When the day (UTC) of this moment began."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _begins(first: datetime, until: datetime, step: timedelta) -> Iterator[datetime]:
    while first < until:
        yield first
        first += step


def _parse(stored: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(errors="replace"): int(count) for name, count in stored.items()}
