"""The test orders of a rehearsal: marked, placed by API, and cancelled afterwards whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from service.bigcommerce import StoreApi
from service.bigcommerce.envelope import Document
from service.bigcommerce.models import to_int
from service.errors import NotFound, TryAgain, UpstreamError, WaitUntil
from service.orders.create_window import Window
from service.orders.values.skip import REHEARSAL_SOURCE

PENDING, CANCELLED = 1, 5
"""Order statuses (Orders V2). Pending: paid orders would go to the store's other programs."""

CANCEL_TRIES = 6
LIST_LAG_S = (1.0, 3.0)
"""An order whose answer got lost is looked for after these pauses: the list of orders may lag behind."""

RECENT_S = 300.0
"""A test order that is younger may be that of a run that still measures: one takes about a minute."""

LEFTOVERS_OF_H = 24.0
"""Test orders that a killed run has left are looked for so far back."""

Sleep = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class MarkedOrder:
    """A test order, and when it was created, on BigCommerce's clock in whole seconds."""

    order_id: int
    opened_at: float


@dataclass(slots=True)
class MarkedOrders:
    """Places and cancels test orders of one customer. ``placed`` are those of this run."""

    api: StoreApi
    customer_id: int
    sleep: Sleep = asyncio.sleep
    run: str = field(default_factory=lambda: uuid4().hex[:8])
    placed: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    _unanswered: int = 0

    async def place(self) -> MarkedOrder:
        """Place one order. Raises UpstreamError; where it is unsure, ``cancel_all`` looks for the order."""
        self._unanswered += 1  # a cancelled call may have got through, too
        try:
            document = await self.api.core.create_order(_body(self.customer_id, self.run))
        except TryAgain:
            raise
        except UpstreamError:
            self._unanswered -= 1
            raise
        self._unanswered -= 1
        order_id = to_int(document["id"]) or 0
        self.placed.append(order_id)
        return MarkedOrder(order_id, Window.of_order(str(document["date_created"])).opened_at)

    async def cancel_all(self) -> list[int]:
        """Cancel all orders of this run; returns those that could not be cancelled. Raises nothing of BigCommerce's."""
        for pause_s in LIST_LAG_S if self._unanswered else ():
            await self.sleep(pause_s)
            found = await self._marked(lambda order: self.run in str(order.get("staff_notes")), LEFTOVERS_OF_H * 3600)
            self.placed += [order_id for order_id in found if order_id not in self.placed]
        return [order_id for order_id in self.placed if not await self._cancel(order_id)]

    async def cancel_leftovers(self) -> list[int]:
        """Cancel the test orders that an earlier run has left, because it was killed; returns their ids."""
        leftovers = await self._marked(lambda _: True, LEFTOVERS_OF_H * 3600)
        return [order_id for order_id in leftovers if await self._cancel(order_id)]

    async def recent(self) -> int | None:
        """A test order that may be that of another run at this moment; None where there is none, or no list."""
        return next(iter(await self._marked(lambda _: True, RECENT_S)), None)

    async def _marked(self, matches: Callable[[Document], bool], within_s: float) -> list[int]:
        """The test orders of this time that are not cancelled; none where they cannot be listed."""
        since = datetime.fromtimestamp(self.api.transport.upstream_clock.now(), UTC) - timedelta(seconds=within_s)
        try:
            listed = await self.api.core.orders(min_date_created=since, sort="id:desc")
        except UpstreamError:
            return []
        return [
            to_int(order["id"]) or 0
            for order in listed
            if order.get("external_source") == REHEARSAL_SOURCE
            and to_int(order.get("status_id")) != CANCELLED
            and matches(order)
        ]

    async def _cancel(self, order_id: int) -> bool:
        for attempt in range(CANCEL_TRIES):
            try:
                await self.api.core.update_order(order_id, status_id=CANCELLED)
            except NotFound:
                return True
            except (TryAgain, WaitUntil) as error:
                await self.sleep(error.seconds if isinstance(error, WaitUntil) else 0.5 * 2.0**attempt)
            except UpstreamError:
                return False
            else:
                self.cancelled.append(order_id)
                return True
        return False


def _body(customer_id: int, run: str) -> dict[str, Any]:
    """The smallest order that Orders V2 takes: a custom product, so that no stock changes, and nobody's address."""
    return {
        "customer_id": customer_id,
        "status_id": PENDING,
        "external_source": REHEARSAL_SOURCE,
        "staff_notes": f"Test order of `enrich rehearse`, run {run}. It is cancelled after two minutes.",
        "billing_address": {
            "first_name": "Enrich",
            "last_name": "Rehearsal",
            "street_1": "1 Test Street",
            "city": "Austin",
            "state": "Texas",
            "zip": "78701",
            "country": "United States",
            "country_iso2": "US",
            "email": "rehearsal@example.com",  # nobody reads it: a change of the status may send a mail
        },
        "products": [{"name": "enrich rehearse", "quantity": 1, "price_inc_tax": 1, "price_ex_tax": 1}],
    }
