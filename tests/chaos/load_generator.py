"""A load generator that places orders during a failure, and the outcome of each order in the sandbox's data."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from service.orders.state.order_entry import Entry, Stage
from service.redis.client import TRANSIENT_ERRORS
from tests.chaos.figures import Figures
from tests.fakes.deployment import Deployment

# Quotas that do not limit, for scenarios about something else.
PLENTY: dict[str, Any] = {"core_quota": 100_000, "b2b_quota": 100_000}

CREATE, UPDATE = "Create an Order", "Update an Order"


@dataclass(frozen=True, slots=True)
class Placed:
    """An order. ``buyers_po`` is a PO that the buyer entered in the checkout; it is on the record at once."""

    store: str
    id: int
    number: int
    buyers_po: str | None

    @property
    def po_number(self) -> str:
        """The PO that must be on the record in the end."""
        return self.buyers_po or f"PO-{self.number}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The final state of an order in the ledger and in the sandbox."""

    placed: Placed
    entry: Entry | None
    seen: dict[str, Any]

    def writes(self, operation: str) -> list[float]:
        """The order's true ages in seconds at which writes of this operation were accepted."""
        created_at = self.seen["created_at"]
        return [write["at"] - created_at for write in self.seen["writes"] if write["operation"] == operation]

    @property
    def is_created(self) -> bool:
        return bool(self.writes(CREATE))

    @property
    def is_updated(self) -> bool:
        return bool(self.writes(UPDATE)) and not self.is_created

    @property
    def is_lost(self) -> bool:
        """Whether the order is not finished, or its record lacks the order's values."""
        if self.entry is None or not self.entry.status.is_final or not (self.entry.verified or self.is_kept_unsure):
            return True
        record = self.seen["record"]
        return not record["po_number"] or record["extra_fields"].get("Account No") != "ERP-10001"

    @property
    def is_kept_unsure(self) -> bool:
        """Whether the buyer's PO was kept, and ours was in a Create whose fate Redis has forgotten: not verified."""
        return self.entry is not None and bool(self.placed.buyers_po) and self.entry.kept == ["po_number"]

    @property
    def is_overwritten(self) -> bool:
        return bool(self.placed.buyers_po) and self.seen["record"]["po_number"] != self.placed.buyers_po

    def is_doubled(self, max_updates: int) -> bool:
        creates, updates = len(self.writes(CREATE)), len(self.writes(UPDATE))
        return creates > 1 or updates > max_updates or bool(creates and updates)

    @property
    def accepted_at_once(self) -> bool:
        """Whether the first delivery of its webhook was acknowledged."""
        first = [attempt for attempt in self.seen["webhooks"] if attempt["attempt"] == 1]
        return bool(first) and first[0]["status"] == 200

    def __str__(self) -> str:
        writes = [
            (write["operation"], round(write["at"] - self.seen["created_at"], 2)) for write in self.seen["writes"]
        ]
        return f"{self.placed}\n  writes {writes}, record {self.seen['record']}\n  {self.entry}"


class LoadGenerator:
    """Places orders in one store; every tenth has a PO that the buyer entered in the checkout."""

    def __init__(self, deployment: Deployment, store: str | None = None, *, buyers_po_every: int = 10) -> None:
        self.deployment = deployment
        self.store = store or deployment.stores[0]
        self.placed: list[Placed] = []
        self._buyers_po_every = buyers_po_every

    async def order(self, **fields: Any) -> Placed:
        number = len(self.placed) + 1
        buyers_po = None if number % self._buyers_po_every else f"BUYER-{number}"
        if buyers_po:
            fields |= {"buyer_po": buyers_po, "record_after": 0.0}
        order_id = await self.deployment.place(number, store=self.store, **fields)
        placed = Placed(self.store, order_id, number, buyers_po)
        self.placed.append(placed)
        return placed

    async def place_orders(self, number: int, *, per_s: float) -> None:
        """Place so many orders at a constant rate."""
        began = time.monotonic()
        for index in range(number):
            await asyncio.sleep(began + index / per_s - time.monotonic())
            await self.order()

    async def outcomes(self, *, within_s: float) -> "Outcomes":
        """The outcomes of all orders, when all are finished or after the timeout."""
        waited_s = await self._wait_until_finished(within_s)
        sandbox = self.deployment.sandbox
        seen = [await sandbox.order(placed.id, self.store) for placed in self.placed]
        entries = [await self.deployment.ledger.get(self.store, placed.id) for placed in self.placed]
        found = [Outcome(*each) for each in zip(self.placed, entries, seen, strict=True)]
        calls = await sandbox.calls(self.store)
        return Outcomes(self.deployment, found, sum(calls["over_quota"].values()), waited_s)

    async def _wait_until_finished(self, within_s: float) -> float:
        """Wait until all orders are finished; returns the seconds that it took."""
        waiting, began = {placed.id for placed in self.placed}, time.monotonic()
        while waiting and time.monotonic() - began < within_s:
            try:
                statuses = await self.deployment.ledger.statuses(self.store, waiting)
            except TRANSIENT_ERRORS:
                statuses = {}
            waiting -= {order_id for order_id, status in statuses.items() if status.is_final}
            await asyncio.sleep(0.1)
        return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes of one store's orders. ``over_quota`` counts the calls that got 429."""

    deployment: Deployment
    each: list[Outcome]
    over_quota: int
    waited_s: float

    def figures(self, scenario: str, *, max_updates: int = 1, remark: str = "") -> Figures:
        """``max_updates``: an Update without a response may be sent again, which changes nothing."""
        return Figures(
            scenario,
            orders=len(self.each),
            creatable=sum(not outcome.placed.buyers_po for outcome in self.each),
            created=sum(outcome.is_created for outcome in self.each),
            updated=sum(outcome.is_updated for outcome in self.each),
            lost=sum(outcome.is_lost for outcome in self.each),
            doubled=sum(outcome.is_doubled(max_updates) for outcome in self.each),
            overwritten=sum(outcome.is_overwritten for outcome in self.each),
            worst_age_s=max((age for outcome in self.each for age in outcome.writes(CREATE)), default=None),
            over_quota=self.over_quota,
            remark=remark,
            evidence=self._evidence(max_updates),
        )

    def not_created(self) -> list[Outcome]:
        """Orders that could have been created inside their window but were not."""
        return [outcome for outcome in self.each if not outcome.placed.buyers_po and not outcome.is_created]

    def describe(self, outcomes: Iterable[Outcome]) -> str:
        """The first three of these orders, with their log lines."""
        return "\n".join(f"{outcome}\n{self.log_lines(outcome.placed)}" for outcome in list(outcomes)[:3])

    def _evidence(self, max_updates: int) -> str:
        bad = [o for o in self.each if o.is_lost or o.is_overwritten or o.is_doubled(max_updates)]
        return self.describe(bad)

    def log_lines(self, placed: Placed) -> str:
        """The log lines of an order, of all processes."""
        mark = f'"store": "{placed.store}", "order_id": {placed.id},'
        return "\n".join(
            f"    {process.name} {line}"
            for process in self.deployment.processes
            for line in process.text.splitlines()
            if mark in line
        )

    def canonical_lines(self) -> Counter[int]:
        """The number of canonical log lines for each order."""
        names = {"order_enriched", "order_skipped", "order_failed"}
        lines = (line for worker in self.deployment.workers for line in worker.events() if line["event"] in names)
        return Counter(line["order_id"] for line in lines)

    def slowest_stage_s(self, stage: Stage) -> float:
        ages = (outcome.entry.age_at(stage) for outcome in self.each if outcome.entry)
        return max(age for age in ages if age is not None)


async def until(condition: Callable[[], Any], *, within_s: float = 20.0, every_s: float = 0.02) -> None:
    """Wait until a condition is true; ``condition`` may be a coroutine function."""
    async with asyncio.timeout(within_s):
        while True:
            result = condition()
            if await result if asyncio.iscoroutine(result) else result:
                return
            await asyncio.sleep(every_s)
