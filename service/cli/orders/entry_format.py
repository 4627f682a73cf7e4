"""Output of an order's entry: a table for people, a dict for scripts."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from service.orders.state.order_entry import Entry, Sent, Stage, Status

COLOURS = {
    Status.CREATED: "green",
    Status.UPDATED: "green",
    Status.UNCHANGED: "green",
    Status.FAILED: "red",
    Status.SKIPPED: "dim",
}


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
        "po_number": entry.po_number,
        "fields": entry.fields,
        "kept": entry.kept,
        "dropped": entry.dropped,
        "trouble": None if entry.status.is_final else entry.trouble,
        "source": entry.source,
        "webhook_id": entry.webhook_id,
        "customer_id": entry.customer_id,
        "attempts": entry.attempts,
        "upstream_calls": entry.upstream_calls,
        "sent": _sent(entry.sent) if entry.sent else None,
        "ended_at": _iso(entry.ended_at),
        "order_created_at": _iso(entry.times.get(Stage.CREATED)),
        "timeline_ms": {stage.value: to_ms(entry.age_at(stage)) for stage in Stage if stage in entry.times},
    }


def _sent(sent: Sent) -> dict[str, Any]:
    """Our values. Those of somebody else that an Update carried are not shown."""
    return {
        "by": sent.by,
        "po_number": sent.po_number,
        "extra_fields": dict(sent.extra_fields),
        "answered": sent.answered,
    }


def as_table(entries: Iterable[Entry]) -> Table:
    """A table with a row for each order."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    # In 80 columns the reason needs room, so date and time, and a long PO number, may take two lines.
    table.add_column("CHANGED (UTC)")
    for column in ("STORE", "ORDER", "OUTCOME", "VERIFIED"):
        table.add_column(column, no_wrap=True)
    table.add_column("PO NUMBER", overflow="fold")
    table.add_column("SENT AT", justify="right", no_wrap=True)
    table.add_column("REASON", overflow="fold")
    for entry in entries:
        sent = entry.create_age if entry.status is Status.CREATED else entry.age_at(Stage.SENT)
        table.add_row(
            datetime.fromtimestamp(changed_at(entry), UTC).strftime("%Y-%m-%d %H:%M:%S"),
            entry.store,
            str(entry.order_id),
            Text(entry.status.value, COLOURS.get(entry.status, "yellow")),
            {True: "yes", False: "no", None: ""}[entry.verified],
            Text(entry.po_number or ""),  # Text: what shoppers and BigCommerce write must not be read as rich's markup
            f"{sent:.1f} s" if sent is not None else "",
            Text(why(entry)),
        )
    return table


def why(entry: Entry) -> str:
    """Why the order has its status: its reason, with the rule whose value is missing, or the problem that delays it."""
    if entry.reason and entry.rule:
        return f"{entry.reason}: {entry.rule}"
    return entry.reason or ("" if entry.status.is_final else entry.trouble or "")


def changed_at(entry: Entry) -> float:
    """When the order was finished, or its last event; seconds since the epoch."""
    return entry.ended_at or max(entry.times.values(), default=0.0)


def to_ms(seconds: float | None) -> int | None:
    """Whole milliseconds."""
    return None if seconds is None else round(seconds * 1000)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
