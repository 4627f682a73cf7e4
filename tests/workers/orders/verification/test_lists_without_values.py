"""Lists of records that leave out extra fields or PO numbers: they confirm values, and never deny them."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from service.orders.state.order_entry import Status
from tests.workers.stacks.stack import OpenStack
from tests.workers.stacks.verifier_stack import VerifierStack

BARE: dict[str, dict[str, Any]] = {
    "fields missing": {"list_extra_fields": "missing"},
    "fields null": {"list_extra_fields": "null"},
    "fields empty": {"list_extra_fields": "empty"},
    "no poNumber": {"list_po_number": False},
    "neither": {"list_extra_fields": "empty", "list_po_number": False},
}
ORDERS = 4


@pytest.fixture(params=list(BARE.values()), ids=list(BARE))
async def verifier(open_stack: OpenStack, request: pytest.FixtureRequest) -> VerifierStack:
    return VerifierStack(await open_stack(**request.param))


async def written(verifier: VerifierStack) -> list[int]:
    return [await verifier.write(po_number=f"A-{number}") for number in range(ORDERS)]


async def listed(verifier: VerifierStack) -> int:
    """How often Get All Orders was called."""
    return (await verifier.calls()).get("Get All Orders", {}).get("200", 0)


async def test_orders_are_verified_at_the_first_read(verifier: VerifierStack) -> None:
    orders = await written(verifier)

    await verifier.verify()

    for order_id in orders:
        entry = await verifier.entry(order_id)
        assert (entry.status, entry.verified, entry.checks) == (Status.CREATED, True, 0)


async def test_nothing_is_called_lost_and_nothing_is_written_again(verifier: VerifierStack) -> None:
    orders = await written(verifier)
    await verifier.verify()
    verifier.stack.clock.tick(3700.0)  # what was learnt about the lists is forgotten

    with capture_logs() as logs:
        await verifier.reverify()

    assert "values_lost" not in [line["event"] for line in logs]
    assert await verifier.scheduled() == ([], [])
    for order_id in orders:
        assert (await verifier.entry(order_id)).status is Status.CREATED
        assert await verifier.stack.writes(order_id) == (1, 0)


async def test_values_that_are_really_lost_are_found_and_written_again(verifier: VerifierStack) -> None:
    lost, *others = await written(verifier)
    await verifier.verify()
    await verifier.stack.sandbox.write_record(lost, po_number="", extra_fields={})
    verifier.stack.clock.tick(50)

    await verifier.reverify()
    entry = await verifier.run_until_finished(lost)

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert [await verifier.stack.writes(order_id) for order_id in others] == [(1, 0)] * len(others)


async def test_such_lists_are_not_read_again_for_an_hour(verifier: VerifierStack) -> None:
    await written(verifier)
    await verifier.verify()
    assert await listed(verifier) == 1
    await written(verifier)
    await verifier.verify()
    assert await listed(verifier) == 1

    verifier.stack.clock.tick(3601.0)
    await written(verifier)
    await verifier.verify()
    assert await listed(verifier) == 2


async def test_one_changed_record_says_nothing_about_the_lists(open_stack: OpenStack) -> None:
    """The list shows other records' fields: this record was empty when it was listed, not the list."""
    verifier = VerifierStack(await open_stack())
    orders = await written(verifier)
    await verifier.stack.sandbox.write_record(orders[0], po_number="", extra_fields={})

    await verifier.verify()
    assert {(await verifier.entry(order_id)).status for order_id in orders[1:]} == {Status.CREATED}
    await written(verifier)
    await verifier.verify()

    assert await listed(verifier) == 2


@pytest.mark.parametrize("by", ["fieldName", "label"])
async def test_lists_verify_under_both_names(open_stack: OpenStack, by: str) -> None:
    verifier = VerifierStack(await open_stack(extra_field_shown_by=by))
    orders = await written(verifier)

    await verifier.verify()

    assert {(await verifier.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    assert "Get an Order" not in await verifier.calls()


async def test_records_that_are_years_old_are_verified_by_one_list(open_stack: OpenStack) -> None:
    """Without times, Get All Orders shows one year back."""
    verifier = VerifierStack(await open_stack())
    orders = [await verifier.write(age=3 * 365 * 86_400.0, po_number=f"A-{number}") for number in range(ORDERS)]

    await verifier.verify()
    verifier.stack.clock.tick(50)
    await verifier.reverify()

    assert {(await verifier.entry(order_id)).status for order_id in orders} == {Status.UPDATED}
    assert await listed(verifier) == 2
    assert (await verifier.calls())["Get an Order"] == {"200": ORDERS}, "before each Update"
