"""Shoppers who place orders while something breaks, and what came of each order by the sandbox's books."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from service.orders.state.entry import Entry, Stage
from service.redis.client import TRANSIENT_ERRORS
from tests.chaos.figures import Figures
from tests.fakes.deployment import Deployment

# Quotas that are not what a scenario is about.
PLENTY: dict[str, Any] = {"core_quota": 100_000, "b2b_quota": 100_000}

CREATE, UPDATE = "Create an Order", "Update an Order"


@dataclass(frozen=True, slots=True)
class Placed:
    """An order; ``buyers_po`` is what its buyer typed in the checkout, which B2B Edition has on the record at once."""

    store: str
    id: int
    number: int
    buyers_po: str | None

    @property
    def po_number(self) -> str:
        """What must be on the record in the end."""
        return self.buyers_po or f"PO-{self.number}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An order as the ledger and the sandbox know it in the end."""

    placed: Placed
    entry: Entry | None
    seen: dict[str, Any]

    def written(self, operation: str) -> list[float]:
        """When writes of this kind were accepted, in seconds of the order's true age."""
        created_at = self.seen["created_at"]
        return [write["at"] - created_at for write in self.seen["writes"] if write["operation"] == operation]

    @property
    def is_created(self) -> bool:
        return bool(self.written(CREATE))

    @property
    def is_updated(self) -> bool:
        return bool(self.written(UPDATE)) and not self.is_created

    @property
    def is_lost(self) -> bool:
        """It has not ended, or its record lacks what the order says."""
        if self.entry is None or not self.entry.status.is_final or not self.entry.verified:
            return True
        record = self.seen["record"]
        return not record["po_number"] or record["extra_fields"].get("Account No") != "ERP-10001"

    @property
    def is_overwritten(self) -> bool:
        return bool(self.placed.buyers_po) and self.seen["record"]["po_number"] != self.placed.buyers_po

    def is_doubled(self, most_updates: int) -> bool:
        creates, updates = len(self.written(CREATE)), len(self.written(UPDATE))
        return creates > 1 or updates > most_updates or bool(creates and updates)

    @property
    def told_at_once(self) -> bool:
        """Whether the first delivery of its webhook was acknowledged."""
        first = [attempt for attempt in self.seen["webhooks"] if attempt["attempt"] == 1]
        return bool(first) and first[0]["status"] == 200

    def __str__(self) -> str:
        writes = [
            (write["operation"], round(write["at"] - self.seen["created_at"], 2)) for write in self.seen["writes"]
        ]
        return f"{self.placed}\n  writes {writes}, record {self.seen['record']}\n  {self.entry}"


class LoadGenerator:
    """They order in one store; every tenth types a PO of their own."""

    def __init__(self, house: Deployment, store: str | None = None, *, buyers_po_every: int = 10) -> None:
        self.house = house
        self.store = store or house.stores[0]
        self.placed: list[Placed] = []
        self._buyers_po_every = buyers_po_every

    async def order(self, **fields: Any) -> Placed:
        number = len(self.placed) + 1
        buyers_po = None if number % self._buyers_po_every else f"BUYER-{number}"
        if buyers_po:
            fields |= {"buyer_po": buyers_po, "record_after": 0.0}
        order_id = await self.house.place(number, store=self.store, **fields)
        placed = Placed(self.store, order_id, number, buyers_po)
        self.placed.append(placed)
        return placed

    async def come(self, number: int, *, per_s: float) -> None:
        """So many orders at an even pace."""
        began = time.monotonic()
        for turn in range(number):
            await asyncio.sleep(began + turn / per_s - time.monotonic())
            await self.order()

    async def outcomes(self, *, within_s: float) -> "Outcomes":
        """What came of all orders, when all have ended or the time is over."""
        ended = await self._wait_for_end(within_s)
        sandbox = self.house.sandbox
        seen = [await sandbox.order(placed.id, self.store) for placed in self.placed]
        entries = [await self.house.ledger.get(self.store, placed.id) for placed in self.placed]
        found = [Outcome(*each) for each in zip(self.placed, entries, seen, strict=True)]
        calls = await sandbox.calls(self.store)
        return Outcomes(self.house, found, sum(calls["over_quota"].values()), ended)

    async def _wait_for_end(self, within_s: float) -> float:
        """The seconds that it took."""
        waiting, began = {placed.id for placed in self.placed}, time.monotonic()
        while waiting and time.monotonic() - began < within_s:
            try:
                statuses = await self.house.ledger.statuses(self.store, waiting)
            except TRANSIENT_ERRORS:
                statuses = {}
            waiting -= {order_id for order_id, status in statuses.items() if status.is_final}
            await asyncio.sleep(0.1)
        return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of the orders of one store. ``over_quota`` counts the calls that got 429."""

    house: Deployment
    each: list[Outcome]
    over_quota: int
    waited_s: float

    def figures(self, scenario: str, *, most_updates: int = 1, remark: str = "") -> Figures:
        """``most_updates``: an Update whose fate was unclear may be sent again, which changes nothing."""
        return Figures(
            scenario,
            orders=len(self.each),
            creatable=sum(not outcome.placed.buyers_po for outcome in self.each),
            created=sum(outcome.is_created for outcome in self.each),
            updated=sum(outcome.is_updated for outcome in self.each),
            lost=sum(outcome.is_lost for outcome in self.each),
            doubled=sum(outcome.is_doubled(most_updates) for outcome in self.each),
            overwritten=sum(outcome.is_overwritten for outcome in self.each),
            worst_age_s=max((age for outcome in self.each for age in outcome.written(CREATE)), default=None),
            over_quota=self.over_quota,
            remark=remark,
            evidence=self._evidence(most_updates),
        )

    def not_created(self) -> list[Outcome]:
        """Orders that could have been created inside their window, and were not."""
        return [outcome for outcome in self.each if not outcome.placed.buyers_po and not outcome.is_created]

    def describe(self, outcomes: Iterable[Outcome]) -> str:
        """The first few of these orders, with what the logs say of them."""
        return "\n".join(f"{outcome}\n{self._lines(outcome.placed)}" for outcome in list(outcomes)[:3])

    def _evidence(self, most_updates: int) -> str:
        bad = [o for o in self.each if o.is_lost or o.is_overwritten or o.is_doubled(most_updates)]
        return self.describe(bad)

    def _lines(self, placed: Placed) -> str:
        mark = f'"store": "{placed.store}", "order_id": {placed.id},'
        return "\n".join(
            f"    {process.name} {line}"
            for process in [self.house.web, *self.house.workers]
            for line in process.text.splitlines()
            if mark in line
        )

    def canonical_lines(self) -> Counter[int]:
        """How often the logs tell of each order's end."""
        names = {"order_enriched", "order_skipped", "order_failed"}
        lines = (line for worker in self.house.workers for line in worker.events() if line["event"] in names)
        return Counter(line["order_id"] for line in lines)

    def slowest_stage_s(self, stage: Stage) -> float:
        ages = (outcome.entry.age_at(stage) for outcome in self.each if outcome.entry)
        return max(age for age in ages if age is not None)


async def until(happened: Callable[[], Any], *, within_s: float = 20.0, every_s: float = 0.02) -> None:
    """Wait until something is so; ``happened`` may be a coroutine function."""
    async with asyncio.timeout(within_s):
        while True:
            answer = happened()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(every_s)
