"""The kinds of reasons for which orders need a person, and the cure of each: one sentence, the same everywhere.

The console, `enrich orders list` and the runbook show these sentences.
"""

import re
from collections.abc import Collection, Iterable
from enum import Enum

from service.orders.entry_report import why
from service.orders.state.order_entry import Entry, Status

PO_NUMBER = "po_number"


class FailureKind(Enum):
    """A kind of reason, with its cure."""

    WAITS_FOR_VALUE = "Find out why the value is missing; correct the order or the rule. It goes on by itself."
    REQUIRED_VALUE = "Correct the order, the rule, or the default value of the field; then retry."
    FIELD_REFUSED = "Correct the rule or the settings of the field in B2B Edition; then retry."
    ORDER_NOT_FOUND = "Check in BigCommerce whether the order exists; if it does, retry."
    NOT_PERSISTED = "Retry; if it fails again, contact BigCommerce's support."
    NO_RECORD = "Assign the order to its Company with `enrich orders assign`, which retries it, too."
    NO_DATE = "Contact BigCommerce's support: the order has no date; then retry."
    INTERNAL_ERROR = "This is a fault of this program: report it with the log lines of the order; then retry."
    REFUSED = "Correct what BigCommerce's message names; then retry."
    GAVE_UP = "It was tried for 48 hours: remove the cause, such as an outage or a missing store; then retry."

    @property
    def cure(self) -> str:
        """What a person should do."""
        return self.value


_FIXED = {"order_not_found": FailureKind.ORDER_NOT_FOUND, "not_persisted": FailureKind.NOT_PERSISTED}
_BEGINNINGS = {
    "internal error:": FailureKind.INTERNAL_ERROR,
    "B2B Edition has no record of this order": FailureKind.NO_RECORD,
    "the order has no date_created": FailureKind.NO_DATE,
    # What delayed it for 48 hours, where that is no answer of BigCommerce.
    "B2B Edition has no record of the order yet": FailureKind.GAVE_UP,
    "the record ": FailureKind.GAVE_UP,
    "the store is not in the stores file": FailureKind.GAVE_UP,
    "BigCommerce refuses the store's credentials": FailureKind.GAVE_UP,
}

# As service.errors.UpstreamError writes them: the call, the HTTP status, the message.
_UPSTREAM = re.compile(r"[A-Z][^:]{2,60}: (\d{3}|no answer): ")
# As service.orders.values.field_validation writes them: the name of the field, then a sentence.
_FIELD_SENTENCE = re.compile(r".+: (the|another) [^:]*\.", re.DOTALL)
# Names of extra fields have fewer words than sentences.
_NAME_WORDS_MAX = 4


def kind_of(entry: Entry, rules: Collection[str] = ()) -> FailureKind:
    """The kind of an order that has failed, or waits for a value. ``rules`` are the names of the store's rules."""
    if entry.status is Status.WAITING:
        return FailureKind.WAITS_FOR_VALUE
    reason = entry.reason or ""
    if fixed := _FIXED.get(reason):
        return fixed
    if reason == PO_NUMBER or reason in rules:
        return FailureKind.REQUIRED_VALUE
    if found := next((kind for text, kind in _BEGINNINGS.items() if reason.startswith(text)), None):
        return found
    if upstream := _UPSTREAM.match(reason):
        is_permanent = upstream[1].startswith("4") and upstream[1] != "429"
        return FailureKind.REFUSED if is_permanent else FailureKind.GAVE_UP
    if _FIELD_SENTENCE.fullmatch(reason):
        return FailureKind.FIELD_REFUSED
    # The name of a field that B2B Edition requires and no rule fills, or of a rule of former days; else its message.
    return FailureKind.REQUIRED_VALUE if len(reason.split()) <= _NAME_WORDS_MAX else FailureKind.REFUSED


def needs_person(entry: Entry) -> bool:
    """Whether the order has failed, or its window has closed while it waits for the value of a required rule."""
    return entry.status is Status.FAILED or (entry.status is Status.WAITING and entry.wait_logged)


def cures_of(entries: Iterable[Entry]) -> list[str]:
    """What to do about those that need a person: a sentence for each kind, with the reasons."""
    reasons: dict[FailureKind, list[str]] = {}
    for entry in filter(needs_person, entries):
        reasons.setdefault(kind_of(entry), []).append(why(entry) or "no reason")
    return [
        f"{', '.join(dict.fromkeys(_short(reason) for reason in found))}: {kind.cure}"
        for kind, found in reasons.items()
    ]


def _short(reason: str) -> str:
    return reason if len(reason) <= _NAME_LENGTH else f"{reason[: _NAME_LENGTH - 1]}…"


# As much of a reason as tells which it is.
_NAME_LENGTH = 60
