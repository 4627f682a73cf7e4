"""Who is a Company's buyer, with real processes: Super Admins, and buyers who are approved while they shop."""

import asyncio
from pathlib import Path

import pytest

from service.bigcommerce.clients.hooks import COMPANY_USER_CREATED
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.super_admins import SuperAdminBook
from service.redis.client import connect
from tests.fakes.deployment import ZOE, Deployment, deployed

pytestmark = pytest.mark.integration

SUE = 150
"""A Super Admin of the Companies 5001 and 5002."""


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


async def test_order_of_a_super_admin_gets_the_values_of_its_company(tmp_path: Path) -> None:
    async with deployed(tmp_path) as deployment:
        await book_is_read(deployment)
        order_id = await deployment.place(1, customer_id=SUE, company_id=5001)
        entry = (await deployment.wait_until_finished([order_id]))[order_id]
        await deployment.assert_enriched({order_id: 1})

    assert (entry.status, entry.verified, entry.company_id) == (Status.UPDATED, True, 5001)


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
