"""An ERP writes thousands of old orders, in several steps each, while buyers order: nobody notices."""

import asyncio
import json
import time
from base64 import b64encode
from collections import Counter
from hmac import digest
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.configuration import load_configuration
from service.orders.state.order_entry import Entry, Sent, Stage, Status
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from service.sandbox.specs import SANDBOX_CLIENT_SECRET
from tests.fakes.deployment import ADA, Deployment, deployed

# A minute, as its figures are those of a minute; on a busy machine seeding takes as long.
pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(400)]

STORE = "sandbox"
OLD_ORDERS, STEPS, MINUTE_S = 2000, 5, 60.0
AGE_S = 3600.0
FRESH_EVERY_S = 2.0
GIVEN = {"po_number": ("PO-OLD", 0), "Account No": ("ERP-10001", 0)}


async def seed(deployment: Deployment) -> list[int]:
    """Old orders that were enriched an hour ago, in the sandbox and in the ledger."""
    environ = {"TEST_ACCESS_TOKEN": "t", "TEST_CLIENT_SECRET": "s"}
    rules = load_configuration(deployment.folder / "stores.toml", environ).stores[STORE].rules
    form = {"billing_address": {"form_fields": [{"name": "PO Number", "value": "PO-OLD"}]}}
    order_ids: list[int] = []
    async with connect(deployment.redis.url) as redis:
        transitions = Transitions(redis)

        async def seed_one() -> None:
            placed = await deployment.sandbox.place_order(STORE, customer_id=ADA, age=AGE_S, **form)
            entry = Entry(
                STORE,
                placed["id"],
                status=Status.CREATED,
                verified=True,
                po_number="PO-OLD",
                fields={"Account No": "ERP-10001"},
                customer_id=ADA,
                source="webhook",
                made_record=True,
                given=GIVEN,
                rules_version=rules.version,
                sent=Sent("create", "PO-OLD", {"Account No": "ERP-10001"}, answered=True),
                times=dict.fromkeys((Stage.CREATED, Stage.QUEUED, Stage.READ), time.time() - AGE_S),
            )
            await transitions.finish(entry)
            order_ids.append(entry.order_id)

        for _ in range(0, OLD_ORDERS, 20):
            await asyncio.gather(*(seed_one() for _ in range(20)))
    return order_ids


def event(order_id: int, number: int) -> dict[str, Any]:
    """The signed webhook of a change of the order, as a request."""
    now, webhook_id = int(time.time()), f"msg-{order_id}-{number}"
    body = json.dumps(
        {
            "scope": "store/order/updated",
            "store_id": "1025646",
            "data": {"type": "order", "id": order_id},
            "hash": "dd70c0976e06b67aaf671e73f49dcb79230ebf9d",
            "created_at": now,
            "producer": f"stores/{STORE}",
        }
    ).encode()
    signature = digest(SANDBOX_CLIENT_SECRET.encode(), f"{webhook_id}.{now}.".encode() + body, "sha256")
    headers = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{b64encode(signature).decode()}",
    }
    return {"data": body, "headers": headers}


async def post(client: aiohttp.ClientSession, request: dict[str, Any]) -> int:
    """The status of the receiver's answer."""
    async with client.post("/webhooks/bigcommerce", **request) as answer:
        return answer.status


async def touch(deployment: Deployment, order_ids: list[int]) -> Counter[int]:
    """The ERP writes each order in five steps, one after the other, all within a minute; the receiver's answers."""
    answers: Counter[int] = Counter()
    began, batch = time.monotonic(), 20
    async with aiohttp.ClientSession(deployment.url) as client:  # it costs a fraction of httpx's time
        for start in range(0, len(order_ids), batch):
            await asyncio.sleep(max(0.0, began + start / len(order_ids) * MINUTE_S - time.monotonic()))
            for step in range(STEPS):
                posts = (post(client, event(order_id, step)) for order_id in order_ids[start : start + batch])
                answers.update(await asyncio.gather(*posts))
    return answers


async def shop(deployment: Deployment, touching: "asyncio.Task[Counter[int]]") -> dict[int, int]:
    """Buyers order for as long as the ERP writes; the number of each order."""
    fresh: dict[int, int] = {}
    while not touching.done():
        number = len(fresh) + 1
        fresh[await deployment.place(number)] = number
        await asyncio.wait([touching], timeout=FRESH_EVERY_S)
    return fresh


async def test_fresh_orders_do_not_notice_that_an_erp_touches_two_thousand_old_ones(tmp_path: Path) -> None:
    async with deployed(tmp_path, workers=0) as deployment:
        old = await seed(deployment)
        for _ in range(2):  # not before: they would find the old orders
            deployment.start_worker()
        await deployment.ready(2)
        before = await deployment.sandbox.calls()
        touching = asyncio.create_task(touch(deployment, old))
        fresh = await shop(deployment, touching)
        entries = await deployment.wait_until_finished(fresh)
        async with asyncio.timeout(90.0):
            while await deployment.queue._redis.zcard(f"enrich:changed:{STORE}"):  # noqa: ASYNC110 - workers read them
                await asyncio.sleep(0.2)
        calls = await deployment.sandbox.calls()
        await deployment.assert_enriched(fresh)
        after = [await deployment.ledger.get(STORE, order_id) for order_id in old]
        asked = [line for worker in deployment.workers for line in worker.events("upstream_call")]

    assert touching.result() == {200: OLD_ORDERS * STEPS}
    assert len(fresh) >= MINUTE_S / FRESH_EVERY_S / 2
    assert {(entry.status, entry.in_window, entry.verified) for entry in entries.values()} == {
        (Status.CREATED, True, True)
    }

    def made(api: str, operation: str) -> int:
        later, earlier = (sum(each[api].get(operation, {}).values()) for each in (calls, before))
        return int(later - earlier)

    assert {entry and (entry.status, entry.ended_at is not None, entry.updates) for entry in after} == {
        (Status.CREATED, True, 0)
    }
    assert [line for line in asked if line["api"] == "b2b" and line.get("order_id") in set(old)] == []
    assert (made("b2b", "Create an Order"), made("b2b", "Update an Order")) == (len(fresh), 0)
    assert made("b2b", "Get an Order") + made("b2b", "Get All Orders") <= 2 * len(fresh), "only to verify fresh orders"
    # Each old order is read once or twice for its five events, many in one list.
    assert made("core", "Get All Orders") + made("core", "Get an Order") <= OLD_ORDERS / 2
