"""The stores file is replaced while webhooks come in, with every process real."""

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

from service.orders.state.entry import Status
from service.sandbox.demo import DEMO_STORE
from tests.fakes.deployment import ADA, GUEST, RULES, Deployment, deployed
from tests.integration.test_commands import up

pytestmark = pytest.mark.integration

PER_S = 50
MAX_IN_FLIGHT = 10
NEW_SECRET = "the-new-client-secret"


class LoadGenerator:
    """They place orders for as long as they may, so many a second; every tenth is a Company user's.

    A machine that is too slow for so many gets fewer: an order that waits for others would miss its window.
    """

    def __init__(self, house: Deployment) -> None:
        self._house = house
        self._stop = asyncio.Event()
        self._placing = asyncio.create_task(self._place())
        self.orders: dict[int, int] = {}
        self.guests: list[int] = []

    async def _place(self) -> None:
        began, number = time.monotonic(), 0
        while not self._stop.is_set():
            if number % 10:
                self.guests.append(await self._house.place(number, customer_id=GUEST))
            else:
                await self._until_few_are_in_hand()
                self.orders[await self._house.place(number, customer_id=ADA)] = number
            number += 1
            await asyncio.sleep(max(0.0, began + number / PER_S - time.monotonic()))

    async def _until_few_are_in_hand(self) -> None:
        while True:
            statuses = await self._house.ledger.statuses("sandbox", self.orders)
            if len(self.orders) - sum(status.is_final for status in statuses.values()) < MAX_IN_FLIGHT:
                return
            await asyncio.sleep(0.05)

    async def stop(self, after: int) -> None:
        """Stop once so many orders have been placed."""
        await until(lambda: self.placed >= after)
        self._stop.set()
        await self._placing

    @property
    def placed(self) -> int:
        return len(self.orders) + len(self.guests)


class StoresFile:
    """The stores file of a deployment, and what its processes said of it."""

    def __init__(self, house: Deployment) -> None:
        self._house = house
        self.path = house.folder / "stores.toml"
        self.first = self.path.read_text()

    async def told(self, event: str, times: int) -> list[dict[str, Any]]:
        """The last line of this event that each process has written, once each has written so many."""
        processes = [self._house.web, *self._house.workers]
        await until(lambda: all(len(process.events(event)) >= times for process in processes))
        lines = [process.events(event) for process in processes]
        assert [len(each) for each in lines] == [times] * len(processes)
        return [each[-1] for each in lines]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - they are other processes
            await asyncio.sleep(0.05)


async def subscribe(house: Deployment, store: str) -> None:
    await house.sandbox.put_store(store, **DEMO_STORE.model_dump(mode="json", by_alias=True))
    hook = {"scope": "store/order/created", "destination": f"{house.url}/webhooks/bigcommerce", "is_active": True}
    (await house.sandbox.api.post(f"/stores/{store}/v3/hooks", json=hook)).raise_for_status()


async def answer_to(house: Deployment, store: str, order_id: int, secret: str) -> int:
    """What the receiver says to a webhook that this secret signed."""
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
    async with httpx.AsyncClient(base_url=house.url, timeout=30, trust_env=False) as client:
        return (await client.post("/webhooks/bigcommerce", content=content, headers=headers)).status_code


async def test_no_webhook_is_refused_or_lost_while_the_stores_file_changes(tmp_path: Path) -> None:
    async with deployed(tmp_path, workers=1, core_quota=100_000, b2b_quota=100_000) as house:
        await subscribe(house, "other")
        shoppers, file = LoadGenerator(house), StoresFile(house)
        worker = house.workers[0]

        both = file.first + RULES.format(store="other")
        file.path.write_text(both)
        for line in await file.told("stores_reloaded", 1):
            assert (line["stores"], line["added"], line["removed"], line["changed"]) == (2, ["other"], [], [])
        new = {await house.place(number, store="other"): number for number in range(5)}
        assert {entry.status for entry in (await house.ended(new, store="other")).values()} == {Status.CREATED}

        order_id = next(iter(new))
        assert await answer_to(house, "other", order_id, NEW_SECRET) == 401
        rotating = both.replace('"env:TEST_CLIENT_SECRET"', f'["env:TEST_CLIENT_SECRET", "{NEW_SECRET}"]')
        (tmp_path / "stores.new").write_text(rotating)
        (tmp_path / "stores.new").rename(file.path)
        for line in await file.told("stores_reloaded", 2):
            assert line["changed"] == ["other", "sandbox"]
        assert await answer_to(house, "other", order_id, NEW_SECRET) == 200

        file.path.write_text(
            rotating.replace("order.billing", "ordr.billing").replace("client_secret", "client_sekret")
        )
        for line in await file.told("stores_not_reloaded", 1):
            assert len(line["problems"]) == 6, "three in each store"
            assert NEW_SECRET not in json.dumps(line)
        for process in (house.web, worker):
            process.signal(signal.SIGHUP)
        await file.told("stores_not_reloaded", 2)
        assert await answer_to(house, "other", order_id, NEW_SECRET) == 200

        file.path.write_text(file.first)
        for line in await file.told("stores_reloaded", 3):
            assert (line["removed"], line["changed"]) == (["other"], ["sandbox"])
        assert await answer_to(house, "other", order_id, NEW_SECRET) == 401

        await shoppers.stop(after=4 * PER_S)
        placed = [*shoppers.orders, *shoppers.guests]
        entries = await house.ended(placed)
        assert Counter(entry.status for entry in entries.values()) == {
            Status.CREATED: len(shoppers.orders),
            Status.SKIPPED: len(shoppers.guests),
        }
        await house.assert_enriched(shoppers.orders)
        await house.assert_enriched(new, store="other")

        # One that Redis was slow to answer for is put once more, and is a duplicate of itself.
        accepted = house.web.events("webhook_accepted") + house.web.events("webhook_duplicate")
        assert {line["order_id"] for line in accepted if line["store"] == "sandbox"} == set(placed)
        assert len(house.web.events("webhook_refused")) == 2, "those that were to be refused"
        assert not house.web.events("webhook_not_queued")
        for process in (house.web, worker):
            assert not process.events("internal_error")


async def test_up_passes_a_hangup_on_and_lives(tmp_path: Path) -> None:
    async with up(tmp_path, None) as (process, client):
        assert not process.events("stores_reloaded")
        process.signal(signal.SIGHUP)
        await until(lambda: len(process.events("stores_reloaded")) == 2)
        assert [line["changed"] for line in process.events("stores_reloaded")] == [[], []]
        assert (await client.get("/readyz")).json()["workers"] == 1
        assert not process.events("process_ended")
