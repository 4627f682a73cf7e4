"""The record that is there against the values that should be: what to write, what to leave alone. Pure.

What somebody else wrote on a record stays unless the store says ``existing_values = "replace"``: BigCommerce's own
checkout writes PO numbers too, and a buyer's own words are not ours to overwrite.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from service.bigcommerce.models import Record, Values
from service.orders.state.entry import Sent

PO_NUMBER = "po_number"

# A number as people write it: without leading zeros, so that "007" is never taken for "7".
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Merged:
    """What an Update must send, None when the record needs nothing; ``kept`` names what gave way to somebody else's.

    The extra fields are the whole set, the record's own (``Values.carried``) beside ours: whether the API merges or
    replaces is unknown.
    """

    values: Values | None
    kept: tuple[str, ...]


def merge(
    record: Record,
    wanted: Values,
    written: Mapping[str, Sequence[str]],
    existing_values: Literal["keep", "replace"],
    *,
    leave_out: Collection[str] = (),
) -> Merged:
    """Compare a record with the wanted values.

    ``written`` are the values that we ever sent, by name: those count as ours, not as somebody else's. Fields in
    ``leave_out`` are not carried along.
    """
    kept: list[str] = []

    def must_write(name: str, value: str, there: Any) -> bool:
        exact = name == PO_NUMBER
        if same(value, there, exact=exact):
            return False
        ours = any(same(earlier, there, exact=exact) for earlier in written.get(name, ()))
        if _says_something(there) and not ours and existing_values == "keep":
            kept.append(name)
            return False
        return True

    po_number = None
    if wanted.po_number is not None and must_write(PO_NUMBER, wanted.po_number, record.po_number):
        po_number = wanted.po_number
    fields = {
        name: value
        for name, value in wanted.extra_fields.items()
        if must_write(name, value, record.extra_fields.get(name, ""))
    }
    if po_number is None and not fields:
        return Merged(None, tuple(kept))
    carried = {
        name: there
        for name, there in record.extra_fields.items()
        if _says_something(there) and name not in fields and name not in leave_out
    }
    return Merged(Values(po_number, fields, carried), tuple(kept))


def holds(record: Record, sent: Sent) -> bool:
    """Whether the record shows the PO and every extra field that was sent, as sent."""
    return (sent.po_number is None or same(sent.po_number, record.po_number, exact=True)) and all(
        same(value, record.extra_fields.get(name, "")) for name, value in sent.extra_fields.items()
    )


def shows_any(record: Record, sent: Sent) -> bool:
    """Whether anything on the record is what was sent."""
    return (sent.po_number is not None and same(sent.po_number, record.po_number, exact=True)) or any(
        same(value, record.extra_fields.get(name, "")) for name, value in sent.extra_fields.items()
    )


def is_lost(record: Record, sent: Sent) -> bool:
    """Whether anything that was sent is gone from the record: empty now, not merely written over by somebody."""
    gone = [name for name in sent.extra_fields if not _says_something(record.extra_fields.get(name, ""))]
    return bool(gone) or (sent.po_number is not None and not record.po_number.strip())


def same(ours: str, there: Any, *, exact: bool = False) -> bool:
    """Whether two values are the same text; number fields may come back written another way (5.50 and 5.5)."""
    if not isinstance(there, str):
        return False
    ours, there = _plain(ours), _plain(there)
    if ours == there:
        return True
    if exact or not (_NUMBER.fullmatch(ours) and _NUMBER.fullmatch(there)):
        return False
    return Decimal(ours) == Decimal(there)


def _plain(text: str) -> str:
    return text.strip().replace("\r\n", "\n")


def _says_something(there: Any) -> bool:
    return bool(there.strip() if isinstance(there, str) else there)
