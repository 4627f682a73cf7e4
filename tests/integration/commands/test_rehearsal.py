"""A rehearsal while receiver and workers run: they leave its orders alone, and their webhooks are measured."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.bigcommerce.connection_pool import http_client
from service.orders.facts.fact import Fact
from service.orders.rehearsal.lines import Schedule
from service.orders.rehearsal.marked_orders import MarkedOrders
from service.orders.rehearsal.measurement import facts_of
from service.orders.rehearsal.rehearsal import Rehearsal
from service.orders.rehearsal.run import Run
from service.orders.rehearsal.webhook_watch import WebhookWatch
from service.orders.state.order_entry import Status
from service.redis.client import connect
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN
from tests.fakes.deployment import ADA, deployed

pytestmark = pytest.mark.integration


@pytest.mark.chaos
async def test_the_service_leaves_test_orders_alone_and_their_webhooks_are_measured(tmp_path: Path) -> None:
    schedule = Schedule(early_s=0.1, late_s=3.0, watch_s=2.0, last_look_s=2.0, webhook_s=10.0, poll_s=0.1)
    async with (
        deployed(tmp_path, workers=1) as deployment,
        connect(deployment.redis.url) as redis,
        http_client() as http,
    ):
        transport = Transport(http, core_url=deployment.sandbox.url, b2b_url=deployment.sandbox.url)
        api = StoreApi(transport, Account("sandbox", (SecretStr(SANDBOX_ACCESS_TOKEN),)))
        orders = MarkedOrders(api, ADA)
        rehearsal = Rehearsal(Run(api, orders, schedule), watch=WebhookWatch(redis, "sandbox"))
        await rehearsal.measure()
        assert await orders.cancel_all() == []
        entries = await deployment.wait_until_finished(orders.placed)
        usual = await deployment.place(1)
        entries |= await deployment.wait_until_finished([usual])

        assert entries[usual].status is Status.CREATED
        for order_id in orders.placed:
            assert (entries[order_id].status, entries[order_id].reason) == (Status.SKIPPED, "rehearsal")
        writes = [(await deployment.sandbox.order(order_id))["writes"] for order_id in orders.placed]
        assert [[write["operation"] for write in each] for each in writes] == [
            [],
            ["Create an Order", "Update an Order"],
            ["Create an Order"],
        ], "only the rehearsal's own"
        assert 0.0 <= float(facts_of(rehearsal.measurements)[Fact.WEBHOOK_DELAY]) < 10.0
        found = {each.subject: each.found for each in rehearsal.measurements}
        assert found["webhook of a changed order"] == "no active webhook for store/order/updated"
