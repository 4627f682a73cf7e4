"""Who is a Company's buyer, with real processes: Super Admins, buyers approved while they shop; what a buyer sees."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from service.bigcommerce.clients.hooks import COMPANY_USER_CREATED
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.super_admins import SuperAdminBook
from service.redis.client import connect
from tests.fakes.cli import COMMAND
from tests.fakes.deployment import ZOE, Deployment, deployed

pytestmark = pytest.mark.integration

SUE = 150
"""A Super Admin of the Companies 5001 and 5002."""

PLENTY = 100_000


async def register_company_hook(deployment: Deployment) -> None:
    hook = {"scope": COMPANY_USER_CREATED, "destination": f"{deployment.url}/webhooks/bigcommerce", "is_active": True}
    answer = await deployment.sandbox.api.post(f"/stores/{deployment.stores[0]}/v3/hooks", json=hook)
    answer.raise_for_status()


async def book_is_read(deployment: Deployment) -> None:
    """Wait until the workers know the store's Super Admins."""
    async with connect(deployment.redis.url) as redis, asyncio.timeout(30):
        book = SuperAdminBook(redis)
        while (await book.read(deployment.stores[0])).read_at is None:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)


async def is_updated(deployment: Deployment, order_id: int) -> Entry:
    """Wait until the order, which was skipped, is updated; returns its entry."""
    async with asyncio.timeout(30):
        while True:
            entry = await deployment.ledger.get(deployment.stores[0], order_id)
            if entry is not None and entry.status is Status.UPDATED:
                return entry
            await asyncio.sleep(0.05)


@pytest.mark.chaos
async def test_order_of_a_super_admin_gets_the_values_of_its_company(tmp_path: Path) -> None:
    async with deployed(tmp_path) as deployment:
        await book_is_read(deployment)
        order_id = await deployment.place(1, customer_id=SUE, company_id=5001)
        entry = (await deployment.wait_until_finished([order_id]))[order_id]
        await deployment.assert_enriched({order_id: 1})

    assert (entry.status, entry.verified, entry.company_id) == (Status.UPDATED, True, 5001)


@pytest.mark.chaos
async def test_buyer_who_is_approved_between_two_orders_has_both_enriched(tmp_path: Path) -> None:
    async with deployed(tmp_path, workers=2) as deployment:
        await register_company_hook(deployment)
        await book_is_read(deployment)
        first = await deployment.place(1, customer_id=ZOE, record_after=0)
        skipped = (await deployment.wait_until_finished([first]))[first]
        await deployment.sandbox.write_record(first, company_id=5001)
        await deployment.sandbox.put_user(ZOE, 5001)
        async with asyncio.timeout(30):
            while "people_changed" not in deployment.web.text:  # noqa: ASYNC110 - written by another process
                await asyncio.sleep(0.05)
        second = await deployment.place(2, customer_id=ZOE)
        created = (await deployment.wait_until_finished([second]))[second]
        entry = await is_updated(deployment, first)
        await deployment.assert_enriched({first: 1, second: 2})

    assert (skipped.status, skipped.reason) == (Status.SKIPPED, "not_a_company_user")
    assert (created.status, created.verified) == (Status.CREATED, True)
    assert (entry.verified, entry.source) == (True, "company_user")


async def look(deployment: Deployment, order_id: int) -> dict[str, Any]:
    """What the command prints about the buyer. Nothing of the buyer's token is in it, nor in its log lines."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("orders", "show", str(order_id), "--as-buyer", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**deployment.environ, "ENRICH_LOG_LEVEL": "DEBUG", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )
    out, errors = (stream.decode() for stream in await process.communicate())
    assert process.returncode == 0, errors
    assert '"upstream_call"' in errors
    assert "Bearer" not in out + errors
    assert "example.com" not in out + errors
    view: dict[str, Any] = json.loads(out)["as_buyer"]
    return view


async def test_what_the_workers_wrote_is_what_the_buyer_sees(tmp_path: Path) -> None:
    # With plenty of quota, which those who look wait for otherwise: orders go first.
    async with deployed(tmp_path, core_quota=PLENTY, b2b_quota=PLENTY) as deployment:
        order_id = await deployment.place(1)
        entry = (await deployment.wait_until_finished([order_id]))[order_id]
        seen = await look(deployment, order_id)
        async with connect(deployment.environ["REDIS_URL"]) as redis:
            (key,) = await redis.keys("enrich:storefront-token:*")
            held = await redis.get(key)

    assert (seen["differences"], seen["not_compared"], seen["not_shown"]) == ([], [], {})
    assert seen["order"]["po_number"] == entry.po_number
    assert entry.po_number
    assert entry.fields.items() <= seen["order"]["extra_fields"].items()

    assert held is not None
    assert not held.isascii(), "the token is sealed"
