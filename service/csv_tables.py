"""Tables as CSV, as spreadsheets read them: UTF-8, a line of column names, CRLF (RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Sequence

Cell = str | int | float | bool | None

# A spreadsheet takes such a text for a formula, and texts are shoppers'. OWASP, "CSV Injection".
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table as CSV. Unknown cells are empty. A text that a spreadsheet would run as a formula begins with a ``'``."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_text(column) for column in columns])
    writer.writerows([_text(cell) for cell in row] for row in rows)
    return out.getvalue()


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case float():
            return f"{cell:.3f}".rstrip("0").rstrip(".")
        case int():
            return str(cell)
    safe = cell.encode(errors="replace").decode().replace("\0", "")
    return f"'{safe}" if safe.startswith(_FORMULA_STARTS) else safe
