"""BigCommerce that answers with errors, late, wrongly or not at all."""

import asyncio
import time
from pathlib import Path

import pytest

from service.orders.state.entry import Stage
from tests.chaos.figures import Report
from tests.chaos.load_generator import PLENTY, LoadGenerator
from tests.fakes.deployment import deployed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]


async def test_a_fifth_of_all_answers_are_errors_and_some_hang(tmp_path: Path, report: Report) -> None:
    faults = {"latency": 0.1, "error_rate": 0.2, "hang_rate": 0.03, "hang_seconds": 4.0, "seed": 7}
    async with deployed(tmp_path, workers=2, faults=faults, **PLENTY) as house:
        shoppers = LoadGenerator(house)
        await shoppers.come(100, per_s=10)
        outcomes = await shoppers.outcomes(within_s=90)

        # A call that hangs is given up after three seconds and done after four: an Update may then be done twice.
        report(outcomes.figures("20 % of all answers 5xx, 3 % hang for 4 s, at 10 orders/s", most_updates=3))
        # Three calls that hang one after the other are more than a window has room for.
        late = outcomes.not_created()
        assert len(late) <= 2, outcomes.describe(late)


async def test_answers_that_get_lost_after_the_work_was_done_double_nothing(tmp_path: Path, report: Report) -> None:
    faults = {"latency": 0.1, "lost_answer_rate": 0.1, "seed": 8}
    async with deployed(tmp_path, workers=2, faults=faults, **PLENTY) as house:
        shoppers = LoadGenerator(house)
        await shoppers.come(100, per_s=20)
        outcomes = await shoppers.outcomes(within_s=60)

        report(outcomes.figures("10 % of all answers lost after the work was done (504, cut), at 20 orders/s"))
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_reads_that_lag_double_nothing(tmp_path: Path, report: Report) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.1, "read_lag": 1.5}, **PLENTY) as house:
        shoppers = LoadGenerator(house)
        await shoppers.come(100, per_s=10)
        outcomes = await shoppers.outcomes(within_s=60)

        verified = f"verified at {outcomes.slowest_stage_s(Stage.VERIFIED):.1f} s at the latest"
        report(outcomes.figures("Get an Order lags by 1.5 s, at 10 orders/s", remark=verified))
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_orders_of_refused_credentials_end_once_these_are_accepted(tmp_path: Path, report: Report) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.1}, **PLENTY) as house:
        shoppers = LoadGenerator(house)
        await shoppers.come(10, per_s=2)
        await house.sandbox.faults(latency=0.1, refuse_credentials=["sandbox"])
        await shoppers.come(40, per_s=2)
        await house.sandbox.faults(latency=0.1)
        counts = await house.sandbox.calls()
        refused = sum(count.get("401", 0) for api in ("core", "b2b") for count in counts[api].values())
        await shoppers.come(10, per_s=2)
        outcomes = await shoppers.outcomes(within_s=60)

        remark = f"{refused} calls while refused"
        report(outcomes.figures("credentials refused for 20 s, at 2 orders/s", remark=remark))
        assert refused <= 12, counts
        assert sum(len(worker.events("credentials_refused")) for worker in house.workers) == 1


@pytest.mark.parametrize("skew", [7.0, -7.0])
async def test_a_clock_that_is_off_costs_no_order_its_window(tmp_path: Path, report: Report, skew: float) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.2, "clock_skew": skew}, **PLENTY) as house:
        shoppers = LoadGenerator(house)
        await shoppers.come(30, per_s=10)
        outcomes = await shoppers.outcomes(within_s=60)

        report(outcomes.figures(f"BigCommerce's clock {abs(skew):g} s {'ahead' if skew > 0 else 'behind'}"))
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_orders_of_an_outage_of_b2b_edition_are_updated_after_it(tmp_path: Path, report: Report) -> None:
    async with deployed(tmp_path, workers=2, faults={"latency": 0.1}, **PLENTY) as house:
        shoppers = LoadGenerator(house)
        coming = asyncio.create_task(shoppers.come(80, per_s=2))
        await asyncio.sleep(5)
        await house.sandbox.faults(latency=0.1, b2b_down=True)
        await asyncio.sleep(30)
        await house.sandbox.faults(latency=0.1)
        up_at = time.monotonic()
        await coming
        outcomes = await shoppers.outcomes(within_s=90)

        remark = f"all done {time.monotonic() - up_at:.0f} s after it"
        report(outcomes.figures("B2B Edition down for 30 s, at 2 orders/s", remark=remark))
