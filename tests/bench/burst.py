"""A burst: 300 orders in a minute against the 150 calls of B2B Edition's quota, on a large and on the smallest plan.

The sandbox limits the calls as BigCommerce does. What counts is how many calls of the core API an order costs until
it is verified: in its window, waiting for quota, and afterwards.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from service.orders.state.order_entry import Status
from tests.bench.durations import Durations
from tests.bench.report import Figure
from tests.bench.report import Target as Goal
from tests.fakes.deployment import RULES, Deployment, deployed

FULL_BURST, PER_S = 300, 5
WORKERS = 2
LATENCY_S = 0.1
WITHIN_S = 900.0
LARGE_PLAN = 1_000_000
METAFIELD_RULE = '"Cost Center" = "metafields.checkout.cost_center"\n'
CALLS_PER_ORDER = 2.0

BEFORE = {"a large plan": 8.7, "the smallest plan": 3.5}
"""Core calls an order in the same burst that the version before needed (commit 6fbc12a)."""


async def measure(durations: Durations, report: Callable[[str], None]) -> list[Figure]:
    """Measure both plans, one after the other. A quick run has fewer orders, and as much shorter quota windows."""
    orders = durations.burst
    plans = (("a large plan", LARGE_PLAN), ("the smallest plan", orders // 2))
    return [figure for name, quota in plans for figure in await _measure_plan(name, quota, orders, report)]


async def _measure_plan(name: str, core_quota: int, orders: int, report: Callable[[str], None]) -> list[Figure]:
    scale = orders / FULL_BURST
    quotas: dict[str, Any] = {
        "core_quota": core_quota,
        "core_quota_window": 30.0 * scale,
        "b2b_quota": orders // 2,
        "b2b_quota_window": 60.0 * scale,
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with deployed(
            Path(folder), workers=WORKERS, rules=RULES + METAFIELD_RULE, faults={"latency": LATENCY_S}, **quotas
        ) as deployment:
            await deployment.wait_until_reconciled()
            before = await core_calls(deployment)
            report(f"burst: {orders} orders at {PER_S}/s, {name}")
            placed = await _place(deployment, orders)
            began = time.monotonic()
            await _wait_until_finished(deployment, set(placed), report)
            waited_s = time.monotonic() - began
            calls = await core_calls(deployment)
            entries = await deployment.ledger.get_many(deployment.stores[0], placed)
    assert all(entry.status in (Status.CREATED, Status.UPDATED) and entry.verified for entry in entries)
    made = {operation: count - before.get(operation, 0) for operation, count in calls.items()}
    in_detail = ", ".join(f"{count} {operation}" for operation, count in sorted(made.items()) if count)
    return [
        Figure(
            "burst",
            f"core calls an order, {name}",
            "",
            sum(made.values()) / orders,
            target=Goal("value", "≤", CALLS_PER_ORDER),
            remark=f"{BEFORE[name]} in the version before; {in_detail}",
        ),
        Figure("burst", f"created in the window, {name}", "", float(sum(entry.in_window is True for entry in entries))),
        Figure("burst", f"until the last order is verified, {name}", "s", waited_s),
    ]


async def _place(deployment: Deployment, orders: int) -> list[int]:
    placed, began = [], time.monotonic()
    for number in range(orders):
        await asyncio.sleep(began + number / PER_S - time.monotonic())
        placed.append(await deployment.place(number, metafields={"checkout": {"cost_center": "CC-1"}}))
    return placed


async def _wait_until_finished(deployment: Deployment, waiting: Collection[int], report: Callable[[str], None]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while waiting:
            statuses = await deployment.ledger.statuses(deployment.stores[0], waiting)
            left = [order_id for order_id in waiting if not statuses.get(order_id, Status.QUEUED).is_final]
            if len(left) // 50 < len(waiting) // 50:
                report(f"burst: {len(left)} orders wait")
            waiting = left
            await asyncio.sleep(0.5)


async def core_calls(deployment: Deployment) -> dict[str, int]:
    """The calls so far that read orders, by operation; those of periodic tasks among them."""
    calls = (await deployment.sandbox.calls())["core"]
    return {operation: sum(counts.values()) for operation, counts in calls.items() if "Order" in operation}
