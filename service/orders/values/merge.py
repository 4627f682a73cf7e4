"""Merges the wanted values with a B2B Edition record: what to write, what to keep. Pure.

Values that another app or a person wrote stay, unless the store has ``existing_values = "replace"``. BigCommerce's own
checkout writes PO numbers too, and what a buyer typed must not be overwritten.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from service.bigcommerce.models import Record, Values, has_content
from service.orders.state.order_entry import Sent
from service.orders.values.field_names import FieldNames

PO_NUMBER = "po_number"
NO_LABELS = FieldNames()
_NOTHING: Mapping[str, Any] = MappingProxyType({})

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
    names: FieldNames = NO_LABELS,
    leave_out: Collection[str] = (),
    restore: Mapping[str, Any] = _NOTHING,
    defaults: Mapping[str, str] = _NOTHING,
    settled: Collection[str] = (),
    replace: Collection[str] = (),
) -> Merged:
    """Compare a record with the wanted values, and decide what an Update must send.

    An extra field is one field under its fieldName and under its label (``names``), and under a repeated name.
    ``written`` holds, by name, the value that we last saw verified and all that we have sent since; such a value on
    the record counts as ours. What replaces a value that was verified once (``settled``) is somebody else's, and stays
    whatever ``existing_values`` says: that is about what was there before our first write. Only the names in
    ``replace`` are written over anybody's value: a person has asked for it. Extra fields in ``leave_out`` are not
    carried. ``restore`` are fields of other apps that our last Update sent along: they are
    written again if the record has lost them. ``defaults`` fill empty fields of an Update that is necessary anyway.
    """
    kept: list[str] = []
    replaced = {name if name == PO_NUMBER else names.field_name(name) for name in replace}

    def needs_write(name: str, value: str, existing: Sequence[Any]) -> bool:
        exact = name == PO_NUMBER
        if any(same(value, each, exact=exact) for each in existing or [""]):
            return False
        ours = written.get(name, ())
        # What is taken off the record (empty text) is only ever ours.
        keeps_others = existing_values == "keep" or name in settled or not value
        if name in replaced and value:
            return True
        if keeps_others and any(not any(same(earlier, each, exact=exact) for earlier in ours) for each in existing):
            kept.append(name)
            return False
        return True

    po_number = None
    existing_po = [record.po_number] if has_content(record.po_number) else []
    if wanted.po_number is not None and needs_write(PO_NUMBER, wanted.po_number, existing_po):
        po_number = wanted.po_number
    fields = {
        name: value
        for name, value in wanted.extra_fields.items()
        if needs_write(name, value, names.values_on(record, name))
    }
    lost = {
        name: value
        for name, value in restore.items()
        if name not in leave_out
        and names.field_name(name) not in wanted.extra_fields
        and not names.values_on(record, name)
    }
    if po_number is None and not fields and not lost:
        return Merged(None, tuple(kept))
    fields |= {
        name: text for name, text in defaults.items() if not names.values_on(record, name) and name not in fields
    }
    others = [
        (name, value)
        for name, value in record.extra_fields.items()
        if has_content(value) and names.field_name(name) not in fields and name not in leave_out
    ]
    repeated = tuple((name, value) for name, value in record.repeated_fields if name in dict(others))
    sent_names = {name: names.name_to_write(record, name) for name in fields}
    renamed = {name: sent_name for name, sent_name in sent_names.items() if sent_name != name}
    return Merged(Values(po_number, fields, dict(others) | lost, repeated, renamed), tuple(kept))


def shows_all(record: Record, sent: Sent) -> bool:
    """Whether the record shows the PO and every extra field exactly as sent."""
    return (sent.po_number is None or same(sent.po_number, record.po_number, exact=True)) and all(
        _shows(record, sent, name, value) for name, value in sent.extra_fields.items()
    )


def shows_any(record: Record, sent: Sent) -> bool:
    """Whether the record shows at least one of the sent values."""
    return (sent.po_number is not None and same(sent.po_number, record.po_number, exact=True)) or any(
        _shows(record, sent, name, value) for name, value in sent.extra_fields.items()
    )


def lost_values(record: Record, sent: Sent) -> list[str]:
    """The sent values that are empty on the record now. A value that somebody changed is not lost."""
    names = FieldNames(sent.labels)
    lost = [name for name, value in sent.extra_fields.items() if value and not names.values_on(record, name)]
    return [PO_NUMBER, *lost] if sent.po_number and not has_content(record.po_number) else lost


def lost_carried(record: Record, sent: Sent, *, given_up: Collection[str] = ()) -> list[str]:
    """The fields that our Update carried along and that are empty on the record now; without those ``given_up``."""
    names = FieldNames(sent.labels)
    return [
        name for name in sent.carried if not names.values_on(record, name) and names.field_name(name) not in given_up
    ]


def _shows(record: Record, sent: Sent, name: str, value: str) -> bool:
    existing = FieldNames(sent.labels).values_on(record, name)
    return any(same(value, each) for each in existing) if existing else same(value, "")


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
