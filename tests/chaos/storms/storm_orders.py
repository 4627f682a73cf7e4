"""Orders during a storm, what others write on their records meanwhile, and what became of both."""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from service.orders.state.order_entry import Status
from tests.chaos.figures import Figures
from tests.chaos.load_generator import CREATE, UPDATE, Outcome, Outcomes, Placed
from tests.fakes.deployment import ADA, CLEO, EVE, Deployment

PO_NUMBER = "po_number"
ACCOUNTS = {ADA: "ERP-10001", CLEO: "ERP-10002", EVE: "ERP-10003"}
"""The ERP account of each buyer's Company: the value of the extra field "Account No"."""

Kind = Literal["plain", "po at once", "po", "record", "staff po", "staff field", "staff other field", "wipe"]

KINDS: Mapping[Kind, int] = {
    "plain": 8,
    "po at once": 2,
    "po": 2,
    "record": 2,
    "staff po": 2,
    "staff field": 1,
    "staff other field": 1,
    "wipe": 2,
}
"""What others do with an order's record, with its weight.

``po at once``: the buyer's own PO is on the record from the start. ``po``: it is written 0.3 s or 3 s after the order.
``record``: so is the platform's whole record, with the buyer's PO and without our extra fields. ``staff …``: staff
change a value. ``wipe``: the platform loses all our values soon after we wrote them.
"""

MAX_STAFF_DELAY_S = 20.0
MAX_UPDATES = 10
"""An Update without an answer may be sent again, and a wiped value is written once more; more is a loop."""

MAX_WIPE_DELAY_S = 2.5
"""The verification or the re-verification is still to come."""


@dataclass(slots=True)
class StormOrder:
    """An order of the storm. ``theirs`` are the values of others, on its record since ``theirs_at``."""

    placed: Placed
    kind: Kind
    ours: Mapping[str, str]
    theirs: dict[str, str] = field(default_factory=dict)
    theirs_at: float = 0.0


@dataclass(frozen=True, slots=True)
class StormOutcome:
    """What became of an order, by the ledger and by the sandbox's books."""

    order: StormOrder
    outcome: Outcome

    @property
    def record(self) -> dict[str, str]:
        """The values on the record."""
        record = self.outcome.seen["record"]
        return {} if record is None else {PO_NUMBER: record["po_number"] or "", **record["extra_fields"]}

    @property
    def is_lost(self) -> bool:
        """Whether the order has no good outcome, or a value on its record is neither ours nor somebody else's."""
        entry, order = self.outcome.entry, self.order
        if entry is None or entry.status not in (Status.CREATED, Status.UPDATED, Status.UNCHANGED):
            return True
        found = self.record
        # An order with another value than ours is not verified.
        return not (entry.verified or order.theirs) or any(
            found.get(name) not in (value, order.theirs.get(name, value)) for name, value in order.ours.items()
        )

    @property
    def is_doubled(self) -> bool:
        return len(self.outcome.writes(CREATE)) > 1 or len(self.outcome.writes(UPDATE)) > MAX_UPDATES

    @property
    def is_overwritten(self) -> bool:
        return any(not self._is_race(name) for name in self._missing())

    @property
    def is_raced(self) -> bool:
        """Whether our write arrived just after theirs, and was built from a read before it: that cannot be avoided."""
        return bool(self._missing()) and not self.is_overwritten

    def _missing(self) -> list[str]:
        found = self.record
        return [name for name, value in self.order.theirs.items() if found.get(name) != value]

    def _is_race(self, name: str) -> bool:
        order, seen = self.order, self.outcome.seen
        for write in seen["writes"]:
            values = {PO_NUMBER: write["po_number"], **(write["extra_fields"] or {})}
            touched = values[PO_NUMBER] if name == PO_NUMBER else write["extra_fields"]
            if write["at"] >= order.theirs_at and touched is not None and values.get(name) != order.theirs[name]:
                return not any(
                    read["written_at"] >= order.theirs_at and read["at"] < write["received_at"]
                    for read in seen["reads"]
                )
        return False

    def __str__(self) -> str:
        order, seen = self.order, self.outcome.seen
        began = seen["created_at"]
        writes = [
            f"{write['operation']} received {write['received_at'] - began:.2f}, done {write['at'] - began:.2f}: "
            f"{write['po_number']} {write['extra_fields']}"
            for write in seen["writes"]
        ]
        reads = [f"{read['at'] - began:.2f} (of {read['written_at'] - began:.2f})" for read in seen["reads"]]
        theirs = f"theirs {order.theirs} at {order.theirs_at - began:.2f}" if order.theirs else ""
        record = f"record {seen['record']}\n  reads {reads}\n  {self.outcome.entry}"
        return f"{order.placed.id} {order.kind} {theirs}\n  " + "\n  ".join([*writes, record])


class StormOrders:
    """Places orders at a few per second, and changes their records as others do."""

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self.orders: list[StormOrder] = []
        self._deployment = deployment
        self._rng = random.Random(f"{seed} orders")
        self._ends = 0.0

    async def place(self, duration_s: float, *, per_s: float) -> None:
        """Place orders for so long, and wait until others have done with their records."""
        self._ends, kinds = time.monotonic() + duration_s, self._kinds()
        async with asyncio.TaskGroup() as others:
            while time.monotonic() < self._ends:
                order = await self._place(next(kinds))
                others.create_task(self._change(order, random.Random(self._rng.random())))
                await asyncio.sleep(self._rng.uniform(0.5, 1.5) / per_s)

    async def outcomes(self) -> list[StormOutcome]:
        """The outcome of each order."""
        store, sandbox, ledger = self._deployment.stores[0], self._deployment.sandbox, self._deployment.ledger
        return [
            StormOutcome(
                order,
                Outcome(
                    order.placed, await ledger.get(store, order.placed.id), await sandbox.order(order.placed.id, store)
                ),
            )
            for order in self.orders
        ]

    def _kinds(self) -> Iterator[Kind]:
        """Shuffled decks of all kinds. The first order is a plain one."""
        yield "plain"
        deck = [kind for kind, weight in KINDS.items() for _ in range(weight)]
        while True:
            yield from self._rng.sample(deck, len(deck))

    async def _place(self, kind: Kind) -> StormOrder:
        number = len(self.orders) + 1
        buyer = self._rng.choice(list(ACCOUNTS))
        at_once: dict[str, Any] = {"buyer_po": f"BUYER-{number}", "record_after": 0.0} if kind == "po at once" else {}
        order_id = await self._deployment.place(number, customer_id=buyer, **at_once)
        placed = Placed(self._deployment.stores[0], order_id, number, at_once.get("buyer_po"))
        order = StormOrder(placed, kind, {PO_NUMBER: f"PO-{number}", "Account No": ACCOUNTS[buyer]})
        if at_once:
            order.theirs = {PO_NUMBER: f"BUYER-{number}"}
        self.orders.append(order)
        return order

    async def _change(self, order: StormOrder, rng: random.Random) -> None:
        """Change the order's record as its kind says."""
        number = order.placed.number
        match order.kind:
            case "po":
                await asyncio.sleep(rng.choice((0.3, 3.0)))
                await self._write(order, po_number=f"BUYER-{number}")
            case "record":
                await asyncio.sleep(rng.choice((0.3, 3.0)))
                await self._write(order, po_number=f"BUYER-{number}", extra_fields={})
            case "staff po":
                await self._sleep(rng.uniform(0.5, MAX_STAFF_DELAY_S))
                await self._write(order, po_number=f"STAFF-{number}")
            case "staff field":
                await self._sleep(rng.uniform(0.5, MAX_STAFF_DELAY_S))
                await self._write(order, changed_fields={"Account No": f"STAFF-{number}"})
            case "staff other field":
                await self._sleep(rng.uniform(0.5, MAX_STAFF_DELAY_S))
                await self._write(order, changed_fields={"Cost Center": f"CC-{number}"})
            case "wipe":
                await self._wipe(order, rng)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not long beyond the end of the storm."""
        await asyncio.sleep(min(seconds, max(0.0, self._ends - time.monotonic()) + 1.0))

    async def _write(self, order: StormOrder, **values: Any) -> None:
        written = await self._deployment.sandbox.write_record(order.placed.id, order.placed.store, **values)
        order.theirs_at = written["written_at"]
        po_number, fields = values.get(PO_NUMBER), values.get("changed_fields", {})
        order.theirs = {**({PO_NUMBER: po_number} if po_number else {}), **fields}

    async def _wipe(self, order: StormOrder, rng: random.Random) -> None:
        """Wipe our values soon after we wrote them; not at all if we do not write them during the storm."""
        delay_s, began = rng.uniform(0.0, MAX_WIPE_DELAY_S), time.monotonic()
        while not (await self._deployment.sandbox.order(order.placed.id, order.placed.store))["writes"]:
            if time.monotonic() - began > 20.0:
                return
            await asyncio.sleep(0.1)
        await asyncio.sleep(delay_s)
        await self._deployment.sandbox.write_record(order.placed.id, order.placed.store, po_number="", extra_fields={})


async def storm_figures(
    deployment: Deployment, found: list[StormOutcome], scenario: str, remark: str, evidence: str
) -> Figures:
    """The figures of a storm, with the first orders whose promise was broken as evidence."""
    calls = await deployment.sandbox.calls(deployment.stores[0])
    outcomes = Outcomes(deployment, [each.outcome for each in found], sum(calls["over_quota"].values()), 0.0)
    bad = [each for each in found if each.is_lost or each.is_doubled or each.is_overwritten]
    told = [f"{each}\n{outcomes.log_lines(each.order.placed)}" for each in bad[:3]]
    return Figures(
        scenario,
        orders=len(found),
        creatable=sum(each.order.kind != "po at once" for each in found),
        created=sum(each.outcome.is_created for each in found),
        updated=sum(each.outcome.is_updated for each in found),
        lost=sum(each.is_lost for each in found),
        doubled=sum(each.is_doubled for each in found),
        overwritten=sum(each.is_overwritten for each in found),
        worst_age_s=max((age for each in found for age in each.outcome.writes(CREATE)), default=None),
        over_quota=outcomes.over_quota,
        remark=remark,
        evidence="\n".join([evidence, *told]),
    )
