"""The form that sets values of one order by hand: its rows, what somebody has written, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from service.bigcommerce.models import ExtraFieldConfig
from service.configuration import ConfiguredStore
from service.errors import ConfigError
from service.orders.state.order_entry import Entry
from service.orders.values.field_names import FieldNames
from service.orders.values.merge import PO_NUMBER

FIELD_PREFIX = "field:"
"""Before the names of extra fields, which may be any text."""


@dataclass(frozen=True, slots=True)
class FormRow:
    """One value. ``written`` is what the form shows in it.

    ``now`` is the value that the order has, or that its rule found; empty: none. ``options`` are a dropdown's.
    ``by_hand``: it was set by hand before.
    """

    name: str
    label: str
    now: str
    written: str
    options: Sequence[str] = ()
    by_hand: bool = False

    @property
    def input_name(self) -> str:
        return PO_NUMBER if self.name == PO_NUMBER else FIELD_PREFIX + self.name


@dataclass(frozen=True, slots=True)
class ValuesForm:
    """The rows: the PO number first, then the store's extra fields. ``problems`` are sentences."""

    rows: Sequence[FormRow]
    may_replace: bool = False
    problems: Sequence[str] = field(default_factory=list)

    @classmethod
    def of(cls, entry: Entry, configured: ConfiguredStore, configs: Sequence[ExtraFieldConfig]) -> Self:
        """The form for this order: the value that it lacks comes first, and fields that rules fill before others.

        Fields that only rules name are there, too: the settings may not be known yet.
        """
        names = FieldNames.of(configs)
        of_rules = [names.field_name(rule.name) for rule in configured.rules.rules]
        known = [*of_rules, *(config.field_name for config in configs), *entry.fields]
        troubled = [name for name in known if name in (entry.rule, _trouble(entry)) or name in entry.dropped]
        options = {config.field_name: config.options for config in configs}
        by_hand = entry.values_by_hand
        found = {names.field_name(key): text for key, (text, _) in entry.given.items()}
        fields = {names.field_name(key): text for key, text in entry.fields.items()}
        now = {**found, **({PO_NUMBER: entry.po_number} if entry.po_number else {}), **fields}
        return cls(
            [
                FormRow(
                    name,
                    "PO number" if name == PO_NUMBER else names.labels.get(name, name),
                    now.get(name, ""),
                    by_hand.get(name, ""),
                    options.get(name, ()),
                    name in by_hand,
                )
                for name in dict.fromkeys([PO_NUMBER, *troubled, *known])
                if name
            ]
        )

    @property
    def has_values(self) -> bool:
        """Whether somebody has set a value of the order by hand."""
        return any(row.by_hand for row in self.rows)

    def filled_in(self, fields: Mapping[str, str], *, may_replace: bool) -> Self:
        """The form as somebody has sent it."""
        rows = [replace(row, written=fields.get(row.input_name, "").strip()) for row in self.rows]
        return replace(self, rows=rows, may_replace=may_replace)

    def with_problems(self, error: ConfigError) -> Self:
        """The form with what is wrong with it."""
        words = [f"{self._name_of(each.place)}: {each.message} {each.cure}".strip() for each in error.problems]
        return replace(self, problems=words)

    def changes(self, known: Mapping[str, str]) -> dict[str, str]:
        """The values to set, by name: those that are not set by hand already, unless they may now replace others'."""
        written = {row.name: row.written for row in self.rows if row.written}
        return {name: text for name, text in written.items() if self.may_replace or known.get(name) != text}

    @property
    def is_empty(self) -> bool:
        return not any(row.written for row in self.rows)

    def _name_of(self, place: str) -> str:
        """What the form calls the option of the command that a problem is about."""
        labels = {'--field "' + row.name + '"': row.label for row in self.rows} | {"--po": "PO number"}
        return labels.get(place, place)


def _trouble(entry: Entry) -> str:
    """The name of the value that the order failed for: the reason is that, or begins with it."""
    return (entry.reason or "").partition(":")[0]
