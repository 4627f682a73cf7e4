"""Merges the wanted values with a B2B Edition record: what to write, what to keep. Pure.

Values that somebody else wrote stay, unless the store has ``existing_values = "replace"``. BigCommerce's own checkout
writes PO numbers too, and what a buyer typed must not be overwritten.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from service.bigcommerce.models import Record, Values
from service.orders.state.entry import Sent

PO_NUMBER = "po_number"

# No leading zeros, so that "007" and "7" stay different texts.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Merged:
    """``values`` is what an Update must send, None when the record needs no Update.

    ``kept`` names the values of somebody else that stay. The Update sends the record's other extra fields too
    (``Values.carried``), because it is unknown whether the API merges or replaces the set.
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
    """Compare a record with the wanted values, and decide what an Update must send.

    ``written`` holds every value that we have sent, by name; such a value on the record counts as ours. Extra fields
    in ``leave_out`` are not carried.
    """
    kept: list[str] = []

    def needs_write(name: str, value: str, existing: Any) -> bool:
        exact = name == PO_NUMBER
        if same(value, existing, exact=exact):
            return False
        is_ours = any(same(earlier, existing, exact=exact) for earlier in written.get(name, ()))
        if _has_content(existing) and not is_ours and existing_values == "keep":
            kept.append(name)
            return False
        return True

    po_number = None
    if wanted.po_number is not None and needs_write(PO_NUMBER, wanted.po_number, record.po_number):
        po_number = wanted.po_number
    fields = {
        name: value
        for name, value in wanted.extra_fields.items()
        if needs_write(name, value, record.extra_fields.get(name, ""))
    }
    if po_number is None and not fields:
        return Merged(None, tuple(kept))
    carried = {
        name: existing
        for name, existing in record.extra_fields.items()
        if _has_content(existing) and name not in fields and name not in leave_out
    }
    return Merged(Values(po_number, fields, carried), tuple(kept))


def shows_all(record: Record, sent: Sent) -> bool:
    """Whether the record shows the PO and every extra field exactly as sent."""
    return (sent.po_number is None or same(sent.po_number, record.po_number, exact=True)) and all(
        same(value, record.extra_fields.get(name, "")) for name, value in sent.extra_fields.items()
    )


def shows_any(record: Record, sent: Sent) -> bool:
    """Whether the record shows at least one of the sent values."""
    return (sent.po_number is not None and same(sent.po_number, record.po_number, exact=True)) or any(
        same(value, record.extra_fields.get(name, "")) for name, value in sent.extra_fields.items()
    )


def has_lost_values(record: Record, sent: Sent) -> bool:
    """Whether a sent value is empty on the record now. A value that somebody changed is not lost."""
    lost = [name for name in sent.extra_fields if not _has_content(record.extra_fields.get(name, ""))]
    return bool(lost) or (sent.po_number is not None and not record.po_number.strip())


def same(ours: str, existing: Any, *, exact: bool = False) -> bool:
    """Whether two values are equal. Number fields may come back in another form (5.50 as 5.5), unless ``exact``."""
    if not isinstance(existing, str):
        return False
    ours, existing = _normalize(ours), _normalize(existing)
    if ours == existing:
        return True
    if exact or not (_NUMBER.fullmatch(ours) and _NUMBER.fullmatch(existing)):
        return False
    return Decimal(ours) == Decimal(existing)


def _normalize(text: str) -> str:
    return text.strip().replace("\r\n", "\n")


def _has_content(value: Any) -> bool:
    return bool(value.strip() if isinstance(value, str) else value)
