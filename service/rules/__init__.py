"""From an order document to a PO number and extra fields. Pure: nothing here does I/O but reading the stores file."""

from service.rules.configuration import Configuration, ConfiguredStore, load_configuration
from service.rules.fit import Dropped, Fitted, fit, meant_by, nearest_to, why_unfit
from service.rules.ruleset import Evaluation, Needs, RuleSet, Trace, compile_rules

__all__ = [
    "Configuration",
    "ConfiguredStore",
    "Dropped",
    "Evaluation",
    "Fitted",
    "Needs",
    "RuleSet",
    "Trace",
    "compile_rules",
    "fit",
    "load_configuration",
    "meant_by",
    "nearest_to",
    "why_unfit",
]
