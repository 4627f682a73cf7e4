"""Feeds the workers' queue as the receiver does, and asserts that each order has the expected outcome."""

import asyncio
import time
from dataclasses import dataclass, field

from service.bigcommerce.clients.hooks import ORDER_CREATED
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.queue import EnqueueResult, Webhook
from tests.bench.fake_bigcommerce.fake_store import po_number
from tests.bench.fake_bigcommerce.response_templates import ACCOUNT_FIELD
from tests.bench.rig.processes import Rig

MAX_IN_FLIGHT = 200
"""The most orders that are queued and not yet created."""

SETTLED_S = 3.0
"""Ample: verification comes half a second after Create."""

_POLL_INTERVAL_S = 0.02
_FINISHED_POLL_INTERVAL_S = 0.2
_READ_AT_ONCE = 500


@dataclass(slots=True)
class JobFeeder:
    """Feeds the rig's stores in rotation, with consecutive order IDs in each."""

    rig: Rig
    first_id: int = 1001
    fed: list[tuple[str, int]] = field(default_factory=list)

    async def feed(self, seconds: float, *, in_flight: int = MAX_IN_FLIGHT, most: int | None = None) -> None:
        """Keep ``in_flight`` orders in flight for ``seconds``, or until ``most`` were fed."""
        created_before, fed_before = (await self.rig.counts()).created, len(self.fed)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            fed, created = len(self.fed) - fed_before, (await self.rig.counts()).created - created_before
            room = in_flight - (fed - created)
            if most is not None:
                room = min(room, most - fed)
                if not room and fed == most:
                    return
            await asyncio.gather(*(self.feed_one() for _ in range(room)))
            await asyncio.sleep(_POLL_INTERVAL_S)

    async def feed_one(self) -> None:
        """Queue one order, as the receiver does."""
        stores, now = self.rig.stores, time.time()
        store, order_id = stores[len(self.fed) % len(stores)], self.first_id + len(self.fed) // len(stores)
        self.fed.append((store, order_id))
        webhook = Webhook(store, order_id, f"bench-{order_id}", ORDER_CREATED, float(int(now)), now)
        accepted = await self.rig.queue.accept(webhook)
        assert accepted is EnqueueResult.QUEUED, f"{store}:{order_id} is {accepted}"

    async def all_verified(self, within_s: float = 60.0) -> list[Entry]:
        """Wait until all orders that were fed are finished; returns their entries.

        Raises AssertionError unless each was created once, with its own values, and verified.
        """
        entries = await self.all_ended(within_s)
        assert len(entries) == len(self.fed), f"{len(self.fed)} were fed, {len(entries)} are known"
        counts = await self.rig.counts()
        assert counts.created == len(self.fed), f"{len(self.fed)} were fed, {counts.created} created"
        assert not any(name.startswith("unknown") for name in counts.calls), counts.calls
        for entry in entries:
            wrong = entry.status is not Status.CREATED or not entry.verified
            wrong |= entry.po_number != po_number(entry.order_id) or entry.fields != {ACCOUNT_FIELD: "ERP-10001"}
            assert not wrong, f"an order has an unexpected outcome: {entry}"
        return entries

    async def all_ended(self, within_s: float = 60.0) -> list[Entry]:
        """Wait until all orders that were fed have ended, however that was; returns their entries.

        Raises AssertionError with one of those that have not.
        """
        open_by_store, until = self._by_store(), time.monotonic() + within_s
        while open_by_store := await self._still_open(open_by_store):
            if time.monotonic() > until:
                store, ids = next(iter(open_by_store.items()))
                entry = await self.rig.ledger.get(store, ids[0])
                raise AssertionError(f"orders of {len(open_by_store)} stores have not ended, such as {entry}")
            await asyncio.sleep(_FINISHED_POLL_INTERVAL_S)
        return await self._entries()

    async def settled(self, settled_s: float = SETTLED_S, *, within_s: float = 60.0) -> None:
        """Wait until BigCommerce has got all Creates and a little longer, for the verifications: asks Redis nothing."""
        async with asyncio.timeout(within_s):
            await self.rig.created(len(self.fed))
        await asyncio.sleep(settled_s)

    async def _still_open(self, ids_by_store: dict[str, list[int]]) -> dict[str, list[int]]:
        """The orders that are not finished."""
        still_open = {}
        for store, ids in ids_by_store.items():
            statuses = await self.rig.ledger.statuses(store, ids)
            if left := [order_id for order_id in ids if not statuses[order_id].is_final]:
                still_open[store] = left
        return still_open

    async def _entries(self) -> list[Entry]:
        return [
            entry
            for store, ids in self._by_store().items()
            for first in range(0, len(ids), _READ_AT_ONCE)
            for entry in await self.rig.ledger.get_many(store, ids[first : first + _READ_AT_ONCE])
        ]

    def _by_store(self) -> dict[str, list[int]]:
        by_store: dict[str, list[int]] = {}
        for store, order_id in self.fed:
            by_store.setdefault(store, []).append(order_id)
        return by_store


def verified_per_s(entries: list[Entry], begin: float) -> float:
    """Orders per second from ``begin`` (Unix seconds), when the first was fed, to the last verification."""
    later = [entry.times[Stage.VERIFIED] for entry in entries if entry.times[Stage.RECEIVED] >= begin]
    return len(later) / (max(later) - begin)
