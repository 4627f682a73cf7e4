"""Notes of attempts, in the order's entry: when each began, how long it took, its calls, its result in words."""

from service.orders.state.attempt_notes import AttemptNote, add_note
from service.orders.state.order_entry import Entry
from workers.orders.result_types import (
    AttemptResult,
    AwaitingCredentials,
    AwaitingRecord,
    AwaitingRequired,
    AwaitingStatus,
    AwaitingValues,
    AwaitingWrites,
    Finished,
    RetryLater,
    Written,
)


def note_attempt(entry: Entry, result: AttemptResult, *, began_at: float, ended_at: float, calls: int) -> None:
    """Note an attempt. Times are in seconds since the epoch; the entry is saved with what follows from the result."""
    ms = round((ended_at - began_at) * 1000)
    add_note(entry.history, AttemptNote(entry.attempts, began_at, ms, calls, in_words(entry, result)))


def note_verification(entry: Entry, result: str, *, at: float) -> None:
    """Note that the record was read, in one call that may have been for several orders."""
    add_note(entry.history, AttemptNote(0, at, 0, 1, result))


def in_words(entry: Entry, result: AttemptResult) -> str:
    """The result of an attempt, for people."""
    match result:
        case Finished(status, reason):
            return f"{status}: {reason}" if reason else status.value
        case RetryLater(trouble):
            return f"to be retried: {trouble}"
        case Written():
            by = entry.sent.by if entry.sent else "update"
            over = " over the storefront API" if entry.sent and entry.sent.via == "storefront" else ""
            return f"{by.capitalize()} an Order was taken{over}"
        case AwaitingValues(rules):
            return f"waits for late values: {', '.join(rules)}"
        case AwaitingRequired(rule):
            return f"waits for a value: {rule}"
    return _PLAIN[type(result)]


_PLAIN: dict[type, str] = {
    AwaitingStatus: "waits for its status to change",
    AwaitingRecord: "waits for B2B Edition to make the record",
    AwaitingWrites: "held: nothing is written for the store",
    AwaitingCredentials: "BigCommerce refuses the store's credentials",
}
