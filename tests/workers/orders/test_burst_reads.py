"""How many core calls a burst costs: more orders in a few seconds than B2B Edition's quota has calls in a minute.

Everything is a tenth of 300 orders against 150 calls: orders, quotas, and how many orders in recovery try in a second.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from service.bigcommerce import Budget, Transport
from service.orders.document import throttle
from service.orders.state.order_entry import Entry
from tests.workers.stacks.people_stack import PeopleStack
from tests.workers.stacks.stack import RULES, OpenStack
from workers.orders import attempts

ORDERS, PER_S, B2B_QUOTA = 30, 5, 15
LARGE, SMALLEST = 100_000, 15
"""Core calls in 30 seconds: of a plan whose quota is never short, and a tenth of the smallest plan's."""

METAFIELD = {"checkout": {"cost_center": "CC-1"}}
CART_RULES = RULES.replace("metafields.checkout", "cart.metafields.checkout")


@dataclass(slots=True)
class Burst:
    """A burst that is over: its orders, and the core calls that it took."""

    entries: list[Entry]
    calls: Counter[str]

    @property
    def calls_per_order(self) -> float:
        return self.calls.total() / len(self.entries)


PlaceBurst = Callable[..., Awaitable[Burst]]


@pytest.fixture
def place_burst(open_stack: OpenStack, monkeypatch: pytest.MonkeyPatch) -> PlaceBurst:
    """Places the orders, and runs all jobs until each is finished."""

    async def place(rules: str = RULES, *, core_quota: int = LARGE, **fields: Any) -> Burst:
        stack = await open_stack(core_quota=core_quota, b2b_quota=B2B_QUOTA)
        monkeypatch.setattr(attempts, "RECOVERY_RATE_PER_S", attempts.RECOVERY_RATE_PER_S / 10)
        monkeypatch.setattr(throttle.Throttle, "pause_s", 0.0)
        monkeypatch.setattr(throttle, "_now", stack.clock)
        url, http = stack.sandbox.url, stack.sandbox.api._transport
        budget = Budget(stack.redis, clock=stack.clock)
        transport = Transport(http, core_url=url, b2b_url=url, clock=stack.clock, budget=budget)
        people = PeopleStack(replace(stack, transport=transport), rules, late_values="6s", follow="24h")
        orders = []
        for number in range(ORDERS):
            orders.append(await people.place(po_number=f"A-{number}", **fields))
            await people.run_for(1 / PER_S)
        entries = [await people.finish(order_id, most_jobs=3000) for order_id in orders]
        for entry in entries:
            assert entry.status.is_written, entry
            po_number, values = await stack.record(entry.order_id)
            assert (po_number, values["Cost Center"]) == (f"A-{orders.index(entry.order_id)}", "CC-1")
        calls = (await stack.sandbox.calls())["core"]
        return Burst(entries, Counter({operation: sum(counts.values()) for operation, counts in calls.items()}))

    return place


@pytest.mark.parametrize("core_quota", [pytest.param(LARGE, marks=pytest.mark.chaos), SMALLEST])
async def test_an_order_of_a_burst_costs_two_core_calls(place_burst: PlaceBurst, core_quota: int) -> None:
    burst = await place_burst(core_quota=core_quota, metafields=METAFIELD)

    assert burst.calls_per_order <= 2.0, burst.calls


async def test_the_cart_of_each_order_is_read_once(place_burst: PlaceBurst) -> None:
    burst = await place_burst(CART_RULES, cart_metafields=METAFIELD)

    assert burst.calls["Get Cart Metafields"] == ORDERS
    assert burst.calls_per_order <= 2.0, burst.calls
