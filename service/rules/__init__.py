"""Rules: compute a PO number and extra fields from an order document. Pure: nothing here does I/O."""

from service.rules.later_changes import Given, apply_change, evaluation_of, given_by, keep_earlier, needs_of_change
from service.rules.rule_evaluation import Evaluation, Needs, RuleSet, Trace, compile_rules

__all__ = [
    "Evaluation",
    "Given",
    "Needs",
    "RuleSet",
    "Trace",
    "apply_change",
    "compile_rules",
    "evaluation_of",
    "given_by",
    "keep_earlier",
    "needs_of_change",
]
