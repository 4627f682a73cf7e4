"""How the orders of a storm are judged, by the sandbox's books."""

from collections.abc import Mapping
from typing import Any

import pytest

from service.orders.state.order_entry import Entry, Status
from tests.chaos.load_generator import CREATE, UPDATE, Outcome, Placed
from tests.chaos.storms.storm_orders import StormOrder, StormOutcome

OURS = {"po_number": "PO-1", "Account No": "ERP-1"}
BUYERS = {"po_number": "BUYER-1"}
AT = 5.0
"""When the buyer's PO was written."""


def write(at: float, *, operation: str = UPDATE, received_at: float | None = None) -> dict[str, Any]:
    fields = {"Account No": "ERP-1"}
    received_at = at if received_at is None else received_at
    return {"operation": operation, "received_at": received_at, "at": at, "po_number": "PO-1", "extra_fields": fields}


def read(at: float, written_at: float) -> dict[str, float]:
    return {"at": at, "written_at": written_at}


def judged(
    po_number: str | None,
    *,
    theirs: Mapping[str, str] = BUYERS,
    writes: list[dict[str, Any]] | None = None,
    reads: list[dict[str, float]] | None = None,
    status: Status = Status.UPDATED,
) -> StormOutcome:
    record = {"po_number": po_number, "extra_fields": {"Account No": "ERP-1"}}
    placed = Placed("sandbox", 1, 1, None)
    seen = {"created_at": 0.0, "record": record, "writes": writes or [], "reads": reads or []}
    entry = Entry("sandbox", 1, status=status, verified=True)
    return StormOutcome(StormOrder(placed, "po", OURS, dict(theirs), AT), Outcome(placed, entry, seen))


def test_the_values_of_others_and_ours_are_both_fine() -> None:
    kept, written = judged("BUYER-1"), judged("PO-1", theirs={})

    assert not any((kept.is_lost, kept.is_overwritten, kept.is_raced, kept.is_doubled))
    assert not any((written.is_lost, written.is_overwritten, written.is_raced, written.is_doubled))


def test_a_value_that_had_been_read_before_our_write_is_overwritten() -> None:
    outcome = judged("PO-1", writes=[write(6.0)], reads=[read(5.5, AT)])

    assert (outcome.is_overwritten, outcome.is_raced) == (True, False)


@pytest.mark.parametrize(
    ("written", "reads"),
    [
        (write(6.0), [read(4.9, 1.0)]),
        (write(9.0, received_at=5.1), [read(4.9, 1.0), read(7.0, AT)]),
    ],
)
def test_a_value_that_nobody_had_read_before_our_write_is_a_race(
    written: dict[str, Any], reads: list[dict[str, float]]
) -> None:
    outcome = judged("PO-1", writes=[written], reads=reads)

    assert (outcome.is_overwritten, outcome.is_raced, outcome.is_lost) == (False, True, False)


def test_a_value_that_vanished_without_a_write_of_ours_is_overwritten() -> None:
    assert judged("PO-1", writes=[write(4.0)]).is_overwritten


@pytest.mark.parametrize("po_number", ["", None, "PO-2"])
def test_an_order_without_its_value_is_lost(po_number: str | None) -> None:
    assert judged(po_number, theirs={}).is_lost


@pytest.mark.parametrize("status", [Status.QUEUED, Status.FAILED, Status.SKIPPED])
def test_an_order_without_a_good_outcome_is_lost(status: Status) -> None:
    assert judged("PO-1", theirs={}, status=status).is_lost


@pytest.mark.parametrize("writes", [[write(1.0, operation=CREATE)] * 2, [write(1.0)] * 11])
def test_two_creates_or_updates_without_end_are_doubled(writes: list[dict[str, Any]]) -> None:
    assert judged("PO-1", theirs={}, writes=writes).is_doubled
