"""What the measurements of one rehearsal share: its orders, its clock, its calls, its results."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from service.bigcommerce import StoreApi
from service.bigcommerce.models import ExtraFieldConfig, Record
from service.errors import NotFound, TryAgain
from service.orders.rehearsal.lines import Schedule
from service.orders.rehearsal.marked_orders import MarkedOrder, MarkedOrders, Sleep
from service.orders.rehearsal.measurement import Measurement

T = TypeVar("T")

Report = Callable[[str], None]


@dataclass(slots=True)
class Run:
    """One run. ``report`` is called with each step, ``configs`` are the store's extra-field configs."""

    api: StoreApi
    orders: MarkedOrders
    schedule: Schedule = field(default_factory=Schedule)
    sleep: Sleep = asyncio.sleep
    report: Report = lambda _: None
    configs: list[ExtraFieldConfig] = field(default_factory=list)
    measured: dict[str, Measurement] = field(default_factory=dict)

    def add(self, measurement: Measurement) -> None:
        """Add a result."""
        self.measured[measurement.subject] = measurement
        self.report(f"{measurement.subject}: {measurement.found}")

    async def record(self, order: MarkedOrder) -> Record | None:
        """The order's record; None where there is none."""
        try:
            return await self.read(lambda: self.api.b2b.order(order.order_id))
        except NotFound:
            return None

    async def read(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that changes nothing, again where it fails for now. Raises the last error."""
        for pause_s in (0.5, 1.0, 2.0):
            try:
                return await call()
            except TryAgain:
                await self.sleep(pause_s)
        return await call()

    async def until(self, order: MarkedOrder, age_s: float) -> None:
        """Wait until the order is so old."""
        while (left := age_s - self.age(order)) > 0:
            await self.sleep(left)

    def age(self, order: MarkedOrder) -> float:
        """The order's age in seconds. ``date_created`` has whole seconds, so it may be up to a second younger."""
        return self.now() - order.opened_at

    def now(self) -> float:
        """The time on BigCommerce's clock, in Unix seconds."""
        return self.api.transport.upstream_clock.now()

    def skew(self) -> float:
        """BigCommerce's clock minus this machine's, in seconds."""
        return self.api.transport.upstream_clock.skew

    def po(self) -> str:
        """The PO number of the test orders."""
        return f"REHEARSE-{self.orders.run}"
