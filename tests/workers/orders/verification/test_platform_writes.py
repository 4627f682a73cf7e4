"""The platform's own server writes after a Create of ours: what a buyer typed stays, our fields come back beside it."""

from typing import Any

import pytest

from service.orders.state.order_entry import Status
from tests.workers.stacks.stack import OpenStack
from tests.workers.stacks.verifier_stack import VerifierStack

TYPED: dict[str, Any] = {"buyer_po": "BUYER", "buyer_extra_fields": {"Cost Center": "CC-B"}}


@pytest.mark.parametrize("after", [3.0, 15.0])
async def test_what_the_buyer_typed_stays_and_our_fields_come_back_once(open_stack: OpenStack, after: float) -> None:
    verifier = VerifierStack(await open_stack(platform_writes_after=[after]))
    order_id = await verifier.write(po_number="OURS", **TYPED)
    await verifier.verify()
    assert (await verifier.entry(order_id)).status is Status.CREATED
    verifier.stack.clock.tick(50)

    await verifier.reverify()
    entry = await verifier.run_until_finished(order_id)
    verifier.stack.clock.tick(50)
    await verifier.reverify()

    assert (entry.status, entry.verified, entry.kept) == (Status.CREATED, True, ["po_number"])
    po_number, fields = await verifier.stack.record(order_id)
    assert (po_number, fields["Cost Center"]) == ("BUYER", "CC-B")
    assert fields["Account No"] == "ERP-10001"
    assert await verifier.stack.writes(order_id) == (1, 1)


async def test_a_record_that_is_there_in_the_first_second_is_filled_up(open_stack: OpenStack) -> None:
    stack = await open_stack(platform_writes_after=[0.3])
    order_id = await stack.place(po_number="OURS", **TYPED)
    stack.clock.tick(1)

    finished = await stack.finish(stack.entry(order_id))

    assert finished.status is Status.UPDATED
    po_number, fields = await stack.record(order_id)
    assert (po_number, fields["Cost Center"], fields["Account No"]) == ("BUYER", "CC-B", "ERP-10001")
    assert await stack.writes(order_id) == (0, 1)
