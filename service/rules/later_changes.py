"""Later changes of an order: which of its values a new one replaces.

The order keeps, for each rule, the value and its place in the rule: the number of the expression in ``from`` that gave
it, or the number after the last one for the default. A value is replaced only by a different one, from the same or an
earlier place. So a source that is gone (a cart that was deleted) keeps what it gave, and neither a later source nor
the default ever takes its place.

For the same reason an expression is evaluated again only if it reads nothing but what was read again: in
``cart.metafields.a.po || order.customer_message`` the second part would take the place of a cart that is gone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from service.rules.expression import Expression
from service.rules.rule_evaluation import Evaluation, Needs, RuleSet


@dataclass(frozen=True, slots=True)
class Given:
    """The value that a rule gave, as sent, and its place in the rule, from 0."""

    text: str
    place: int


def given_by(evaluation: Evaluation) -> dict[str, Given]:
    """The values of a first evaluation, by rule."""
    return {trace.name: Given(trace.text, trace.place) for trace in evaluation.traces if trace.text is not None}


def keep_earlier(rules: RuleSet, evaluation: Evaluation, given: Mapping[str, Given]) -> Evaluation:
    """A new evaluation of an order that was written before, with the values of ``given`` that it may not replace.

    A source that is gone does not take its value along.
    """
    new = given_by(evaluation)
    kept = {name: old for name, old in given.items() if name not in new or new[name].place > old.place}
    if not kept:
        return evaluation
    merged = evaluation_of(rules, new | kept)
    return replace(
        evaluation,
        po_number=merged.po_number,
        fields=merged.fields,
        missing=tuple(name for name in evaluation.missing if name not in kept),
        traces=tuple(
            replace(trace, source=None, text=kept[trace.name].text, place=kept[trace.name].place)
            if trace.name in kept
            else trace
            for trace in evaluation.traces
        ),
    )


def needs_of_change(rules: RuleSet, roots: Collection[str]) -> Needs | None:
    """What must be read when these roots of the document have changed; None when no rule reads them."""
    reads = [
        expression.reads
        for rule in rules.rules
        for expression in rule.search.expressions
        if _reads_only(expression, roots)
    ]
    return Needs.of(reads) if reads else None


def apply_change(
    rules: RuleSet, document: Mapping[str, Any], given: Mapping[str, Given], roots: Collection[str]
) -> dict[str, Given]:
    """The values after a change of these roots, by rule: those of ``given`` with what replaces them.

    Expressions that read anything else are not evaluated: what they gave, or that they gave nothing, still holds.
    """
    result = dict(given)
    for rule in rules.rules:
        found, _ = rule.search.run(document, only=lambda expression: _reads_only(expression, roots))
        text = found and rule.text(found.text)
        if not found or not text:
            continue
        known = given.get(rule.name)
        if known is None or (found.place <= known.place and text != known.text):
            result[rule.name] = Given(text, found.place)
    return result


def evaluation_of(rules: RuleSet, given: Mapping[str, Given]) -> Evaluation:
    """The values as an evaluation, for the same validation as any others."""
    present = [rule for rule in rules.rules if rule.name in given]
    return Evaluation(
        po_number=next((given[rule.name].text for rule in present if rule.is_po_number), None),
        fields={rule.name: given[rule.name].text for rule in present if not rule.is_po_number},
        missing=(),
        errors={},
        traces=(),
    )


def _reads_only(expression: Expression, roots: Collection[str]) -> bool:
    return bool(expression.reads.roots) and expression.reads.roots <= frozenset(roots)
