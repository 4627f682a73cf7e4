"""The record that is there against the values that should be: what to write, what to leave alone. Pure.

What somebody else wrote on a record stays unless the store says ``existing_values = "replace"``: BigCommerce's own
checkout writes PO numbers too, and a buyer's own words are not ours to overwrite.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from service.bigcommerce.models import Record, Values
from service.orders.entry import Sent

PO_NUMBER = "po_number"

# A number as people write it: without leading zeros, so that "007" is never taken for "7".
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Merged:
    """What an Update must send, and what of somebody else's stays.

    ``values`` is None when the record needs nothing. Its extra fields are the whole set, the record's own (named in
    ``carried``) with ours in them: whether the API merges or replaces is unknown. ``kept`` names the values of ours
    that gave way to somebody else's.
    """

    values: Values | None
    carried: tuple[str, ...]
    kept: tuple[str, ...]


def merge(record: Record, wanted: Values, sent: Sent | None, existing_values: Literal["keep", "replace"]) -> Merged:
    """Compare a record with the wanted values. A value that we sent earlier counts as ours, not somebody else's."""
    kept: list[str] = []

    def must_write(name: str, value: str, there: str, sent_before: str | None) -> bool:
        if same(value, there, exact=name == PO_NUMBER):
            return False
        ours = sent_before is not None and same(sent_before, there)
        if there.strip() and not ours and existing_values == "keep":
            kept.append(name)
            return False
        return True

    po_number = None
    if wanted.po_number is not None and must_write(
        PO_NUMBER, wanted.po_number, record.po_number, sent.po_number if sent else None
    ):
        po_number = wanted.po_number
    before = _own_fields(sent)
    fields = {
        name: value
        for name, value in wanted.extra_fields.items()
        if must_write(name, value, record.extra_fields.get(name, ""), before.get(name))
    }
    if po_number is None and not fields:
        return Merged(None, (), tuple(kept))
    everything = {**record.extra_fields, **fields}
    carried = tuple(name for name in everything if name not in fields)
    return Merged(Values(po_number, everything), carried, tuple(kept))


def holds(record: Record, sent: Sent) -> bool:
    """Whether the record shows the PO and every extra field that was sent, as sent."""
    return (sent.po_number is None or same(sent.po_number, record.po_number, exact=True)) and all(
        same(value, record.extra_fields.get(name, "")) for name, value in sent.extra_fields.items()
    )


def is_lost(record: Record, sent: Sent) -> bool:
    """Whether anything that was sent is gone from the record: empty now, not merely written over by somebody."""
    gone = [value for name, value in sent.extra_fields.items() if value and not record.extra_fields.get(name)]
    return bool(gone or (sent.po_number and not record.po_number.strip()))


def same(ours: str, there: str, *, exact: bool = False) -> bool:
    """Whether two values are the same text; number fields may come back written another way (5.50 and 5.5)."""
    ours, there = ours.strip(), there.strip()
    if ours == there:
        return True
    if exact or not (_NUMBER.fullmatch(ours) and _NUMBER.fullmatch(there)):
        return False
    return Decimal(ours) == Decimal(there)


def _own_fields(sent: Sent | None) -> Mapping[str, str]:
    if sent is None:
        return {}
    return {name: value for name, value in sent.extra_fields.items() if name not in sent.carried}
