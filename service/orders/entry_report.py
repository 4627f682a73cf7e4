"""What an order's entry says, for people and for scripts: the same in commands and in the console."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from service.audit import Action
from service.csv_tables import Cell
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.order_entry import Entry, Sent, Stage
from service.orders.state.set_values import ByHand


def as_dict(entry: Entry) -> dict[str, Any]:
    """The entry for scripts: times as ISO 8601, the timeline in milliseconds since the order."""
    return {
        "store": entry.store,
        "order_id": entry.order_id,
        "outcome": entry.status.value,
        "reason": entry.reason,
        "rule": entry.rule,
        "verified": entry.verified,
        "in_window": entry.in_window,
        "via": entry.via,
        "comment_not_kept": entry.comment_not_kept,
        "window_result": entry.window_result,
        "missed_reason": entry.missed_reason,
        "po_number": entry.po_number,
        "fields": entry.fields,
        "by_hand": _by_hand(entry.by_hand) if entry.by_hand else {},
        "kept": entry.kept,
        "dropped": entry.dropped,
        "trouble": None if entry.status.is_final else entry.trouble,
        "source": entry.source,
        "webhook_id": entry.webhook_id,
        "customer_id": entry.customer_id,
        "company_id": entry.record_company_id or entry.company_id,
        "attempts": entry.attempts,
        "upstream_calls": entry.upstream_calls,
        "history": [note._asdict() | {"at": to_iso(note.at)} for note in entry.history],
        "sent": _sent(entry.sent) if entry.sent else None,
        "ended_at": to_iso(entry.ended_at),
        "order_created_at": to_iso(entry.times.get(Stage.CREATED)),
        "timeline_ms": {stage.value: to_ms(entry.age_at(stage)) for stage in Stage if stage in entry.times},
    }


def action_as_dict(action: Action) -> dict[str, Any]:
    """An action on an order for scripts."""
    return {"at": to_iso(action.at), "who": action.who, "action": action.action, "detail": action.detail}


def _by_hand(by_hand: ByHand) -> dict[str, Any]:
    return {
        name: {"text": value.text, "who": value.who, "at": to_iso(value.at)} for name, value in by_hand.values.items()
    }


def _sent(sent: Sent) -> dict[str, Any]:
    """Our values. Those of somebody else that an Update carried are not shown."""
    return {
        "by": sent.by,
        "po_number": sent.po_number,
        "extra_fields": dict(sent.extra_fields),
        "answered": sent.answered,
        "via": sent.via,
    }


def as_csv(entries: Sequence[Entry]) -> tuple[list[str], list[list[Cell]]]:
    """Column names and a row for each order, with a column for each extra field."""
    names = sorted({name for entry in entries for name in entry.fields})
    columns = (
        *("store", "order_id", "customer_id", "company_id", "order_created_at", "changed_at", "outcome", "reason"),
        *("verified", "window", "missed_reason", "create_age_s", "attempts", "kept", "left_out", "po_number"),
        *names,
    )
    return [*columns], [_csv_row(entry, names) for entry in entries]


def _csv_row(entry: Entry, names: Iterable[str]) -> list[Cell]:
    return [
        *(entry.store, entry.order_id, entry.customer_id, entry.record_company_id or entry.company_id),
        *(to_iso(entry.times.get(Stage.CREATED)), to_iso(changed_at(entry)), entry.status.value, why(entry)),
        *(entry.verified, entry.window_result, entry.missed_reason, entry.create_age, entry.attempts),
        *(", ".join(entry.kept), ", ".join(entry.dropped), entry.po_number),
        *(entry.fields.get(name) for name in names),
    ]


def why(entry: Entry) -> str:
    """Why the order has its status: its reason, with the rule whose value is missing, or the problem that delays it."""
    if entry.reason and entry.rule:
        return f"{entry.reason}: {entry.rule}"
    return entry.reason or ("" if entry.status.is_final else entry.trouble or "")


def created_how(entry: Entry) -> str:
    """What is special about the Create that made the record; empty: nothing."""
    over = ["over the storefront API, as the buyer"] if entry.via == "storefront" else []
    return "; ".join(over + ["the order's comment is not kept"] * entry.comment_not_kept)


def changed_at(entry: Entry) -> float:
    """When the order was finished, or its last event; seconds since the epoch."""
    return entry.ended_at or max(entry.times.values(), default=0.0)


def margin_s(entry: Entry) -> float | None:
    """What was left of the window when Create an Order was sent, in seconds; None for an order without a Create."""
    return None if entry.create_age is None else WINDOW_LENGTH_S - entry.create_age


def to_ms(seconds: float | None) -> int | None:
    """Whole milliseconds."""
    return None if seconds is None else round(seconds * 1000)


def to_iso(seconds: float | None) -> str | None:
    """A time as ISO 8601."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
