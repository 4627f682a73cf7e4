"""Orders that need a person, in groups by store and reason."""

import asyncio
import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from redis.asyncio import Redis

from service.orders.entry_report import why
from service.orders.failures.failure_kinds import FailureKind, kind_of, needs_person
from service.orders.state.keys import awaiting_value_key, failed_key, index_key
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status

READ_MAX = 2000
"""Of a store, as many orders are read, the newest. Reading one costs the process some 0.08 ms."""

_PARTS = ("reason", "rule", "wait_logged", "po_number", "customer_id")
_BATCH = 200  # other requests are answered between two of them

# Numbers in a message, such as ids, differ from order to order: they make no group of their own. An HTTP status does.
_NUMBER = re.compile(r"(?<!: )\d{3,}|\d{4,}")
_REASON_LENGTH_MAX = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """An order that needs a person. ``changed_ms`` is its last change, on Redis's clock (ms since the epoch).

    Of the entry, only what the list of a group shows is read.
    """

    entry: Entry
    changed_ms: int


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Orders of a store that need a person for the same reason, the last changed first; never empty."""

    store: str
    id: str
    kind: FailureKind
    failures: Sequence[Failure]

    @property
    def reason(self) -> str:
        """The reason of the newest one; the numbers in it may differ in the others."""
        return why(self.failures[0].entry)

    @property
    def is_waiting(self) -> bool:
        """Whether the orders wait for a value, and have not failed yet."""
        return self.kind is FailureKind.WAITS_FOR_VALUE

    @property
    def order_ids(self) -> list[int]:
        return [failure.entry.order_id for failure in self.failures]

    @property
    def first_ms(self) -> int:
        return self.failures[-1].changed_ms

    @property
    def last_ms(self) -> int:
        return self.failures[0].changed_ms


@dataclass(frozen=True, slots=True)
class StoreFailures:
    """The groups of a store, the largest first. ``is_complete`` is false where it has more orders than were read."""

    groups: Sequence[FailureGroup]
    is_complete: bool

    @classmethod
    def of(cls, store: str, failures: Iterable[Failure], rules: Collection[str], *, is_complete: bool = True) -> Self:
        """Group these. ``rules`` are the names of the store's rules."""
        by_id: dict[str, list[Failure]] = {}
        for failure in sorted(failures, key=lambda each: (-each.changed_ms, -each.entry.order_id)):
            by_id.setdefault(group_id(failure.entry), []).append(failure)
        groups = [
            FailureGroup(store, name, kind_of(members[0].entry, rules), members) for name, members in by_id.items()
        ]
        return cls(sorted(groups, key=lambda group: (-len(group.failures), -group.last_ms)), is_complete)

    def find(self, name: str) -> FailureGroup | None:
        """The group with this id."""
        return next((group for group in self.groups if group.id == name), None)


def group_id(entry: Entry) -> str:
    """Identifies the group of an order, within its store: the reason's own text stands in no address."""
    return _id_of("waiting" if entry.status is Status.WAITING else "failed", why(entry)[:_REASON_LENGTH_MAX])


@lru_cache(maxsize=1024)
def _id_of(state: str, reason: str) -> str:
    text = f"{state} {_NUMBER.sub('#', reason)}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


async def find_failures(redis: Redis, store: str, rules: Collection[str]) -> StoreFailures:
    """The groups of a store. ``rules`` are the names of its rules. Errors are Redis's own."""
    failed, failed_count, waiting, waiting_count = await asyncio.gather(
        redis.zrevrangebyscore(failed_key(store), "+inf", "-inf", start=0, num=READ_MAX, withscores=True),
        redis.zcard(failed_key(store)),
        redis.zrange(awaiting_value_key(store), 0, READ_MAX - 1),
        redis.zcard(awaiting_value_key(store)),
    )
    changed = {int(member): int(score) for member, score in failed}
    changed |= await changed_at_ms(redis, store, [int(member) for member in waiting])
    failures = await _read(Ledger(redis), store, changed)
    return StoreFailures.of(store, failures, rules, is_complete=max(failed_count, waiting_count) <= READ_MAX)


async def changed_at_ms(redis: Redis, store: str, order_ids: Sequence[int]) -> dict[int, int]:
    """When each of the orders last changed, on Redis's clock; those that are not known are left out."""
    if not order_ids:
        return {}
    async with redis.pipeline(transaction=False) as pipe:
        for order_id in order_ids:
            # A failed order stays in its set for longer than in the index.
            pipe.zscore(index_key(store), order_id)
            pipe.zscore(failed_key(store), order_id)
        scores = await pipe.execute()
    known = {
        order_id: max((score for score in pair if score is not None), default=None)
        for order_id, pair in zip(order_ids, zip(scores[::2], scores[1::2], strict=True), strict=True)
    }
    return {order_id: int(score) for order_id, score in known.items() if score is not None}


async def _read(ledger: Ledger, store: str, changed: dict[int, int]) -> list[Failure]:
    order_ids, failures = list(changed), list[Failure]()
    for begin in range(0, len(order_ids), _BATCH):
        batch = [(store, order_id) for order_id in order_ids[begin : begin + _BATCH]]
        entries = await ledger.get_parts(batch, _PARTS)
        failures += [Failure(entry, changed[entry.order_id]) for entry in entries if entry and needs_person(entry)]
    return failures
