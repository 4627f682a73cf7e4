"""Tables as CSV: texts stay texts."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from service.csv_tables import to_csv


def test_cells_are_written_as_spreadsheets_read_them() -> None:
    row = ("a", 7, -1.5, 12.0, True, False, None, 'x "y", z\nw')
    assert to_csv(["n"], [row]) == 'n\r\na,7,-1.5,12,true,false,,"x ""y"", z\nw"\r\n'


@given(st.text())
def test_any_text_is_one_cell_and_never_a_formula(text: str) -> None:
    rows = list(csv.reader(io.StringIO(to_csv(["n"], [(text, 1)]), newline="")))
    assert len(rows) == 2
    cell, one = rows[1]
    assert one == "1"
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    kept = text.encode(errors="replace").decode().replace("\0", "")
    assert cell in (kept, f"'{kept}")
