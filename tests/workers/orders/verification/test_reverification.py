"""Re-verification of finished orders, about 45 s after the write."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from service.bigcommerce.clients.b2b_api import B2B
from service.bigcommerce.envelope import Document
from service.bigcommerce.models import Page
from service.orders.state.order_entry import Status
from tests.workers.stacks.stack import OpenStack
from tests.workers.stacks.verifier_stack import VerifierStack

ALL = {"Account No": "ERP-10001"}


async def test_neighbouring_orders_are_reverified_by_one_call(
    verifier: VerifierStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.orders.record_loader.MAX_OTHER_PAGES", 1)
    orders = [await verifier.write(po_number=f"A-{number}") for number in range(5)]
    await verifier.verify()
    verifier.stack.clock.tick(30)
    for _ in range(210):
        await verifier.stack.place()
    before = await verifier.calls()

    await verifier.reverify()

    after = await verifier.calls()
    assert after["Get All Orders"]["200"] - before["Get All Orders"]["200"] == 1
    assert "Get an Order" not in after
    assert await verifier.scheduled() == ([], [])
    assert {(await verifier.entry(order_id)).status for order_id in orders} == {Status.CREATED}


async def test_record_without_neighbours_is_reverified_singly(verifier: VerifierStack) -> None:
    await verifier.write()
    await verifier.verify()
    verifier.stack.clock.tick(50)

    await verifier.reverify()

    assert (await verifier.calls())["Get an Order"] == {"200": 2}
    assert await verifier.scheduled() == ([], [])


async def test_reverification_waits_for_quota(open_stack: OpenStack) -> None:
    # User, Company, configs, Create and the verification have used it up.
    verifier = VerifierStack(await open_stack(b2b_quota=5))
    order_id = await verifier.write()
    await verifier.verify()
    verifier.stack.clock.tick(30)

    assert await verifier.reverify() == pytest.approx(30.0, abs=5.0)
    assert await verifier.scheduled() == ([], [order_id])


async def test_reverification_of_a_retried_order_is_dropped(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    await verifier.verify()
    await verifier.resources.queue.retry("sandbox", order_id)
    verifier.stack.clock.tick(50)
    before = await verifier.calls()

    await verifier.reverify()

    assert await verifier.scheduled() == ([], [])
    assert (await verifier.entry(order_id)).status is Status.QUEUED
    assert await verifier.calls() == before


async def test_values_lost_after_verification_are_repaired(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    await verifier.verify()
    await verifier.stack.sandbox.write_record(order_id, po_number="", extra_fields={})
    verifier.stack.clock.tick(50)
    await verifier.reverify()
    assert (await verifier.entry(order_id)).status is Status.QUEUED
    assert await verifier.scheduled() == ([], [])

    entry = await verifier.run_until_finished(order_id)

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert await verifier.stack.record(order_id) == ("A-1", ALL)


async def test_values_overwritten_by_others_after_verification_are_kept(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    await verifier.verify()
    await verifier.stack.sandbox.write_record(order_id, po_number="STAFF-1")
    verifier.stack.clock.tick(50)
    await verifier.reverify()

    assert (await verifier.entry(order_id)).status is Status.CREATED
    assert (await verifier.stack.record(order_id))[0] == "STAFF-1"


async def test_refused_credentials_postpone_reverification(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    await verifier.verify()
    verifier.stack.clock.tick(50)
    await verifier.stack.sandbox.faults(refuse_credentials=["sandbox"])

    with capture_logs() as logs:
        assert await verifier.reverify() == 60.0

    assert [line["event"] for line in logs if line["log_level"] != "debug"] == ["check_postponed"]
    assert await verifier.scheduled() == ([], [order_id])


async def test_order_that_has_failed_is_not_reverified(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    await verifier.verify()
    entry = await verifier.entry(order_id)
    entry.status, entry.reason = Status.FAILED, "sent again by hand"
    await verifier.stack.transitions.finish(entry)
    await verifier.stack.sandbox.write_record(order_id, po_number="", extra_fields={})
    verifier.stack.clock.tick(50)

    await verifier.reverify()

    assert (await verifier.entry(order_id)).status is Status.FAILED
    assert await verifier.scheduled() == ([], [])


async def test_repaired_order_is_not_reverified(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    await verifier.stack.sandbox.write_record(order_id, po_number="", extra_fields={})
    assert (await verifier.run_until_finished(order_id)).repaired
    verifier.stack.clock.tick(50)
    before = await verifier.calls()

    await verifier.reverify()

    assert await verifier.calls() == before
    assert await verifier.scheduled() == ([], [])


@pytest.mark.parametrize("created_at", [None, "2026-01-10T00:00:00Z", 1_768_078_800_000, 0, -5, "1768078800", 10**400])
async def test_record_with_any_created_at_is_reverified(
    verifier: VerifierStack, monkeypatch: pytest.MonkeyPatch, created_at: Any
) -> None:
    listing = B2B.orders

    async def orders(b2b: B2B, **wanted: Any) -> Page[Document]:
        page = await listing(b2b, **wanted)
        rows = [row | {"createdAt": created_at} for row in page.items]
        return Page(rows, page.total, page.next_offset)

    monkeypatch.setattr(B2B, "orders", orders)
    for number in range(3):
        await verifier.write(po_number=f"A-{number}")
    await verifier.verify()
    verifier.stack.clock.tick(50)

    assert await verifier.reverify() is None
    assert await verifier.scheduled() == ([], [])
