"""Machines whose clocks differ, as real processes: libfaketime shifts the clock of one of them."""

from pathlib import Path

import pytest

from service.orders.state.order_entry import Stage, Status
from tests.fakes.deployment import Deployment, deployed, outcomes

FAKETIME = next(Path("/usr/lib").glob("**/libfaketimeMT.so.1"), None)

CHAOS = pytest.mark.chaos
"""Another machine's clock wrong by another amount: `make chaos` tries these, too."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (apt-get install libfaketime)"),
]


def shift_clock(deployment: Deployment, skew_s: float) -> None:
    """Shift the clock of the processes that are started from now on."""
    shifted = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"{skew_s:+g}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    deployment.environ |= shifted if skew_s else dict.fromkeys(shifted, "")


async def orders_are_enriched(deployment: Deployment) -> None:
    """Place orders one after the other: each is picked up at once, and no time of it is impossible."""
    for number in range(3):
        orders = {await deployment.place(number): number}
        entries = await deployment.wait_until_finished(orders)
        assert outcomes(entries) == {Status.CREATED: 1}
        (entry,) = entries.values()
        assert 0.0 <= entry.times[Stage.PICKED_UP] - entry.times[Stage.QUEUED] < 3.0
        ages = {stage.value: age for stage in Stage if (age := entry.age_at(stage)) is not None}
        assert all(age < 15.0 for age in ages.values()), ages
    lines = [line for worker in deployment.workers for line in worker.events("order_enriched")]
    assert all(line[key] >= 0 for line in lines for key in ("age_ms", "margin_ms", "queue_ms", "duration_ms")), lines


@pytest.mark.parametrize("skew_s", [pytest.param(skew_s, marks=CHAOS) for skew_s in (-60.0, -9.0, -4.0, 60.0)])
async def test_a_worker_whose_clock_is_wrong_enriches_orders_in_time(tmp_path: Path, skew_s: float) -> None:
    async with deployed(tmp_path, workers=0) as deployment:
        shift_clock(deployment, skew_s)
        worker = deployment.start_worker()
        await deployment.ready(1)
        await orders_are_enriched(deployment)
        logged = {line["against"]: line["skew_ms"] for line in worker.events("clock_skew")}
        assert abs(logged["redis"] + skew_s * 1000) < 1000


@pytest.mark.parametrize("skew_s", [9.0, *(pytest.param(skew_s, marks=CHAOS) for skew_s in (-60.0, 60.0))])
async def test_a_receiver_whose_clock_is_wrong_delays_no_order(tmp_path: Path, skew_s: float) -> None:
    async with deployed(tmp_path, workers=0) as deployment:
        await deployment.web.stop()
        shift_clock(deployment, skew_s)
        deployment.start_web()
        shift_clock(deployment, 0.0)
        deployment.start_worker()
        await deployment.ready(1)
        await orders_are_enriched(deployment)


@pytest.mark.chaos
@pytest.mark.parametrize("skew_s", [pytest.param(-60.0, marks=CHAOS), 60.0])
async def test_all_our_clocks_may_differ_from_bigcommerce(tmp_path: Path, skew_s: float) -> None:
    async with deployed(tmp_path, workers=1, faults={"clock_skew": skew_s}) as deployment:
        await orders_are_enriched(deployment)
