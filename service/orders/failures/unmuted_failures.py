"""The orders of a store that need a person, without those of muted groups: for the overview, metrics and messages."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from redis.asyncio import Redis

from service.orders.entry_report import why
from service.orders.failures.failure_groups import group_id
from service.orders.failures.muted_groups import Mute, MutedGroups
from service.orders.state.keys import awaiting_value_key, failed_key
from service.orders.state.ledger import Ledger
from service.redis.reading import read_together

READ_MAX = 10_000
"""Of a store, the groups of so many orders are looked at, the newest failed ones; the rest counts as not muted."""

_PARTS = ("reason", "rule")
_BATCH = 100  # 8 ms: a worker has other things to do between two of them


@dataclass(frozen=True, slots=True)
class UnmutedFailure:
    """A failed order: its group, why it failed, and when (seconds since the epoch, on Redis's clock)."""

    group: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class MutedCounts:
    """How many of a store's failed and waiting orders are in muted groups.

    ``oldest_at`` and ``newest_at`` are when the first and the last of the failed orders that are not muted failed, in
    seconds since the epoch.
    """

    failed: int = 0
    waiting: int = 0
    oldest_at: float | None = None
    newest_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    score: float
    failure: UnmutedFailure


class UnmutedFailures:
    """Reads them, and keeps in memory what it has read of orders that have not changed since. Errors are Redis's own.

    Where nothing is muted, counting reads no order.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._ledger = Ledger(redis)
        self._mutes = MutedGroups(redis)
        self._known: dict[str, dict[int, _Known]] = {}

    async def counts(self, stores: Collection[str]) -> dict[str, MutedCounts]:
        """The counts of each store."""
        if not stores:
            return {}
        ends_of = [
            (command, failed_key(store), 0, 0, "WITHSCORES") for store in stores for command in ("ZRANGE", "ZREVRANGE")
        ]
        mutes, answers = await asyncio.gather(self._mutes.of_all(stores), read_together(self._redis, ends_of))
        ends = [float(answer[1]) / 1000 if answer else None for answer in answers]
        oldest_at = dict(zip(stores, ends[::2], strict=True))
        muted = [store for store in stores if mutes[store]]
        counted = await asyncio.gather(*(self._counts_of(store, mutes[store], oldest_at[store]) for store in muted))
        plain = {
            store: MutedCounts(0, 0, oldest, newest)
            for store, oldest, newest in zip(stores, ends[::2], ends[1::2], strict=True)
        }
        return plain | dict(zip(muted, counted, strict=True))

    async def failed(self, store: str) -> list[UnmutedFailure]:
        """The failed orders of the store, the newest first."""
        muted = (await self._mutes.of_all([store]))[store]
        return [failure for failure in await self._members(store, failed_key(store)) if failure.group not in muted]

    async def _counts_of(self, store: str, mutes: Mapping[str, Mute], oldest: float | None) -> MutedCounts:
        failed, waiting = await asyncio.gather(
            self._members(store, failed_key(store)), self._members(store, awaiting_value_key(store))
        )
        times = [failure.at for failure in failed if failure.group not in mutes]
        # Older ones than were read count as not muted.
        first = oldest if len(failed) == READ_MAX else times[-1] if times else None
        return MutedCounts(_muted(failed, mutes), _muted(waiting, mutes), first, times[0] if times else None)

    async def _members(self, store: str, key: str) -> list[UnmutedFailure]:
        members = await self._redis.zrange(key, 0, READ_MAX - 1, desc=True, withscores=True)
        scores = {int(member): score for member, score in members}
        before = self._known.get(key, {})
        known = {order: old for order, score in scores.items() if (old := before.get(order)) and old.score == score}
        changed = [order for order in scores if order not in known]
        for begin in range(0, len(changed), _BATCH):
            batch = changed[begin : begin + _BATCH]
            entries = await self._ledger.get_parts([(store, order) for order in batch], _PARTS)
            for order, entry in zip(batch, entries, strict=True):
                if entry is not None:
                    failure = UnmutedFailure(group_id(entry), why(entry), scores[order] / 1000)
                    known[order] = _Known(scores[order], failure)
        self._known[key] = known
        return [known[order].failure for order in scores if order in known]


def _muted(failures: Iterable[UnmutedFailure], mutes: Mapping[str, Mute]) -> int:
    return sum(failure.group in mutes for failure in failures)
