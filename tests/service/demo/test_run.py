"""How the demo compares an order's outcome with the expected one."""

from typing import Any

import pytest

from service.demo.orders import (
    ACCOUNT_TOO_LONG,
    account_too_long,
    changed_later,
    form_field,
    guest,
    late,
    no_po,
    no_record,
    without_account,
)
from service.demo.run import Placed, _deviations
from service.orders.state.order_entry import Entry, Status

GOOD = form_field("4700-D")
RECORD = {"po_number": "4700-D", "extra_fields": GOOD.fields}


def entry(**changes: Any) -> Entry:
    values: dict[str, Any] = {
        "status": Status.CREATED,
        "verified": True,
        "create_age": 1.5,
    }
    return Entry("sandbox", 1001, **values | changes)


def deviations(order: Placed, record: dict[str, Any] | None = RECORD, creates: int = 1) -> list[str]:
    return list(_deviations(order, {"record": record, "creates": creates}))


def test_an_order_with_the_expected_outcome_has_no_deviations() -> None:
    order = Placed(1001, GOOD, entry())
    assert deviations(order) == []
    assert order.is_finished
    assert order.age_at_create == 1.5


@pytest.mark.parametrize(
    ("changes", "record", "creates", "deviation"),
    [
        ({"status": Status.QUEUED}, RECORD, 1, "not finished"),
        ({"status": Status.FAILED, "reason": "Cost Center"}, RECORD, 1, "failed Cost Center, not created "),
        ({"verified": False}, RECORD, 1, "not verified"),
        ({"create_age": 10.0}, RECORD, 1, "not inside the window"),
        ({}, None, 0, "its record says PO None, not '4700-D'"),
        ({}, RECORD | {"po_number": "4701-D"}, 1, "its record says PO '4701-D', not '4700-D'"),
        ({}, RECORD | {"extra_fields": {}}, 1, f"its record says {{}}, not {GOOD.fields}"),
        ({}, RECORD, 2, "created 2 times"),
    ],
)
def test_every_deviation_is_reported(
    changes: dict[str, Any], record: dict[str, Any] | None, creates: int, deviation: str
) -> None:
    assert deviation in deviations(Placed(1001, GOOD, entry(**changes)), record, creates)


def test_an_order_without_an_entry_is_not_finished() -> None:
    assert deviations(Placed(1001, GOOD), None, 0) == ["not finished"]


def test_a_skipped_order_needs_no_record() -> None:
    skipped = entry(status=Status.SKIPPED, reason="guest", verified=None, times={})
    assert deviations(Placed(1001, guest("4700-D"), skipped), None, 0) == []
    assert deviations(Placed(1001, guest("4700-D"), entry()), None, 0) == ["created , not skipped guest"]


def test_an_updated_order_needs_no_window() -> None:
    order = Placed(1001, late("4700-D"), entry(status=Status.UPDATED))
    assert deviations(order, {"po_number": "4700-D", "extra_fields": late("4700-D").fields}, 0) == []
    assert order.age_at_create is None


def test_an_order_that_never_gets_a_record_is_created_after_its_window() -> None:
    demo = no_record("4700-D")
    record = {"po_number": "4700-D", "extra_fields": demo.fields}
    assert deviations(Placed(1001, demo, entry(create_age=17.5)), record) == []
    assert deviations(Placed(1001, demo, entry()), record) == ["inside the window"]


def test_an_order_that_changes_later_is_finished_with_its_last_values() -> None:
    demo = changed_later("4700-D")
    before = demo.fields | {"Ship Window": "2026-W05"}
    assert not Placed(1001, demo, entry(po_number="4700-D", fields=before)).is_finished
    assert not Placed(1001, demo, entry(po_number="4700-D", fields=demo.fields, status=Status.QUEUED)).is_finished
    assert Placed(1001, demo, entry(po_number="4700-D", fields=demo.fields)).is_finished


def test_an_order_without_a_po_may_have_null_or_empty_text() -> None:
    for po_number in (None, ""):
        record = {"po_number": po_number, "extra_fields": no_po("").fields}
        assert deviations(Placed(1001, no_po(""), entry()), record) == []


def test_an_order_that_waits_for_a_person_is_finished_once_it_waits() -> None:
    order = Placed(1001, without_account("4700-D"), entry(status=Status.QUEUED, verified=None))
    assert not order.is_finished
    assert deviations(order, None, 0) == ["not finished"]
    order.entry = entry(status=Status.WAITING, reason="value", verified=None)
    assert order.is_finished
    assert deviations(order, None, 0) == []


def test_an_order_that_fails_as_it_should_deviates_only_by_another_reason() -> None:
    order = Placed(1001, account_too_long("4700-D"), entry(status=Status.FAILED, reason=ACCOUNT_TOO_LONG))
    assert deviations(order, None, 0) == []
    order.entry = entry(status=Status.FAILED, reason="other")
    assert deviations(order, None, 0) == [f"failed other, not failed {ACCOUNT_TOO_LONG}"]
