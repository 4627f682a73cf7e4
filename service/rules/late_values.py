"""Which rules may still get a value after the order was placed."""

from service.rules.rule_evaluation import CompiledRule, Evaluation, RuleSet

LATE_ROOTS = (("metafields",), ("transactions",))
"""Roots that apps write only once the order exists, a moment or minutes later. (Orders V3, metafields)"""


def pending_rules(rules: RuleSet, evaluation: Evaluation) -> tuple[str, ...]:
    """The rules that found nothing, or only their default, and whose value may still come: names in their order.

    These are the rules that read metafields or transactions. ``wait`` in a rule decides otherwise.
    """
    without_value = {trace.name for trace in evaluation.traces if trace.kind in ("default", "none")}
    return tuple(name for name in waiting_rules(rules) if name in without_value)


def waiting_rules(rules: RuleSet) -> tuple[str, ...]:
    """The rules that wait for a value that comes late: names in their order."""
    return tuple(rule.name for rule in rules.rules if _may_wait(rule))


def _may_wait(rule: CompiledRule) -> bool:
    if rule.rule.wait is not None:
        return rule.rule.wait and bool(rule.search.expressions)
    return any(root in expression.reads for expression in rule.search.expressions for root in LATE_ROOTS)
