"""Links that stall, are slow, or end their connections: with a reset, with half a close, or without a word."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.figures import Report
from tests.chaos.load_generator import LoadGenerator, until
from tests.chaos.network.links import Link
from tests.chaos.network.three_hosts import ThreeHosts, three_hosts

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

ORDERS_PER_S = 5
STALL_S = 5
SLOW_BYTES_PER_S = 8_000
FAULTY_S = 15


async def warm(deployment: ThreeHosts, load: LoadGenerator) -> asyncio.Task[None]:
    """Begin to place orders; returns when each worker has finished one."""
    placing = asyncio.create_task(load.place_orders(ORDERS_PER_S * (FAULTY_S + 8), per_s=ORDERS_PER_S))
    await until(lambda: all(deployment.enriched_by(number) for number in range(3)), within_s=60)
    return placing


async def test_stalled_links_to_bigcommerce_double_nothing(tmp_path: Path, report: Report) -> None:
    """What was sent meanwhile arrives afterwards, when its sender has long given it up and sent it again."""
    async with three_hosts(tmp_path) as deployment:
        load = LoadGenerator(deployment)
        placing = await warm(deployment, load)
        for link in deployment.to_bigcommerce:
            link.stall()
        await asyncio.sleep(STALL_S)
        for link in deployment.to_bigcommerce:
            link.resume()
        await placing
        outcomes = await load.outcomes(within_s=60)

        scenario = f"the links of all hosts to BigCommerce stalled for {STALL_S} s, at {ORDERS_PER_S} orders/s"
        report(outcomes.figures(scenario, max_updates=3))
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_slow_links_to_bigcommerce_lose_nothing(tmp_path: Path, report: Report) -> None:
    async with three_hosts(tmp_path) as deployment:
        load = LoadGenerator(deployment)
        placing = await warm(deployment, load)
        for link in deployment.to_bigcommerce:
            link.throttle(SLOW_BYTES_PER_S)
        await placing
        for link in deployment.to_bigcommerce:
            link.throttle(None)
        outcomes = await load.outcomes(within_s=60)

        kilobytes = SLOW_BYTES_PER_S // 1000
        scenario = f"the links to BigCommerce carry {kilobytes} kB/s each for {FAULTY_S} s, at {ORDERS_PER_S} orders/s"
        report(outcomes.figures(scenario, max_updates=3))


@pytest.mark.parametrize(
    ("fault", "what", "every_s"),
    [
        (Link.reset, "reset", 2.0),
        (Link.half_close, "half-closed", 2.0),
        # A call to BigCommerce on such a connection takes its whole timeout of three seconds.
        (Link.silence, "dead without a word", 7.5),
    ],
    ids=["reset", "half-closed", "silent"],
)
async def test_connections_that_end_lose_and_double_nothing(
    tmp_path: Path, report: Report, fault: Callable[[Link], None], what: str, every_s: float
) -> None:
    async with three_hosts(tmp_path, redis_behind_a_proxy=True) as deployment:
        load = LoadGenerator(deployment)
        placing = await warm(deployment, load)
        ended = 0
        for _ in range(int(FAULTY_S / every_s)):
            for link in [*deployment.to_bigcommerce, *deployment.to_redis]:
                ended += link.open
                fault(link)
            await asyncio.sleep(every_s)
        await placing
        outcomes = await load.outcomes(within_s=60)

        scenario = f"all connections to BigCommerce and Redis {what} every {every_s:g} s, at {ORDERS_PER_S} orders/s"
        report(outcomes.figures(scenario, max_updates=3, remark=f"{ended} connections"))
        # How many orders make their window depends on the machine: each connection that ends under an order costs time.
        for process in deployment.processes:
            assert not process.events("internal_error"), process.text
