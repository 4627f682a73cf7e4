"""The stores file is replaced while webhooks arrive, with real processes."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from service.configuration.in_force import ConfigurationsInForce
from service.orders.state.order_entry import Status
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE
from service.stores import content_digest
from tests.fakes.deployment import ADA, GUEST, RULES, Deployment, deployed
from tests.integration.commands.test_commands import up

pytestmark = pytest.mark.integration

PER_S = 50
MAX_IN_FLIGHT = 10
NEW_SECRET = "the-new-client-secret"


class LoadGenerator:
    """Places orders at a constant rate until it is stopped; every tenth is a Company user's.

    On a slow machine it places fewer: an order that waits for others would miss its window.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._stop = asyncio.Event()
        self._placing = asyncio.create_task(self._place())
        self.orders: dict[int, int] = {}
        self.guests: list[int] = []

    async def _place(self) -> None:
        began, number = time.monotonic(), 0
        while not self._stop.is_set():
            if number % 10:
                self.guests.append(await self._deployment.place(number, customer_id=GUEST))
            else:
                await self._wait_for_capacity()
                self.orders[await self._deployment.place(number, customer_id=ADA)] = number
            number += 1
            await asyncio.sleep(max(0.0, began + number / PER_S - time.monotonic()))

    async def _wait_for_capacity(self) -> None:
        while True:
            statuses = await self._deployment.ledger.statuses("sandbox", self.orders)
            if len(self.orders) - sum(status.is_final for status in statuses.values()) < MAX_IN_FLIGHT:
                return
            await asyncio.sleep(0.05)

    async def stop(self, after: int) -> None:
        """Stop when this many orders have been placed."""
        await until(lambda: self.placed >= after)
        self._stop.set()
        await self._placing

    @property
    def placed(self) -> int:
        return len(self.orders) + len(self.guests)


class StoresFile:
    """The stores file of a deployment, and the log lines of its processes about it."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.path = deployment.folder / "stores.toml"
        self.first = self.path.read_text()

    async def wait_for_event(self, event: str, times: int) -> list[dict[str, Any]]:
        """Wait until each process has logged this event so many times; returns the last line of each."""
        processes = [self._deployment.web, *self._deployment.workers]
        await until(lambda: all(len(process.events(event)) >= times for process in processes))
        lines = [process.events(event) for process in processes]
        assert [len(each) for each in lines] == [times] * len(processes)
        return [each[-1] for each in lines]

    async def wait_until_in_force(self, text: str) -> None:
        """Wait until the receiver and each worker say that they go by a file with this text."""
        async with asyncio.timeout(60), connect(self._deployment.redis.url) as redis:
            while True:
                digests = await ConfigurationsInForce(redis).read()
                if set(digests.values()) == {content_digest(text.encode())}:
                    break
                await asyncio.sleep(0.05)
        roles = sorted(name.split()[0] for name in digests)
        assert roles == ["receiver", *(["worker"] * len(self._deployment.workers))]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - they are other processes
            await asyncio.sleep(0.05)


async def subscribe(deployment: Deployment, store: str) -> None:
    await deployment.sandbox.put_store(store, **DEMO_STORE.model_dump(mode="json", by_alias=True))
    hook = {"scope": "store/order/created", "destination": f"{deployment.url}/webhooks/bigcommerce", "is_active": True}
    (await deployment.sandbox.api.post(f"/stores/{store}/v3/hooks", json=hook)).raise_for_status()


async def answer_to(deployment: Deployment, store: str, order_id: int, secret: str) -> int:
    """The receiver's status for a webhook that is signed with this secret."""
    now = datetime.now(UTC)
    content = json.dumps(
        {
            "scope": "store/order/created",
            "data": {"type": "order", "id": order_id},
            "created_at": int(now.timestamp()),
            "producer": f"stores/{store}",
        }
    )
    signature = Webhook(secret.encode()).sign("msg_1", now, content)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    async with httpx.AsyncClient(base_url=deployment.url, timeout=30, trust_env=False) as client:
        return (await client.post("/webhooks/bigcommerce", content=content, headers=headers)).status_code


@pytest.mark.chaos
async def test_no_webhook_is_refused_or_lost_while_the_stores_file_changes(tmp_path: Path) -> None:
    async with deployed(tmp_path, workers=1, core_quota=100_000, b2b_quota=100_000) as deployment:
        await subscribe(deployment, "other")
        load, file = LoadGenerator(deployment), StoresFile(deployment)
        worker = deployment.workers[0]

        both = file.first + RULES.format(store="other")
        file.path.write_text(both)
        for line in await file.wait_for_event("stores_reloaded", 1):
            assert (line["stores"], line["added"], line["removed"], line["changed"]) == (2, ["other"], [], [])
        new = {await deployment.place(number, store="other"): number for number in range(5)}
        assert {entry.status for entry in (await deployment.wait_until_finished(new, store="other")).values()} == {
            Status.CREATED
        }

        order_id = next(iter(new))
        assert await answer_to(deployment, "other", order_id, NEW_SECRET) == 401
        rotating = both.replace('"env:TEST_CLIENT_SECRET"', f'["env:TEST_CLIENT_SECRET", "{NEW_SECRET}"]')
        (tmp_path / "stores.new").write_text(rotating)
        (tmp_path / "stores.new").rename(file.path)
        for line in await file.wait_for_event("stores_reloaded", 2):
            assert line["changed"] == ["other", "sandbox"]
        assert await answer_to(deployment, "other", order_id, NEW_SECRET) == 200

        file.path.write_text(
            rotating.replace("order.billing", "ordr.billing").replace("client_secret", "client_sekret")
        )
        for line in await file.wait_for_event("stores_not_reloaded", 1):
            assert len(line["problems"]) == 6, "three in each store"
            assert NEW_SECRET not in json.dumps(line)
        for process in (deployment.web, worker):
            process.signal(signal.SIGHUP)
        await file.wait_for_event("stores_not_reloaded", 2)
        await file.wait_until_in_force(rotating)
        assert await answer_to(deployment, "other", order_id, NEW_SECRET) == 200

        file.path.write_text(file.first)
        for line in await file.wait_for_event("stores_reloaded", 3):
            assert (line["removed"], line["changed"]) == (["other"], ["sandbox"])
        await file.wait_until_in_force(file.first)
        assert await answer_to(deployment, "other", order_id, NEW_SECRET) == 401

        await load.stop(after=4 * PER_S)
        placed = [*load.orders, *load.guests]
        entries = await deployment.wait_until_finished(placed)
        assert Counter(entry.status for entry in entries.values()) == {
            Status.CREATED: len(load.orders),
            Status.SKIPPED: len(load.guests),
        }
        await deployment.assert_enriched(load.orders)
        await deployment.assert_enriched(new, store="other")

        # A webhook whose queueing was retried, because Redis was slow, counts as its own duplicate.
        accepted = deployment.web.events("webhook_accepted") + deployment.web.events("webhook_duplicate")
        assert {line["order_id"] for line in accepted if line["store"] == "sandbox"} == set(placed)
        assert len(deployment.web.events("webhook_refused")) == 2, "the two with the wrong secret"
        assert not deployment.web.events("webhook_not_queued")
        for process in (deployment.web, worker):
            assert not process.events("internal_error")


async def test_up_forwards_sighup_to_its_processes(tmp_path: Path) -> None:
    async with up(tmp_path, None) as (process, client):
        assert not process.events("stores_reloaded")
        process.signal(signal.SIGHUP)
        await until(lambda: len(process.events("stores_reloaded")) == 2)
        assert [line["changed"] for line in process.events("stores_reloaded")] == [[], []]
        assert (await client.get("/readyz")).json()["workers"] == 1
        assert not process.events("process_ended")
