"""Puts the values that a person has set for one order before those that the rules gave. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.bigcommerce.models import ExtraFieldConfig
from service.orders.values.field_names import FieldNames
from service.orders.values.merge import PO_NUMBER
from service.rules import Evaluation, RuleSet


def put_before_rules(
    rules: RuleSet, evaluation: Evaluation, by_hand: Mapping[str, str], configs: Sequence[ExtraFieldConfig]
) -> Evaluation:
    """The evaluation with the values by hand, by name, in place of what the rules gave for the same fields."""
    if not by_hand:
        return evaluation
    texts = by_rule_name(rules, by_hand, configs)
    return replace(
        evaluation,
        po_number=texts.get(PO_NUMBER, evaluation.po_number),
        # First: of two rules for one field, the first is sent.
        fields={name: text for name, text in {**texts, **(evaluation.fields | texts)}.items() if name != PO_NUMBER},
        missing=tuple(name for name in evaluation.missing if name not in texts),
        errors={name: why for name, why in evaluation.errors.items() if name not in texts},
        traces=tuple(trace for trace in evaluation.traces if trace.name not in texts),
    )


def by_rule_name(rules: RuleSet, by_hand: Mapping[str, str], configs: Sequence[ExtraFieldConfig]) -> dict[str, str]:
    """The values by hand, each under the name of the rule that writes the same field, if there is one.

    A field is one field under its fieldName and its label.
    """
    names = FieldNames.of(configs)
    rule_names = {names.field_name(rule.name): rule.name for rule in rules.rules if not rule.is_po_number}
    return {
        name if name == PO_NUMBER else rule_names.get(names.field_name(name), name): text
        for name, text in by_hand.items()
    }
