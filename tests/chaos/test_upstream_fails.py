"""BigCommerce answers with errors, late, wrongly or not at all."""

import asyncio
import time
from pathlib import Path

import pytest

from service.orders.state.order_entry import Stage
from tests.chaos.figures import Report
from tests.chaos.load_generator import PLENTY, LoadGenerator
from tests.fakes.deployment import deployed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]


async def test_a_fifth_of_all_answers_are_errors_and_some_hang(tmp_path: Path, report: Report) -> None:
    faults = {"latency": 0.1, "error_rate": 0.2, "hang_rate": 0.03, "hang_seconds": 4.0, "seed": 7}
    async with deployed(tmp_path, workers=2, faults=faults, **PLENTY) as deployment:
        load = LoadGenerator(deployment)
        await load.place_orders(100, per_s=10)
        outcomes = await load.outcomes(within_s=90)

        # A call that hangs times out after three seconds and is carried out after four: an Update may be done twice.
        report(outcomes.figures("20 % of all answers 5xx, 3 % hang for 4 s, at 10 orders/s", max_updates=3))
        # Three calls that hang one after the other take longer than a window.
        late = outcomes.not_created()
        assert len(late) <= 2, outcomes.describe(late)


async def test_lost_answers_double_nothing(tmp_path: Path, report: Report) -> None:
    faults = {"latency": 0.1, "lost_answer_rate": 0.1, "seed": 8}
    async with deployed(tmp_path, workers=2, faults=faults, **PLENTY) as deployment:
        load = LoadGenerator(deployment)
        await load.place_orders(100, per_s=20)
        outcomes = await load.outcomes(within_s=60)

        report(outcomes.figures("10 % of all answers lost after the work was done (504, cut), at 20 orders/s"))
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_reads_that_lag_double_nothing(tmp_path: Path, report: Report) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.1, "read_lag": 1.5}, **PLENTY) as deployment:
        load = LoadGenerator(deployment)
        await load.place_orders(100, per_s=10)
        outcomes = await load.outcomes(within_s=60)

        verified = f"verified at {outcomes.slowest_stage_s(Stage.VERIFIED):.1f} s at the latest"
        report(outcomes.figures("Get an Order lags by 1.5 s, at 10 orders/s", remark=verified))
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_orders_with_refused_credentials_are_finished_once_the_token_is_right(
    tmp_path: Path, report: Report
) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.1}, **PLENTY) as deployment:
        load = LoadGenerator(deployment)
        await load.place_orders(10, per_s=2)
        await deployment.sandbox.faults(latency=0.1, refuse_credentials=["sandbox"])
        await load.place_orders(40, per_s=2)
        await deployment.sandbox.faults(latency=0.1)
        counts = await deployment.sandbox.calls()
        refused = sum(count.get("401", 0) for api in ("core", "b2b") for count in counts[api].values())
        await load.place_orders(10, per_s=2)
        outcomes = await load.outcomes(within_s=60)

        remark = f"{refused} calls while refused"
        report(outcomes.figures("credentials refused for 20 s, at 2 orders/s", remark=remark))
        assert refused <= 12, counts
        assert sum(len(worker.events("credentials_refused")) for worker in deployment.workers) == 1


@pytest.mark.parametrize("skew", [7.0, -7.0])
async def test_a_skewed_clock_costs_no_order_its_window(tmp_path: Path, report: Report, skew: float) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.2, "clock_skew": skew}, **PLENTY) as deployment:
        load = LoadGenerator(deployment)
        await load.place_orders(30, per_s=10)
        outcomes = await load.outcomes(within_s=60)

        report(outcomes.figures(f"BigCommerce's clock {abs(skew):g} s {'ahead' if skew > 0 else 'behind'}"))
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_orders_of_a_b2b_edition_outage_are_updated_after_it(tmp_path: Path, report: Report) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.1}, **PLENTY) as deployment:
        load = LoadGenerator(deployment)
        placing = asyncio.create_task(load.place_orders(80, per_s=2))
        await asyncio.sleep(5)
        await deployment.sandbox.faults(latency=0.1, b2b_down=True)
        await asyncio.sleep(30)
        await deployment.sandbox.faults(latency=0.1)
        up_at = time.monotonic()
        await placing
        outcomes = await load.outcomes(within_s=90)

        remark = f"all done {time.monotonic() - up_at:.0f} s after it"
        report(outcomes.figures("B2B Edition down for 30 s, at 2 orders/s", remark=remark))
