"""Where each value of an order came from, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.orders.state.order_entry import Entry
from service.orders.values.merge import PO_NUMBER
from service.rules import RuleSet
from service.rules.rule_evaluation import CompiledRule


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One rule of an order. ``found`` is the value that it gave, ``sent`` what was sent last; None: nothing.

    ``source`` is the expression, the constant or the default that gave it. ``state`` is what became of it, and
    ``why`` the reason, where one is known.
    """

    name: str
    rule: Sequence[str]
    match: str | None
    source: str | None
    found: str | None
    sent: str | None
    state: str
    why: str = ""

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
        }


def values_of(entry: Entry, rules: RuleSet) -> list[ValueRow]:
    """A row for each rule; then one for each value of the entry that no rule has any more."""
    names_of_labels = {label: name for name, label in (entry.sent.labels if entry.sent else {}).items()}
    rows = [_row(entry, rule, names_of_labels.get(rule.name, rule.name)) for rule in rules.rules]
    known = {row.name for row in rows} | {names_of_labels.get(row.name, row.name) for row in rows}
    others = [name for name in entry.fields if name not in known]
    if entry.po_number is not None and PO_NUMBER not in known:
        others.insert(0, PO_NUMBER)
    return rows + [_without_rule(entry, name) for name in others]


def _row(entry: Entry, rule: CompiledRule, field: str) -> ValueRow:
    given = entry.given.get(rule.name)
    found = given[0] if given else _value(entry, field)
    state, why = _state(entry, rule, field, found)
    return ValueRow(
        rule.name,
        rule.rule.sources or ((rule.rule.value,) if rule.rule.value is not None else ()),
        rule.rule.match,
        _source(rule, given[1]) if given else None,
        found,
        _sent(entry, field),
        state,
        why,
    )


def _source(rule: CompiledRule, place: int) -> str | None:
    """What gave the value at this place of the rule: the place after the last expression is the default's."""
    sources = rule.rule.sources
    if not sources:
        return "constant"
    return sources[place] if place < len(sources) else "default"


def _state(entry: Entry, rule: CompiledRule, field: str, found: str | None) -> tuple[str, str]:
    both = {rule.name, field}
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
    if found is None:
        return ("waiting", "the rule is required") if rule.name == entry.rule else ("no value", "")
    return ("not sent", "the record had it already") if entry.status == "unchanged" else ("not sent", "")


def _without_rule(entry: Entry, name: str) -> ValueRow:
    return ValueRow(name, (), None, None, _value(entry, name), _sent(entry, name), "no rule", "the rules have changed")


def _value(entry: Entry, field: str) -> str | None:
    return entry.po_number if field == PO_NUMBER else entry.fields.get(field)


def _sent(entry: Entry, field: str) -> str | None:
    if entry.sent is None:
        return None
    return entry.sent.po_number if field == PO_NUMBER else entry.sent.extra_fields.get(field)
