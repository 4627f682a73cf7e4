"""Output of orders' entries, and of what people did, as tables."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from service.audit import Action, in_words
from service.orders.entry_report import changed_at, why
from service.orders.state.order_entry import Entry, Stage, Status

COLOURS = {
    Status.CREATED: "green",
    Status.UPDATED: "green",
    Status.UNCHANGED: "green",
    Status.FAILED: "red",
    Status.SKIPPED: "dim",
}


def actions_table(actions: Iterable[Action]) -> Table:
    """What people have done to an order, the newest first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("AT (UTC)", no_wrap=True)
    for column in ("WHO", "ACTION", "DETAIL"):
        table.add_column(column, overflow="fold")
    for action in actions:
        at = datetime.fromtimestamp(action.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(at, Text(action.who), Text(in_words(action.action)), Text(action.detail))
    return table


def as_table(entries: Sequence[Entry]) -> Table:
    """A table with a row for each order.

    What was not sent, and why a window was missed, are columns only where an order needs them: in 80 columns the reason
    would have no room.
    """
    not_sent, missed = any(_not_sent(entry) for entry in entries), any(entry.missed_reason for entry in entries)
    table = Table(box=None, pad_edge=False, header_style="bold")
    # In 80 columns the reason needs room, so date and time, and a long PO number, may take two lines.
    table.add_column("CHANGED (UTC)")
    for column in ("STORE", "ORDER", "OUTCOME", "VERIFIED"):
        table.add_column(column, no_wrap=True)
    table.add_column("PO NUMBER", overflow="fold")
    table.add_column("SENT AT", justify="right", no_wrap=True)
    table.add_column("REASON", overflow="fold")
    if not_sent:
        table.add_column("NOT SENT", overflow="fold")
    if missed:
        table.add_column("MISSED WINDOW", overflow="fold")
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
            *([Text(_not_sent(entry))] * not_sent),
            *([Text(entry.missed_reason or "")] * missed),
        )
    return table


def _not_sent(entry: Entry) -> str:
    parts = {"kept": entry.kept, "left out": list(entry.dropped)}
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts.items() if names)
