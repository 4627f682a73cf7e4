"""Where each value of an order came from, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.orders.state.order_entry import Entry
from service.orders.state.set_values import SetValue
from service.orders.values.merge import PO_NUMBER
from service.rules import RuleSet
from service.rules.rule_evaluation import CompiledRule


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One rule of an order. ``found`` is the value that it gave, ``sent`` what was sent last; None: nothing.

    ``source`` is the expression, the constant or the default that gave it. ``state`` is what became of it, and
    ``why`` the reason, where one is known. ``by_hand`` is the value that somebody has set in place of it.
    """

    name: str
    rule: Sequence[str]
    match: str | None
    source: str | None
    found: str | None
    sent: str | None
    state: str
    why: str = ""
    by_hand: SetValue | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row for scripts."""
        return {
            "name": self.name,
            "rule": list(self.rule),
            "match": self.match,
            "source": self.source,
            "found": self.found,
            "sent": self.sent,
            "state": self.state,
            "why": self.why or None,
            "by_hand": self.by_hand.text if self.by_hand else None,
        }


def values_of(entry: Entry, rules: RuleSet) -> list[ValueRow]:
    """A row for each rule; then one for each value of the entry that no rule has any more."""
    names_of_labels = {label: name for name, label in (entry.sent.labels if entry.sent else {}).items()}
    rows = [_row(entry, rule, names_of_labels.get(rule.name, rule.name)) for rule in rules.rules]
    known = {row.name for row in rows} | {names_of_labels.get(row.name, row.name) for row in rows}
    set_by_hand = entry.by_hand.values if entry.by_hand else {}
    others = [name for name in dict.fromkeys([*entry.fields, *set_by_hand]) if name not in known | {PO_NUMBER}]
    has_po_number = entry.po_number is not None or PO_NUMBER in set_by_hand
    if has_po_number and PO_NUMBER not in known:
        others.insert(0, PO_NUMBER)
    return rows + [_without_rule(entry, name) for name in others]


def _row(entry: Entry, rule: CompiledRule, field: str) -> ValueRow:
    given, by_hand = entry.given.get(rule.name), _by_hand(entry, rule.name, field)
    found = given[0] if given else None if by_hand else _value(entry, field)
    state, why = _state(entry, {rule.name, field}, field, found, by_hand)
    return ValueRow(
        rule.name,
        rule.rule.sources or ((rule.rule.value,) if rule.rule.value is not None else ()),
        rule.rule.match,
        _source(rule, given[1]) if given else None,
        found,
        _sent(entry, field),
        state,
        why,
        by_hand,
    )


def _source(rule: CompiledRule, place: int) -> str | None:
    """What gave the value at this place of the rule: the place after the last expression is the default's."""
    sources = rule.rule.sources
    if not sources:
        return "constant"
    return sources[place] if place < len(sources) else "default"


def _state(entry: Entry, both: set[str], field: str, found: str | None, by_hand: SetValue | None) -> tuple[str, str]:
    """``both`` are the names of the value: that of its rule and the field's."""
    if both & set(entry.kept):
        return "kept", "the record already had a value of somebody else's"
    if left_out := next((entry.dropped[name] for name in both if name in entry.dropped), None):
        return "left out", left_out
    if both & set(entry.cleared):
        return "cleared", "the value came from another Company, and the right one has none"
    if _sent(entry, field) is not None:
        if entry.verified:
            return "on the record", ""
        return "sent", "not seen on the record yet" if entry.verified is None else "the record does not show it"
    if found is None and by_hand is None:
        return ("waiting", "the rule is required") if entry.rule in both else ("no value", "")
    return ("not sent", "the record had it already") if entry.status == "unchanged" else ("not sent", "")


def _without_rule(entry: Entry, name: str) -> ValueRow:
    if by_hand := _by_hand(entry, name):
        state, why = _state(entry, {name}, name, None, by_hand)
        return ValueRow(name, (), None, None, None, _sent(entry, name), state, why, by_hand)
    return ValueRow(name, (), None, None, _value(entry, name), _sent(entry, name), "no rule", "the rules have changed")


def _by_hand(entry: Entry, *names: str) -> SetValue | None:
    values = entry.by_hand.values if entry.by_hand else {}
    return next((values[name] for name in names if name in values), None)


def _value(entry: Entry, field: str) -> str | None:
    return entry.po_number if field == PO_NUMBER else entry.fields.get(field)


def _sent(entry: Entry, field: str) -> str | None:
    if entry.sent is None:
        return None
    return entry.sent.po_number if field == PO_NUMBER else entry.sent.extra_fields.get(field)
