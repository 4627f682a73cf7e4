"""Each reason has a kind, and each kind a cure."""

import pytest

from service.errors import Refused, TryAgain
from service.orders.failures.failure_kinds import FailureKind, kind_of
from service.orders.state.order_entry import Entry, Status


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("po_number", FailureKind.REQUIRED_VALUE),
        ("A field with a name of many words", FailureKind.REQUIRED_VALUE),  # the name of a rule
        ("Account No", FailureKind.REQUIRED_VALUE),
        ("Cost Center: the text is not a number, and the field takes only numbers.", FailureKind.FIELD_REFUSED),
        ("Ref: another order has this value already, and BigCommerce takes it once.", FailureKind.FIELD_REFUSED),
        ("order_not_found", FailureKind.ORDER_NOT_FOUND),
        ("not_persisted", FailureKind.NOT_PERSISTED),
        ("B2B Edition has no record of this order; if its buyer joined the Company later: `x`", FailureKind.NO_RECORD),
        ("the order has no date_created that can be read", FailureKind.NO_DATE),
        ("internal error: KeyError", FailureKind.INTERNAL_ERROR),
        (str(Refused("Create an Order", "The value is wrong", status=422)), FailureKind.REFUSED),
        (str(TryAgain("Create an Order", "Bad gateway", status=502)), FailureKind.GAVE_UP),
        (str(TryAgain("Create an Order", "ConnectTimeout")), FailureKind.GAVE_UP),
        (str(TryAgain("Create an Order", "too many requests", status=429)), FailureKind.GAVE_UP),
        ("the store is not in the stores file", FailureKind.GAVE_UP),
        ("The order that you want to create has something that we do not like", FailureKind.REFUSED),
        ("", FailureKind.REQUIRED_VALUE),
    ],
)
def test_a_reason_has_its_kind(reason: str, kind: FailureKind) -> None:
    entry = Entry("abc123", 1, status=Status.FAILED, reason=reason)
    assert kind_of(entry, ["A field with a name of many words"]) is kind


def test_a_waiting_order_waits_for_its_value_whatever_its_rule_is_called() -> None:
    entry = Entry("abc123", 1, status=Status.WAITING, reason="value", rule="not_persisted")
    assert kind_of(entry) is FailureKind.WAITS_FOR_VALUE


def test_each_cure_is_one_sentence_of_its_own() -> None:
    cures = [kind.cure for kind in FailureKind]
    assert len(set(cures)) == len(FailureKind)
    assert all(cure.endswith(".") for cure in cures)
