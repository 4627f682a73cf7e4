"""Output of ``enrich preview --csv``: column names and rows."""

from collections.abc import Sequence

from service.cli.common.comparison_tables import iso_time
from service.cli.common.output import to_json
from service.cli.preview.tables import column, order_notes
from service.csv_tables import Cell
from service.orders.document.partial_loader import LoadedOrder
from service.orders.preview import Preview, TriedExpression


def previews(found: Sequence[Preview], store: str) -> tuple[list[str], list[list[Cell]]]:
    """A row for each order, with a column for each rule."""
    names = [column(result) for result in found[0].results] if found else []
    rows = [
        [
            *_order_cells(each.loaded, store),
            each.outcome.value,
            *(result.sent for result in each.results),
            "; ".join(order_notes(each)),
        ]
        for each in found
    ]
    return ["store", "order_id", "created_at", "customer_id", "outcome", *names, "note"], rows


def tried(found: Sequence[tuple[LoadedOrder, TriedExpression]], store: str) -> tuple[list[str], list[list[Cell]]]:
    """A row for each order: the result of an expression."""
    rows = [[*_order_cells(each, store), to_json(one.raw), one.text, one.value, one.error] for each, one in found]
    return ["store", "order_id", "created_at", "customer_id", "raw", "text", "value", "error"], rows


def _order_cells(loaded: LoadedOrder, store: str) -> list[Cell]:
    return [store, loaded.order_id, iso_time(loaded), loaded.customer_id]
