"""Old beside new: which values and outcomes count as different."""

import pytest

from service.orders.document.partial_loader import LoadedOrder
from service.orders.preview_comparison import (
    Change,
    Comparison,
    Result,
    compare,
    count_changes,
    differences_first,
)
from service.orders.state.order_entry import Entry, Status

SENT = Result("sent", {"po_number": "A", "Dock": "1"})


def comparison(old: Result, new: Result = SENT, order_id: int = 1) -> Comparison:
    return compare(LoadedOrder(order_id, {"order": {}}, {}), old, new)


@pytest.mark.parametrize(
    ("old", "changes"),
    [
        (SENT, []),
        (Result("sent", {"Dock": "1", "po_number": "B"}), [Change("po_number", "B", "A")]),
        (Result("sent", {}), [Change("po_number", None, "A"), Change("Dock", None, "1")]),
        (Result("sent", {**SENT.values, "Zone": "z"}), [Change("Zone", "z", None)]),
    ],
)
def test_each_value_that_differs_is_a_change_the_po_first(old: Result, changes: list[Change]) -> None:
    found = comparison(old)
    assert list(found.changes) == changes
    assert found.differs is bool(changes)


def test_an_outcome_alone_is_a_difference() -> None:
    found = comparison(Result("skipped: guest", {}), Result("failed: po_number", {}))
    assert (found.differs, found.changes_outcome, found.changes) == (True, True, ())


def test_differences_come_first_and_the_rest_stays_in_order() -> None:
    other = Result("sent", {"po_number": "B", "Dock": "1"})
    found = [comparison(old, order_id=number) for number, old in enumerate((SENT, other, SENT, other))]
    assert [each.loaded.order_id for each in differences_first(found)] == [1, 3, 0, 2]
    assert count_changes(found) == {"po_number": 2}


@pytest.mark.parametrize(
    ("entry", "result"),
    [
        (None, Result("not enriched", {})),
        (
            Entry("s", 1, status=Status.CREATED, po_number="A", fields={"Dock": "1"}),
            Result("sent", {"po_number": "A", "Dock": "1"}),
        ),
        (Entry("s", 1, status=Status.UNCHANGED, fields={"Dock": "1"}), Result("sent", {"Dock": "1"})),
        (Entry("s", 1, status=Status.SKIPPED, reason="guest", po_number="A"), Result("skipped: guest", {})),
        (Entry("s", 1, status=Status.FAILED, reason="po_number"), Result("failed: po_number", {})),
        (Entry("s", 1, status=Status.WAITING, reason="value", rule="Dock"), Result("waiting: value: Dock", {})),
        (Entry("s", 1), Result("waiting", {})),
    ],
)
def test_an_entry_is_said_in_the_words_of_a_preview(entry: Entry | None, result: Result) -> None:
    assert Result.of_entry(entry) == result
