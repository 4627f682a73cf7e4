"""Hosts are cut off: a worker's, the Redis master's, the receivers'."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.chaos.figures import Report
from tests.chaos.load_generator import LoadGenerator, Outcomes, until
from tests.chaos.network.namespaces import cut_between, heal_between
from tests.chaos.network.three_hosts import ThreeHosts, three_hosts

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

CUT_S = 20
# Fewer than a hundred webhooks in two minutes: BigCommerce blocks a domain only if there are more.
ORDERS_PER_S = 3
# With three calls one after the other an order is in progress for about two seconds, so that each worker has some.
LATENCY_S = 0.5


def webhooks(outcomes: Outcomes) -> str:
    accepted = sum(outcome.accepted_at_once for outcome in outcomes.each)
    return f"{accepted} of {len(outcomes.each)} webhooks accepted at once"


async def all_work_again(deployment: ThreeHosts, load: LoadGenerator) -> None:
    """Place orders until each worker has finished one of them."""
    before = [deployment.enriched_by(number) for number in range(3)]

    async def each_has() -> bool:
        await load.order()
        await asyncio.sleep(0.3)
        return all(deployment.enriched_by(number) > before[number] for number in range(3))

    await until(each_has, within_s=60)


async def test_a_cut_off_worker_costs_no_order_its_window(tmp_path: Path, report: Report) -> None:
    async with three_hosts(tmp_path) as deployment:
        await deployment.sandbox.faults(latency=LATENCY_S)
        load = LoadGenerator(deployment)
        host = deployment.hosts[2]
        placing = asyncio.create_task(load.place_orders((CUT_S + 8) * ORDERS_PER_S, per_s=ORDERS_PER_S))
        await until(lambda: deployment.enriched_by(2), within_s=60)
        host.pull_cable()
        await asyncio.sleep(CUT_S)
        host.plug_in()
        await placing
        await all_work_again(deployment, load)
        outcomes = await load.outcomes(within_s=60)

        scenario = f"a worker's host cut off for {CUT_S} s, at {ORDERS_PER_S} orders/s"
        report(outcomes.figures(scenario, remark=webhooks(outcomes)))
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())


async def test_the_master_s_host_is_cut_off_and_comes_back(tmp_path: Path, report: Report) -> None:
    """Redis fails over; with the host a receiver and a worker are gone, too."""
    async with three_hosts(tmp_path) as deployment:
        load = LoadGenerator(deployment)
        host, other = deployment.hosts[:2]
        placing = asyncio.create_task(load.place_orders((CUT_S + 8) * ORDERS_PER_S, per_s=ORDERS_PER_S))
        await until(lambda: deployment.enriched_by(0), within_s=60)
        host.pull_cable()
        cut_at = time.monotonic()
        await until(lambda: deployment.redis_hosts.has_failed_over(host, other))
        took_s = time.monotonic() - cut_at
        await asyncio.sleep(cut_at + CUT_S - time.monotonic())
        host.plug_in()
        await placing
        await until(lambda: deployment.redis_hosts.is_replica(host), within_s=60)
        await all_work_again(deployment, load)
        outcomes = await load.outcomes(within_s=90)

        scenario = f"the Redis master's host cut off for {CUT_S} s, at {ORDERS_PER_S} orders/s"
        report(outcomes.figures(scenario, max_updates=2, remark=f"{webhooks(outcomes)}, failover in {took_s:.1f} s"))
        late = [outcome for outcome in outcomes.not_created() if outcome.accepted_at_once]
        assert not late, outcomes.describe(late)


@pytest.mark.parametrize("needs_a_replica", [False, True])
async def test_a_master_that_lives_on_alone_loses_what_it_took_and_all_of_it_is_found_again(
    tmp_path: Path, report: Report, needs_a_replica: bool
) -> None:
    """The worst case of Redis: two masters. BigCommerce reaches both sides, and each has a receiver and a worker.

    What the old master took is discarded when it becomes a replica. Reconciling finds these orders. A master that
    needs a replica to take writes stops after a few seconds; its side's receiver is then not ready.
    """
    options = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "3") if needs_a_replica else ()
    async with three_hosts(tmp_path, redis_options=options) as deployment:
        load = LoadGenerator(deployment)
        old, other, third = deployment.hosts
        placing = asyncio.create_task(load.place_orders((CUT_S + 8) * ORDERS_PER_S, per_s=ORDERS_PER_S))
        await until(lambda: deployment.enriched_by(0), within_s=60)
        before = len(deployment.receivers[0].events("webhook_accepted"))
        cut_between(old, [other, third])
        await until(lambda: deployment.redis_hosts.has_failed_over(old, other))
        await asyncio.sleep(CUT_S)
        taken = len(deployment.receivers[0].events("webhook_accepted")) - before
        heal_between(old, [other, third])
        await placing
        await until(lambda: deployment.redis_hosts.is_replica(old), within_s=60)
        await all_work_again(deployment, load)
        outcomes = await load.outcomes(within_s=150)

        remark = f"{webhooks(outcomes)}, {taken} by the old master's side"
        scenario = f"the Redis master cut off from its replicas only, for {CUT_S} s, at {ORDERS_PER_S} orders/s"
        scenario += ", min-replicas-to-write 1" if needs_a_replica else ""
        report(outcomes.figures(scenario, max_updates=2, remark=remark))
        late = [outcome for outcome in outcomes.not_created() if outcome.accepted_at_once]
        assert not late, outcomes.describe(late)


async def test_the_receivers_hosts_are_cut_off_in_turn(tmp_path: Path, report: Report) -> None:
    async with three_hosts(tmp_path) as deployment:
        load = LoadGenerator(deployment)
        placing = asyncio.create_task(load.place_orders(30 * ORDERS_PER_S, per_s=ORDERS_PER_S))
        await until(lambda: all(deployment.enriched_by(number) for number in range(3)), within_s=60)
        for host in (deployment.hosts[1], deployment.hosts[0]):
            host.pull_cable()
            await asyncio.sleep(10)
            host.plug_in()
            # A load balancer takes the receiver back by its health check.
            await asyncio.sleep(5)
        await placing
        await all_work_again(deployment, load)
        outcomes = await load.outcomes(within_s=90)

        scenario = f"the hosts of both receivers cut off in turn, for 10 s each, at {ORDERS_PER_S} orders/s"
        report(outcomes.figures(scenario, max_updates=2, remark=webhooks(outcomes)))
        late = [outcome for outcome in outcomes.not_created() if outcome.accepted_at_once]
        assert not late, outcomes.describe(late)
