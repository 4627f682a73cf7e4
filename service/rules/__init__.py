"""Rules: compute a PO number and extra fields from an order document. Pure: nothing here does I/O."""

from service.rules.rule_evaluation import Evaluation, Needs, RuleSet, Trace, compile_rules

__all__ = ["Evaluation", "Needs", "RuleSet", "Trace", "compile_rules"]
