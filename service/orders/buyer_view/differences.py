"""Holds what the buyer sees against B2B Edition's record. Pure.

A difference is claimed only where both sides are known. What could not be compared is said, with its reason.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.bigcommerce.clients.storefront_models import BuyerOrder
from service.bigcommerce.models import ExtraFieldConfig, Record
from service.orders.buyer_view.shown import Absent, NotShown, Shown
from service.orders.values.field_names import FieldNames


class Kind(StrEnum):
    """What a difference is about."""

    ORDER = "order"
    PO_NUMBER = "po_number"
    EXTRA_FIELD = "extra_field"
    PRODUCT = "product"


@dataclass(frozen=True, slots=True)
class Difference:
    """``recorded`` is what the record holds, ``seen`` what the buyer sees; empty: nothing. ``name`` is the field's."""

    kind: Kind
    name: str
    recorded: str
    seen: str

    @property
    def sentence(self) -> str:
        """The difference in one sentence."""
        if self.kind is Kind.ORDER:
            po = f" with PO number {self.recorded}" if self.recorded else ""
            return f"B2B Edition has a record of the order{po}, and the buyer does not see the order."
        what = {
            Kind.PO_NUMBER: "the PO number",
            Kind.EXTRA_FIELD: f"the extra field {self.name} with",
            Kind.PRODUCT: "the product",
        }[self.kind]
        if not self.seen:
            return f"The record holds {what} {self.recorded}, and the buyer does not see it."
        if not self.recorded:
            return f"The buyer sees {what} {self.seen}, and the record does not hold it."
        return f"The record holds {what} {self.recorded}, and the buyer sees {self.seen}."


@dataclass(frozen=True, slots=True)
class Comparison:
    """``differences`` are certain; ``not_compared`` says what is unknown, and why."""

    differences: tuple[Difference, ...]
    not_compared: tuple[str, ...]

    def __add__(self, other: "Comparison") -> "Comparison":
        return Comparison(self.differences + other.differences, self.not_compared + other.not_compared)


EQUAL = Comparison((), ())


def compare_order(
    record: Shown[Record], seen: Shown[BuyerOrder], configs: Iterable[ExtraFieldConfig] | None
) -> Comparison:
    """Compare PO number and extra fields. Fields that buyers are not meant to see are left out.

    ``configs`` are the store's extra fields; None: unknown. Then a field that the buyer does not see proves nothing.
    """
    match record, seen:
        case NotShown(reason), _:
            return Comparison((), (f"The record is unknown, so nothing was compared: {reason}",))
        case _, NotShown(reason):
            return Comparison((), (f"What the buyer sees is unknown, so nothing was compared: {reason}",))
        case Absent(), Absent():
            return EQUAL
        case Record(), Absent():
            return Comparison((Difference(Kind.ORDER, "", record.po_number, ""),), ())
        case _, BuyerOrder():
            recorded = record if isinstance(record, Record) else Record()
            return _po_number(recorded, seen) + _extra_fields(recorded, seen, configs)
    raise AssertionError("unreachable: all combinations are above")


def _po_number(record: Record, seen: BuyerOrder) -> Comparison:
    if seen.po_number is None:
        return Comparison((), ("The storefront's answer shows no PO number field, so it was not compared.",))
    recorded, shown = record.po_number.strip(), seen.po_number.strip()
    return EQUAL if recorded == shown else Comparison((Difference(Kind.PO_NUMBER, "", recorded, shown),), ())


def _extra_fields(record: Record, seen: BuyerOrder, configs: Iterable[ExtraFieldConfig] | None) -> Comparison:
    if seen.extra_fields is None:
        return Comparison((), ("The storefront's answer shows no extra fields, so they were not compared.",))
    known = list(configs or ())
    names = FieldNames.of(known)
    hidden = {config.field_name for config in known if not config.visible}
    recorded = _by_name(record.extra_fields, names)
    shown = _by_name(seen.extra_fields, names)
    differences, not_compared = list[Difference](), list[str]()
    for name in sorted(recorded.keys() | shown.keys()):
        one, other = recorded.get(name, ""), shown.get(name, "")
        if one == other or (name in hidden and not other):
            continue
        if not other and configs is None:
            not_compared.append(f"Whether buyers may see the extra field {name} is unknown, so it was not compared.")
        else:
            differences.append(Difference(Kind.EXTRA_FIELD, name, one, other))
    return Comparison(tuple(differences), tuple(not_compared))


def _by_name(fields: Mapping[str, Any], names: FieldNames) -> dict[str, str]:
    """The fields that are not empty, by their fieldName."""
    texts = {names.field_name(name): _text(value) for name, value in fields.items()}
    return {name: text for name, text in texts.items() if text}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value)
