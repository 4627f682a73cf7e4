"""Overflow: 300 orders of 60 buyers in a minute, where B2B Edition allows 150 calls.

With tokens held for most buyers, with none held, and with ``overflow`` off, which is how earlier versions work.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.sandbox.demo import DEMO_STORE
from tests.bench.burst import core_calls
from tests.bench.durations import Durations
from tests.bench.report import Figure
from tests.bench.report import Target as Goal
from tests.chaos.best_possible import best_possible
from tests.chaos.load_generator import LoadGenerator, Outcomes
from tests.fakes.deployment import deployed
from tests.fakes.storefront import OVERFLOW_RULES, hold_tokens, over_storefront

BUYERS = range(2001, 2061)
HELD_SHARE = 0.9
PER_S = 5
CALLS_PER_S = 150 / 60
"""B2B Edition's quota: 150 calls a minute."""
FINISH_S = 300.0

CORE_CALLS_PER_ORDER = 2.0
BEFORE = 4.5
"""Core calls an order in such a burst that the version before needed (commit 6fbc12a)."""

MOST_429 = Goal("value", "≤", 1.0)

# A constant: what reading 60 Company users costs is another matter, and they are cached in a busy store.
OVERFLOW_ON = OVERFLOW_RULES.replace(
    """{{ from = 'company.extraFields."ERP Account"', required = true }}""", '{{ value = "ERP-10001" }}'
)
OVERFLOW_OFF = OVERFLOW_ON.replace('"storefront"', '"off"')
UNAVOIDABLE = 1  # the extra-field configs


@dataclass(frozen=True, slots=True)
class Burst:
    """What became of the orders of a burst."""

    outcomes: Outcomes
    possible: int
    core_calls: int

    @property
    def created(self) -> int:
        return sum(outcome.is_created for outcome in self.outcomes.each)

    @property
    def over_storefront(self) -> int:
        return sum(over_storefront(outcome.seen["writes"]) for outcome in self.outcomes.each)


async def measure(durations: Durations, report: Callable[[str], None]) -> list[Figure]:
    """Measure the share of orders that are created in their window, the calls that get 429, and those that read."""
    figures: list[Figure] = []
    for rules, share, name in (
        (OVERFLOW_ON, HELD_SHARE, "tokens held for 90 %"),
        (OVERFLOW_ON, 0.0, "no tokens"),
        (OVERFLOW_OFF, 0.0, "overflow off"),
    ):
        report(f"overflow: {round(PER_S * durations.burst_s)} orders of {len(BUYERS)} buyers, {name}")
        burst = await _burst(durations.burst_s, rules, share)
        placed, created = len(burst.outcomes.each), burst.created
        if share:
            value, goal, remark = created / placed, 99.0, f"{burst.over_storefront} of them over the storefront API"
            named = "created in the window"
        else:
            value, goal, remark = created / burst.possible, 97.0, f"{created} of {placed}; {burst.possible} possible"
            named = "created of what the quota allows"
        figures += [
            Figure("overflow", f"{named}, {name}", "%", 100 * value, target=Goal("value", "≥", goal), remark=remark),
            Figure("overflow", f"answers 429, {name}", "", float(burst.outcomes.over_quota), target=MOST_429),
            Figure(
                "overflow",
                f"core calls an order, {name}",
                "",
                burst.core_calls / placed,
                target=Goal("value", "≤", CORE_CALLS_PER_ORDER),
                remark=f"{BEFORE} in the version before",
            ),
        ]
    return figures


async def _burst(seconds: float, rules: str, share: float) -> Burst:
    quota = round(CALLS_PER_S * seconds)
    with tempfile.TemporaryDirectory(prefix="enrich-bench-") as folder:
        async with deployed(
            Path(folder),
            workers=1,
            rules=rules,
            faults={"latency": 0.1},
            b2b_quota=quota,
            b2b_quota_window=seconds,
            storefront_quota=quota,
            storefront_quota_window=seconds,
        ) as deployment:
            store = DEMO_STORE.model_dump(mode="json", by_alias=True)
            users = [{"customer_id": customer, "company_id": 5001} for customer in BUYERS]
            await deployment.sandbox.put_store(**{**store, "users": [*store["users"], *users]})
            await hold_tokens(deployment, BUYERS[: round(share * len(BUYERS))])
            await deployment.wait_until_reconciled()
            await asyncio.sleep(seconds)  # the calls of the workers' start are not those of the burst
            before = await core_calls(deployment)
            load = LoadGenerator(deployment, buyers_po_every=10**9)
            began = time.monotonic()
            for number in range(round(PER_S * seconds)):
                await asyncio.sleep(began + number / PER_S - time.monotonic())
                await load.order(customer_id=BUYERS[number % len(BUYERS)])
            outcomes = await load.outcomes(within_s=FINISH_S)
            calls = await core_calls(deployment)
    outcomes.figures("overflow", max_updates=2).assert_promises()
    placed_at = [outcome.seen["created_at"] for outcome in outcomes.each]
    possible = best_possible(
        placed_at, [False] * len(placed_at), unavoidable=UNAVOIDABLE, limit=quota, window_s=seconds
    )
    return Burst(outcomes, possible, sum(calls.values()) - sum(before.values()))
