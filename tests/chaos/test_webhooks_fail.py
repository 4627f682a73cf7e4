"""Webhooks never arrive: single ones, or all of them."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.orders.state.order_entry import Stage
from tests.chaos.figures import Report
from tests.chaos.load_generator import PLENTY, LoadGenerator, Outcome, until
from tests.fakes.deployment import Deployment, deployed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

# Reconciles every 5 s, polls every 0.5 s, checks the webhooks every second.
QUICK = "tests.fakes.processes.quick_worker"


def sources(outcomes: Sequence[Outcome]) -> dict[int, str | None]:
    return {outcome.placed.number: outcome.entry.source for outcome in outcomes if outcome.entry}


def count(deployment: Deployment, event: str) -> int:
    return sum(len(worker.events(event)) for worker in deployment.workers)


async def test_orders_without_a_webhook_are_found_within_a_minute(tmp_path: Path, report: Report) -> None:
    faults = {"latency": 0.1, "webhook_drop_rate": 0.1, "seed": 3}
    async with deployed(tmp_path, workers=2, faults=faults, **PLENTY) as deployment:
        load = LoadGenerator(deployment)
        await load.place_orders(100, per_s=10)
        outcomes = await load.outcomes(within_s=120)

        found = [outcome for outcome in outcomes.each if outcome.entry and outcome.entry.source == "reconcile"]
        ages = [outcome.entry.age_at(Stage.PICKED_UP) or 0.0 for outcome in found if outcome.entry]
        remark = f"{len(found)} found after {max(ages, default=0.0):.0f} s at the most"
        report(outcomes.figures("10 % of webhooks never sent, at 10 orders/s", remark=remark))
        assert found
        assert max(ages) < 65
        late = [outcome for outcome in outcomes.not_created() if outcome.accepted_at_once]
        assert not late, outcomes.describe(late)


async def test_a_deactivated_webhook_costs_no_order_its_window(tmp_path: Path, report: Report) -> None:
    """The receiver is down until BigCommerce deactivates the hook: after two days, here after 12 s."""
    async with deployed(
        tmp_path, workers=2, worker_module=QUICK, faults={"latency": 0.1}, retry_scale=0.0001, **PLENTY
    ) as deployment:
        load = LoadGenerator(deployment)
        await load.place_orders(5, per_s=2)
        deployment.web.kill()
        gone_at = time.monotonic()
        await load.place_orders(40, per_s=2)
        await until(lambda: count(deployment, "hook_reactivated"), every_s=0.2)
        gone_s = time.monotonic() - gone_at
        deployment.start_web()
        await deployment.ready(2)
        # Deliveries that began before may still run out of retries and deactivate the hook again.
        await asyncio.sleep(15)
        await load.place_orders(10, per_s=2)
        outcomes = await load.outcomes(within_s=60)

        remark = f"the receiver was gone for {gone_s:.0f} s"
        report(outcomes.figures("webhook deactivated by BigCommerce, at 2 orders/s", remark=remark))
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())
        hooks = (await deployment.sandbox.api.get("/stores/sandbox/v3/hooks")).json()["data"]
        assert all(hook["is_active"] for hook in hooks)
        assert "webhook" in list(sources(outcomes.each).values())[-10:]


async def test_a_blocklisted_domain_costs_no_order_its_window(tmp_path: Path, report: Report) -> None:
    """A hundred callbacks in a row fail, so BigCommerce sends nothing for a while: 180 s, here 18."""
    async with deployed(
        tmp_path, workers=2, worker_module=QUICK, faults={"latency": 0.1}, retry_scale=0.1, **PLENTY
    ) as deployment:
        load = LoadGenerator(deployment)
        deployment.web.kill()
        await load.place_orders(110, per_s=15)
        deployment.start_web()
        await deployment.ready(2)
        admin = (await deployment.sandbox.api.get("/stores/sandbox/v3/hooks/admin")).json()["data"]
        assert admin["blocked_domains"]
        await load.place_orders(40, per_s=2)
        outcomes = await load.outcomes(within_s=60)

        polled = sum(source == "reconcile" for source in list(sources(outcomes.each).values())[-40:])
        remark = f"{polled} of the 40 meanwhile were found by polling"
        report(outcomes.figures("domain blocklisted by BigCommerce for 18 s", remark=remark))
        assert count(deployment, "hook_blocked") == 1
        assert polled > 20
        assert not outcomes.not_created(), outcomes.describe(outcomes.not_created())
