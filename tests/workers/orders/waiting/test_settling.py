"""``strategy = "merge"``: the platform's own record comes first, and is filled in."""

import pytest

from service.bigcommerce.models import Record
from service.orders.state.order_entry import Entry, Status
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack
from workers.orders.waiting.settling import is_settled

NOW = 1_000_000.0
EMPTY = Record.model_validate({"bcOrderId": ORDER, "createdAt": NOW - 1, "updatedAt": NOW - 1})


@pytest.mark.parametrize(
    ("record", "age_s", "expected"),
    [
        (None, 3.0, False),
        (None, 19.9, False),
        (None, 20.0, True),
        (EMPTY, 3.0, False),
        (EMPTY.model_copy(update={"updated_at": int(NOW) - 5}), 8.0, True),
        (EMPTY.model_copy(update={"updated_at": None, "created_at": int(NOW) - 5}), 8.0, True),
        (EMPTY.model_copy(update={"updated_at": None, "created_at": None}), 8.0, False),
        (EMPTY.model_copy(update={"po_number": "B-1"}), 1.0, True),
        (EMPTY.model_copy(update={"extra_fields": {"F": "x"}}), 1.0, True),
        (EMPTY.model_copy(update={"extra_fields": {"F": ""}}), 1.0, False),
    ],
)
def test_when_a_record_is_settled(record: Record | None, age_s: float, expected: bool) -> None:
    assert is_settled(record, order_age_s=age_s, now=NOW) is expected


@pytest.fixture
def merging(job_stack: JobStack) -> JobStack:
    job_stack.configure(keys='strategy = "merge"')
    return job_stack


async def end_of(stack: JobStack, *, comes_at_s: float, po_number: str = "", **fields: str) -> Entry:
    """Run the order, whose record comes at this age."""
    placed_at = stack.clock()
    await stack.webhook()
    while not (entry := await stack.entry()).status.is_final:
        if stack.record.po_number is None and stack.clock() - placed_at >= comes_at_s:
            stack.record.make(po_number, **fields)
        await stack.run_next()
    return entry


@pytest.mark.parametrize("comes_at_s", [0.3, 3.0, 9.0])
async def test_the_checkouts_values_stay_and_ours_are_filled_in(merging: JobStack, comes_at_s: float) -> None:
    entry = await end_of(merging, comes_at_s=comes_at_s, po_number="TYPED", Other="o")

    assert (entry.status, entry.verified, entry.kept) == (Status.UPDATED, True, ["po_number"])
    assert (merging.record.po_number, merging.record.fields) == ("TYPED", {"Other": "o", "F": "fv"})
    assert "POST /api/v3/io/orders" not in merging.upstream.asked, "the platform makes the record"


async def test_an_empty_record_is_filled_in_once_it_no_longer_changes(merging: JobStack) -> None:
    entry = await end_of(merging, comes_at_s=10.0)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert (merging.record.po_number, merging.record.fields) == ("PO1", {"F": "fv"})


async def test_a_worker_that_dies_while_the_order_waits_loses_nothing(merging: JobStack) -> None:
    await merging.webhook()
    await merging.run_next()
    entry = await merging.entry()
    assert (entry.awaits_record, entry.sent, entry.status) == (True, None, Status.QUEUED)
    merging.configure(keys='strategy = "merge"')  # another worker
    merging.record.make("TYPED")

    entry = await merging.run_until_finished()

    assert (entry.status, merging.record.fields) == (Status.UPDATED, {"F": "fv"})


async def test_while_orders_wait_their_records_are_read_every_three_seconds(merging: JobStack) -> None:
    await end_of(merging, comes_at_s=9.0, po_number="TYPED")

    reads = merging.upstream.asked.count(f"GET {RECORD}")
    assert 4 <= reads <= 7, "three while it waits, then one before the Update and one after it"
