"""Everything fails at once, at random: processes, Redis, BigCommerce and its webhooks, while others edit the records.

Run one storm again: ``make storm SEED=7``. The same seed draws the same faults and orders.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from service.logs import Event
from service.orders.state.job_kinds import PROBE, RECOVERY, REVERIFY, VERIFY, WINDOW
from service.orders.state.keys import breaker_key, parked_key, reverify_key, verify_key, waiting_key
from service.redis.client import connect
from tests.chaos.figures import Report
from tests.chaos.storms.storm import LATENCY_S, WORKERS, Storm
from tests.chaos.storms.storm_orders import StormOrders, storm_figures
from tests.fakes.deployment import Deployment, deployed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

SEEDS = range(1, 11)
STORM_S = 60.0
ORDERS_PER_S = 3.0

SHORT_SEED = 10
SHORT_STORM_S = 15.0

CRASHES = {Event.JOB_CRASHED, Event.INTERNAL_ERROR}
"""No fault from outside may lead to one of these."""

HEALED_S = 120.0
"""After the storm, everything is done within this time."""

# Quotas that do not limit, in short windows: a quota that other apps have used up is soon there again.
QUOTAS: dict[str, Any] = {"core_quota": 5000, "core_quota_window": 6.0, "b2b_quota": 5000, "b2b_quota_window": 6.0}
# BigCommerce repeats a refused webhook after 60 s, 180 s, 300 s …: here after 3 s, 9 s, 15 s.
RETRY_SCALE = 0.05


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        chosen: int | None = metafunc.config.getoption("--storm-seed", default=None)
        metafunc.parametrize("seed", SEEDS if chosen is None else [chosen])


async def test_a_storm_loses_doubles_and_overwrites_nothing(
    tmp_path: Path, report: Report, pytestconfig: pytest.Config, seed: int
) -> None:
    await weather(tmp_path, report, seed, pytestconfig.getoption("--storm-seconds", default=STORM_S))


@pytest.mark.quick
async def test_a_short_storm_loses_doubles_and_overwrites_nothing(tmp_path: Path, report: Report) -> None:
    await weather(tmp_path, report, SHORT_SEED, SHORT_STORM_S)


async def weather(folder: Path, report: Report, seed: int, storm_s: float) -> None:
    """Let a storm run while orders come in, and assert that all promises were kept."""
    async with deployed(
        folder,
        workers=WORKERS,
        worker_module="tests.chaos.storms.storm_worker",
        faults={"latency": LATENCY_S},
        retry_scale=RETRY_SCALE,
        **QUOTAS,
    ) as deployment:
        storm, load = Storm(deployment, seed), StormOrders(deployment, seed)
        async with asyncio.TaskGroup() as running:
            running.create_task(storm.run(storm_s))
            running.create_task(load.place(storm_s, per_s=ORDERS_PER_S))
        still_open, healed_s = await wait_until_done(deployment, [order.placed.id for order in load.orders])

        found = await load.outcomes()
        raced = sum(each.is_raced for each in found)
        remark = f"seed {seed}: {storm.faults} faults, all done {healed_s:.0f} s after them"
        remark += f"; {raced} changed by others just when our write arrived" if raced else ""
        crashes = [line for process in deployment.processes for line in process.events() if line["event"] in CRASHES]
        evidence = "\n".join([f"open {still_open}", f"crashes {crashes[:3]}", f"storm of seed {seed}:", *storm.log])
        scenario = f"storm of all faults for {storm_s:.0f} s, at {ORDERS_PER_S:g} orders/s"
        figures = await storm_figures(deployment, found, scenario, remark, evidence)
        report(figures)
        assert not still_open, figures.evidence
        assert not crashes, figures.evidence


async def wait_until_done(deployment: Deployment, order_ids: list[int]) -> tuple[dict[str, list[str]], float]:
    """Wait until all orders are finished and nothing is left to do; returns what is left, and the seconds it took."""
    began = time.monotonic()
    async with connect(deployment.redis.url, socket_timeout=10.0) as redis:
        while True:
            left, waited_s = await open_work(redis, deployment, order_ids), time.monotonic() - began
            if not left or waited_s > HEALED_S:
                return left, waited_s
            await asyncio.sleep(0.25)


async def open_work(redis: Redis, deployment: Deployment, order_ids: list[int]) -> dict[str, list[str]]:
    """Orders that are not finished, and jobs and worklists that are not empty."""
    store = deployment.stores[0]
    statuses = await deployment.ledger.statuses(store, order_ids)
    unfinished = [order_id for order_id in order_ids if not (found := statuses.get(order_id)) or not found.is_final]
    worklists = [WINDOW.queue, RECOVERY.queue, VERIFY.queue, REVERIFY.queue]
    worklists += [key(store) for key in (verify_key, reverify_key, parked_key, waiting_key)]
    found_open = {key: [str(member) for member in await redis.zrange(key, 0, 4)] for key in worklists}
    found_open["not finished"] = [str(order_id) for order_id in unfinished[:5]]
    found_open["breaker"] = [breaker_key(store)] if await redis.exists(breaker_key(store)) else []
    found_open["probe"] = [PROBE.id(store)] if await redis.zscore(PROBE.queue, PROBE.id(store)) else []
    return {name: members for name, members in found_open.items() if members}
