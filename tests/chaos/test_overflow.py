"""Creates past the quota, while the storefront API that they go over fails."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.best_possible import best_possible
from tests.chaos.figures import Report
from tests.chaos.load_generator import LoadGenerator, Outcomes
from tests.fakes.deployment import ADA, deployed
from tests.fakes.storefront import OVERFLOW_RULES, hold_tokens, over_storefront, storefront_creates

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

STOREFRONT: dict[str, Any] = {"apis": ["storefront"]}
# A third of the real windows, to keep the tests short; longer than an order's window, so that waiting helps few.
QUOTA: dict[str, Any] = {"b2b_quota": 50, "b2b_quota_window": 20.0}
ORDERS, PER_S = 100, 10
MOST_LOST = 10
"""Of an outage of two seconds: its failures close the way for no longer than half a window."""
LEAST_SHARE = 0.8
"""Of what B2B Edition's quota allows by itself: so much is created, whatever becomes of the storefront API. Where each
order that tried it cost a read-back, it was two thirds."""


@pytest.mark.parametrize(
    ("scenario", "faults", "is_taken"),
    [
        ("works", {}, True),
        ("is down", {"error_rate": 1.0, **STOREFRONT}, False),
        ("is slow: 5 s a call", {"latency": 5.0, **STOREFRONT}, True),
        ("hangs for 4 s", {"hang_rate": 1.0, "hang_seconds": 4.0, **STOREFRONT}, None),
        ("refuses the tokens", {"refuse_buyers": True}, False),
        ("answers 429", {"exhausted": ["storefront"]}, False),
        ("does the work and the answer is lost", {"lost_answer_rate": 1.0, **STOREFRONT}, True),
        ("answers nonsense, half of it after the work was done", {"nonsense_rate": 1.0, **STOREFRONT}, None),
    ],
)
async def test_a_failing_storefront_loses_doubles_and_overwrites_nothing(
    tmp_path: Path, report: Report, scenario: str, faults: dict[str, Any], *, is_taken: bool | None
) -> None:
    """``is_taken``: whether records are made over it. None: that depends on who comes first."""
    async with deployed(tmp_path, workers=2, rules=OVERFLOW_RULES, **QUOTA) as deployment:
        await hold_tokens(deployment, [ADA])
        await deployment.sandbox.faults(**faults)
        load = LoadGenerator(deployment, buyers_po_every=50)
        await load.place_orders(ORDERS, per_s=PER_S)
        outcomes = await load.outcomes(within_s=180)

        taken = sum(over_storefront(outcome.seen["writes"]) for outcome in outcomes.each)
        title = f"past the quota, the storefront API {scenario}"
        best = _b2b_edition_alone(outcomes)
        created = sum(outcome.is_created for outcome in outcomes.each)
        remark = f"{taken} created over the storefront API"
        if not taken:
            remark += f", {created / best:.0%} of the {best} that B2B Edition's quota allowed"
        report(outcomes.figures(title, max_updates=2, remark=remark))
        assert await storefront_creates(deployment), "the storefront API was not even tried"
        assert is_taken is None or bool(taken) is is_taken
        wrong = [
            o for o in outcomes.each if o.entry and (o.entry.via == "storefront") != over_storefront(o.seen["writes"])
        ]
        assert not wrong, outcomes.describe(wrong)
        assert created >= LEAST_SHARE * best, "calls of B2B Edition's quota were spent on reading back"
        if not faults:
            assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())
        refused = sum(len(worker.events("credentials_refused")) for worker in deployment.workers)
        assert refused == 0, "it says nothing of the store's own token"


def _b2b_edition_alone(outcomes: Outcomes) -> int:
    """How many orders B2B Edition's quota allowed, had each call of it been a Create."""
    placed_at = [outcome.seen["created_at"] for outcome in outcomes.each]
    buyers_own = [bool(outcome.placed.buyers_po) for outcome in outcomes.each]
    limit, window_s = QUOTA["b2b_quota"], QUOTA["b2b_quota_window"]
    return best_possible(placed_at, buyers_own, limit=limit, window_s=window_s)


async def test_an_outage_of_two_seconds_costs_few_orders_their_window(tmp_path: Path, report: Report) -> None:
    """It is closed for two seconds, and once more for four at the most; the orders wait for it."""
    async with deployed(tmp_path, workers=2, rules=OVERFLOW_RULES, **QUOTA) as deployment:
        await hold_tokens(deployment, [ADA])
        load = LoadGenerator(deployment, buyers_po_every=50)

        async def fail_for_a_while() -> None:
            async with asyncio.timeout(30.0):
                while not await storefront_creates(deployment):  # noqa: ASYNC110 - the quota must be spent first
                    await asyncio.sleep(0.1)
            await deployment.sandbox.faults(error_rate=1.0, **STOREFRONT)
            await asyncio.sleep(2.0)
            await deployment.sandbox.faults()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail_for_a_while())
            await load.place_orders(ORDERS, per_s=PER_S)
        outcomes = await load.outcomes(within_s=180)

        taken = sum(over_storefront(outcome.seen["writes"]) for outcome in outcomes.each)
        title = "past the quota, the storefront API is down for 2 s"
        report(outcomes.figures(title, max_updates=2, remark=f"{taken} created over the storefront API"))
        closed = [event for worker in deployment.workers for event in worker.events("storefront_closed")]
        assert any(event["level"] == "warning" for event in closed), "no order met the outage"
        assert sum(len(worker.events("storefront_reopened")) for worker in deployment.workers) == 1
        assert len(outcomes.not_created()) <= MOST_LOST, outcomes.describe(outcomes.not_created())
