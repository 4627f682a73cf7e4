"""Verification of written records: verified, lagging, lost, repaired."""

import pytest
from structlog.testing import capture_logs

from service.configuration import Configuration
from service.orders.state.job_kinds import RECOVERY
from service.orders.state.keys import verify_key
from service.orders.state.order_entry import Status
from service.stores import Endpoints
from tests.workers.stacks.stack import OpenStack
from tests.workers.stacks.verifier_stack import VerifierStack
from workers.orders.result_types import Finished

ALL = {"Account No": "ERP-10001"}


async def test_record_that_shows_the_values_is_verified(verifier: VerifierStack) -> None:
    order_id = await verifier.write()

    assert await verifier.verify() is None

    entry = await verifier.entry(order_id)
    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert (await verifier.calls())["Get an Order"] == {"200": 1}


async def test_many_records_are_verified_by_one_call(verifier: VerifierStack) -> None:
    orders = [await verifier.write(po_number=f"A-{number}") for number in range(60)]

    await verifier.verify()

    assert {(await verifier.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    calls = await verifier.calls()
    assert calls["Get All Orders"] == {"200": 1}
    assert "Get an Order" not in calls


async def test_lagging_record_is_read_again_and_not_written_again(verifier: VerifierStack) -> None:
    await verifier.stack.sandbox.faults(read_lag=1.5)
    order_id = await verifier.write()

    entry = await verifier.run_until_finished(order_id)

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert entry.checks == 2
    assert await verifier.stack.writes(order_id) == (1, 0)


async def test_lost_values_are_repaired_once(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    await verifier.stack.sandbox.write_record(order_id, po_number="", extra_fields={})

    entry = await verifier.run_until_finished(order_id)

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert await verifier.stack.record(order_id) == ("A-1", ALL)
    assert await verifier.stack.writes(order_id) == (1, 1)


async def test_values_that_are_lost_repeatedly_fail_the_order(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    for _ in range(40):
        await verifier.stack.sandbox.write_record(order_id, po_number="", extra_fields={})
        if await verifier.stack.redis.exists(RECOVERY.key("sandbox", order_id)):
            await verifier.recover(order_id)
            await verifier.stack.sandbox.write_record(order_id, po_number="", extra_fields={})
        await verifier.verify()
        verifier.stack.clock.tick(5.0)
        entry = await verifier.entry(order_id)
        if entry.status.is_final:
            break

    assert (entry.status, entry.reason, entry.verified) == (Status.FAILED, "not_persisted", False)
    assert await verifier.stack.writes(order_id) == (1, 1)


async def test_po_that_a_buyer_writes_after_us_is_kept(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    await verifier.stack.sandbox.write_record(order_id, po_number="BUYER-9")

    entry = await verifier.run_until_finished(order_id)

    assert entry.kept == ["po_number"]
    assert (await verifier.stack.record(order_id))[0] == "BUYER-9"
    assert await verifier.stack.writes(order_id) == (1, 0)


async def test_spent_quota_postpones_verification(open_stack: OpenStack) -> None:
    verifier = VerifierStack(await open_stack(b2b_quota=4))
    await verifier.write()

    # User, Company, configs and Create have used it up.
    assert await verifier.verify() == pytest.approx(60.0, abs=5.0)


async def test_errors_postpone_verification_and_lose_nothing(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    await verifier.stack.sandbox.faults(b2b_down=True)
    assert await verifier.verify() == 5.0
    await verifier.stack.sandbox.faults(refuse_credentials=["sandbox"])
    with capture_logs() as logs:
        assert await verifier.verify() is None
    assert [line["event"] for line in logs if line["log_level"] != "debug"] == ["credentials_refused", "order_parked"]
    assert await verifier.scheduled() == ([], [])
    assert await verifier.verify() == 60.0

    await verifier.stack.sandbox.faults()
    assert await verifier.resources.breaker.release("sandbox") == 1
    assert (await verifier.run_until_finished(order_id)).status is Status.CREATED
    assert await verifier.stack.writes(order_id) == (1, 0)


async def test_order_that_has_finished_needs_no_verification(verifier: VerifierStack) -> None:
    order_id = await verifier.write()
    entry = await verifier.entry(order_id)
    entry.status = Finished(Status.CREATED).status
    await verifier.stack.transitions.finish(entry)

    await verifier.resources.redis.zadd(
        verify_key("sandbox"), {str(order_id): 0}
    )  # as an older version may have left it

    await verifier.verify()

    assert await verifier.scheduled() == ([], [])


async def test_orders_of_a_removed_store_wait_in_recovery_until_it_is_back(verifier: VerifierStack) -> None:
    verified = await verifier.write()
    await verifier.verify()
    order_id = await verifier.write(po_number="A-2")
    verifier.stack.clock.tick(40)
    before, verifier.resources.configuration = verifier.resources.configuration, Configuration(Endpoints(), {}, ())
    calls = await verifier.calls()

    assert await verifier.verify() is None
    assert await verifier.reverify() is None
    assert await verifier.scheduled() == ([], [])
    assert (await verifier.entry(verified)).status is Status.CREATED
    assert (await verifier.entry(order_id)).status is Status.QUEUED
    assert await verifier.calls() == calls

    verifier.resources.configuration = before
    entry = await verifier.run_until_finished(order_id)
    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert await verifier.stack.writes(order_id) == (1, 0)
