"""Reading many records: by lists, singly, and despite errors."""

from typing import Any

import pytest

from service.bigcommerce.clients.b2b_api import B2B
from service.bigcommerce.envelope import Document
from service.bigcommerce.models import Page, Record
from service.errors import Refused, TryAgain, UpstreamError, WaitUntil
from service.orders.state.job_kinds import RECOVERY
from service.orders.state.order_entry import Status
from tests.workers.stacks.verifier_stack import VerifierStack


async def test_orders_far_apart_whose_records_are_neighbours_are_verified_by_one_call(
    verifier: VerifierStack,
) -> None:
    """Their ids are in two ranges of the store's orders, but their records are neighbours in B2B Edition's list."""
    orders = [await verifier.write()]
    for _ in range(3):
        for _ in range(130):
            await verifier.stack.place(0)
        orders.append(await verifier.write())

    await verifier.verify()

    assert {(await verifier.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    assert (await verifier.calls())["Get All Orders"] == {"200": 1}


async def test_record_listed_without_extra_fields_is_read_singly(
    verifier: VerifierStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [await verifier.write(po_number=f"A-{number}") for number in range(3)]
    listing = B2B.orders

    async def bare(b2b: B2B, **wanted: Any) -> Page[Document]:
        page = await listing(b2b, **wanted)
        rows = [{"bcOrderId": row["bcOrderId"], "poNumber": row["poNumber"]} for row in page.items]
        return Page(rows, page.total, page.next_offset)

    monkeypatch.setattr(B2B, "orders", bare)
    await verifier.verify()

    assert {(await verifier.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    calls = await verifier.calls()
    assert (calls["Get All Orders"], calls["Get an Order"]) == ({"200": 1}, {"200": 3})

    more = [await verifier.write(po_number=f"B-{number}") for number in range(3)]
    await verifier.verify()
    assert {(await verifier.entry(order_id)).status for order_id in more} == {Status.CREATED}
    assert (await verifier.calls())["Get All Orders"] == {"200": 1}, "lists without extra fields are not read again"


async def test_records_verified_late_are_found_among_newer_ones(
    verifier: VerifierStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.orders.record_loader.MAX_OTHER_PAGES", 1)
    orders = [await verifier.write(po_number=f"A-{number}") for number in range(5)]
    verifier.stack.clock.tick(300.0)
    for _ in range(210):
        await verifier.stack.place()

    await verifier.verify()

    assert {(await verifier.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    assert (await verifier.calls())["Get All Orders"] == {"200": 1}


async def test_a_flood_of_orders_is_verified_in_one_run_and_no_list_is_read_twice(
    verifier: VerifierStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orders that are due first are on the last page."""
    monkeypatch.setattr("workers.orders.record_loader.MAX_OTHER_PAGES", 1)
    monkeypatch.setattr("workers.orders.record_loader.PER_PAGE", 8)
    listing = B2B.orders
    monkeypatch.setattr(B2B, "orders", lambda b2b, **wanted: listing(b2b, limit=8, **wanted))
    orders = [await verifier.write() for _ in range(40)]

    await verifier.verify()

    assert {(await verifier.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    calls = await verifier.calls()
    assert (calls["Get All Orders"], calls.get("Get an Order")) == ({"200": 5}, None)


def make_unreadable(monkeypatch: pytest.MonkeyPatch, unreadable: int, error: UpstreamError) -> None:
    """Make Get an Order raise this error for one order."""
    reading = B2B.order

    async def order(b2b: B2B, order_id: int) -> Record:
        if order_id == unreadable:
            raise error
        return await reading(b2b, order_id)

    monkeypatch.setattr(B2B, "order", order)


ERRORS = [TryAgain("Get an Order", "no", status=500), Refused("Get an Order", "no", status=400)]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_unreadable_record_does_not_block_verification_of_others(
    verifier: VerifierStack, monkeypatch: pytest.MonkeyPatch, error: UpstreamError
) -> None:
    unreadable, other = await two_without_neighbours(verifier)
    make_unreadable(monkeypatch, unreadable, error)

    assert await verifier.verify() == 5.0

    assert (await verifier.entry(other)).verified is True
    assert await verifier.scheduled() == ([unreadable], [other])
    verifier.stack.clock.tick(61.0)
    assert await verifier.verify() == 5.0
    assert await verifier.scheduled() == ([], [other])
    assert await verifier.stack.redis.exists(RECOVERY.key("sandbox", unreadable))


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_unreadable_record_does_not_block_reverification_of_others(
    verifier: VerifierStack, monkeypatch: pytest.MonkeyPatch, error: UpstreamError
) -> None:
    unreadable, lost = await two_without_neighbours(verifier)
    await verifier.verify()
    await verifier.stack.sandbox.write_record(lost, po_number="", extra_fields={})
    make_unreadable(monkeypatch, unreadable, error)
    verifier.stack.clock.tick(50)

    assert await verifier.reverify() == 5.0

    assert (await verifier.entry(lost)).status is Status.QUEUED
    assert await verifier.scheduled() == ([], [unreadable])
    verifier.stack.clock.tick(600)
    await verifier.reverify()
    assert await verifier.scheduled() == ([], [])


async def two_without_neighbours(verifier: VerifierStack) -> tuple[int, int]:
    """Two orders so far apart that each record is read singly."""
    first = await verifier.write()
    for _ in range(260):
        await verifier.stack.place(0)
    return first, await verifier.write(po_number="A-2")


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_records_are_read_singly_when_lists_fail(
    verifier: VerifierStack, monkeypatch: pytest.MonkeyPatch, error: UpstreamError
) -> None:
    async def orders(_: B2B, **wanted: Any) -> Page[Document]:
        raise error

    monkeypatch.setattr(B2B, "orders", orders)
    written = [await verifier.write(po_number=f"A-{number}") for number in range(5)]

    assert await verifier.verify() == 5.0

    assert {(await verifier.entry(order_id)).status for order_id in written} == {Status.CREATED}


@pytest.mark.parametrize(
    ("error", "pause"), [(ERRORS[0], 5.0), (WaitUntil("Get All Orders", "spent", seconds=9.0), 9.0)], ids=repr
)
async def test_first_page_counts_when_the_second_fails(
    verifier: VerifierStack, monkeypatch: pytest.MonkeyPatch, error: UpstreamError, pause: float
) -> None:
    listing = B2B.orders

    async def orders(b2b: B2B, **wanted: Any) -> Page[Document]:
        if wanted["offset"]:
            raise error
        return await listing(b2b, **wanted, limit=3)

    monkeypatch.setattr(B2B, "orders", orders)
    written = [await verifier.write(po_number=f"A-{number}") for number in range(20)]

    assert await verifier.verify() == pause

    statuses = [(await verifier.entry(order_id)).status for order_id in written]
    assert statuses[-3:] == [Status.CREATED] * 3
