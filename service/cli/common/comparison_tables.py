"""Output of a comparison, old beside new: for ``enrich preview --against`` and ``enrich backfill --dry-run``."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from service.csv_tables import Cell
from service.orders.document.partial_loader import LoadedOrder
from service.orders.preview import Outcome
from service.orders.preview_comparison import Comparison, count_changes
from service.orders.values.merge import PO_NUMBER

GAP = "—"


def comparison_table(found: Sequence[Comparison]) -> Table:
    """A row for each value that differs; one for an order of which none does."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("ORDER", "CREATED (UTC)", "CUSTOMER", "VALUE", "OLD", "NEW"):
        table.add_column(name, overflow="fold", no_wrap=name in ("ORDER", "CREATED (UTC)"))
    for each in found:
        loaded = each.loaded
        created = iso_time(loaded)
        first: tuple[str, ...] = (
            str(loaded.order_id),
            created[:19].replace("T", " ") if created else GAP,
            str(loaded.customer_id or "guest"),
        )
        for name, old, new in _rows(each):
            table.add_row(*first, *map(Text, (name, old, new)), style=None if each.differs else "dim")
            first = ("", "", "")
    return table


def _rows(each: Comparison) -> list[tuple[str, str, str]]:
    rows = [("outcome", each.old.outcome, each.new.outcome)] if each.changes_outcome else []
    rows += [(_heading(change.name), change.old or GAP, change.new or GAP) for change in each.changes]
    same = each.new.values.get(PO_NUMBER) or each.new.outcome
    return rows or [("no difference", same, same)]


def comparison_summary(found: Sequence[Comparison]) -> str:
    """How many orders differ, and in what."""
    different = sum(each.differs for each in found)
    if not different:
        return f"None of {len(found)} orders differs."
    parts = [f"{_heading(name)} on {count}" for name, count in count_changes(found).most_common()]
    if ends := sum(each.changes_outcome for each in found):
        parts.append(f"outcome on {ends}")
    verb = "differs" if different == 1 else "differ"
    text = f"{different} of {len(found)} orders {verb}: {', '.join(parts)}."
    if failing := sum(each.new.outcome.startswith(Outcome.FAILED) for each in found):
        text += f" {failing} would fail."
    if unread := sum(each.new.outcome.startswith(Outcome.UNREAD) for each in found):
        text += f" {unread} could not be read."
    return text


def comparison_as_dict(each: Comparison, store: str) -> dict[str, Any]:
    """The comparison of an order, for scripts."""
    return {
        "store": store,
        "order_id": each.loaded.order_id,
        "order_created_at": iso_time(each.loaded),
        "customer_id": each.loaded.customer_id,
        "differs": each.differs,
        "old": {"outcome": each.old.outcome, "values": dict(each.old.values)},
        "new": {"outcome": each.new.outcome, "values": dict(each.new.values)},
        "changes": [{"name": change.name, "old": change.old, "new": change.new} for change in each.changes],
    }


def comparison_as_csv(found: Sequence[Comparison], store: str) -> tuple[list[str], list[list[Cell]]]:
    """A row for each order, with two columns for each value: old and new."""
    names = sorted(
        {name for each in found for values in (each.old.values, each.new.values) for name in values},
        key=lambda name: (name != PO_NUMBER, name),
    )
    columns = ["store", "order_id", "created_at", "customer_id", "differs", "old outcome", "new outcome"]
    rows: list[list[Cell]] = []
    for each in found:
        loaded = each.loaded
        cells: list[Cell] = [store, loaded.order_id, iso_time(loaded), loaded.customer_id, each.differs]
        cells += [each.old.outcome, each.new.outcome]
        for name in names:
            cells += [each.old.values.get(name), each.new.values.get(name)]
        rows.append(cells)
    return [*columns, *(f"{age} {name}" for name in names for age in ("old", "new"))], rows


def iso_time(loaded: LoadedOrder) -> str | None:
    """When the order was placed, as ISO 8601; None when it has no date that can be read."""
    created = loaded.created_at
    return None if created is None else datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _heading(name: str) -> str:
    return "PO NUMBER" if name == PO_NUMBER else name
