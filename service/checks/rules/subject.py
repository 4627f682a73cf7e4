"""How findings call a rule."""

from service.rules.rule_evaluation import CompiledRule


def rule_subject(rule: CompiledRule) -> str:
    """The subject of a finding about this rule."""
    return "po_number" if rule.is_po_number else f'rule "{rule.name}"'
