"""More orders than BigCommerce's quota allows."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.best_possible import best_possible
from tests.chaos.figures import Report
from tests.chaos.load_generator import LoadGenerator
from tests.fakes.deployment import deployed

pytestmark = [pytest.mark.chaos]


@pytest.mark.quick
def test_best_possible_is_what_fits_into_the_quota() -> None:
    assert best_possible([*range(30)], [False] * 30) == 30
    assert best_possible([0.0] * 200, [False] * 200) == 147
    assert best_possible([0.0] * 200 + [55.0] * 200, [False] * 400) == 147 + 150
    assert best_possible([0.0] * 200 + [49.0] * 200, [False] * 400) == 147
    assert best_possible([0.0] * 10, [True] * 10) == 0


@pytest.mark.timeout(480)
async def test_a_busy_minute_wastes_no_call_of_the_quota(tmp_path: Path, report: Report) -> None:
    """300 orders in a minute, with a quota of 150 calls a minute. The others are updated when the quota is renewed."""
    async with deployed(tmp_path, workers=2, faults={"latency": 0.1}) as deployment:
        load = LoadGenerator(deployment, buyers_po_every=50)
        await load.place_orders(300, per_s=5)
        outcomes = await load.outcomes(within_s=360)

        best = best_possible(
            [outcome.seen["created_at"] for outcome in outcomes.each],
            [bool(outcome.placed.buyers_po) for outcome in outcomes.each],
        )
        share = sum(outcome.is_created for outcome in outcomes.each) / best
        remark = f"{share:.1%} of the {best} that were possible, the last updated {outcomes.waited_s:.0f} s later"
        report(outcomes.figures("300 orders in a minute, 150 calls allowed", max_updates=2, remark=remark))
        assert share >= 0.97
        assert outcomes.over_quota <= 1


@pytest.mark.timeout(480)
async def test_a_burst_in_one_store_does_not_affect_another(tmp_path: Path, report: Report) -> None:
    """The quotas are BigCommerce's, but their windows are a third as long, to keep the test short."""
    quotas: dict[str, Any] = {"core_quota_window": 10.0, "b2b_quota_window": 20.0}
    async with deployed(
        tmp_path, workers=2, stores=("burst", "quiet"), faults={"latency": 0.1}, **quotas
    ) as deployment:
        busy, calm = LoadGenerator(deployment, "burst", buyers_po_every=40), LoadGenerator(deployment, "quiet")
        await asyncio.gather(busy.place_orders(400, per_s=200), calm.place_orders(40, per_s=1))
        quiet = await calm.outcomes(within_s=60)
        burst = await busy.outcomes(within_s=300)

        report(quiet.figures("a quiet store, 1 order/s, beside that one"))
        remark = f"the last updated {40 + quiet.waited_s + burst.waited_s:.0f} s later"
        report(burst.figures("400 orders at once in one store, 150 calls allowed", max_updates=2, remark=remark))
        assert not quiet.not_created(), quiet.describe(quiet.not_created())
        assert quiet.over_quota == 0
