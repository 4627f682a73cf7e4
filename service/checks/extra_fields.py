"""The rules of a store against its extra-field configs. Pure."""

from collections.abc import Iterator, Sequence

from service.bigcommerce.models import ExtraFieldConfig, FieldType
from service.checks.findings import Finding, Level
from service.orders.values.field_validation import configs_for_key, rejection_reason, suggest_field
from service.rules import RuleSet
from service.rules.ruleset import CompiledRule
from service.rules.text import clean

MOST_NAMED = 10
"""So many of a dropdown's options, or of a store's fields, are named."""


def check_fields(
    store: str, rules: RuleSet, configs: Sequence[ExtraFieldConfig], earlier: Sequence[ExtraFieldConfig] = ()
) -> list[Finding]:
    """Every extra-field rule, and every field that BigCommerce requires.

    ``earlier`` are the configs as they were remembered: a field that only they know was renamed or deleted since.
    """
    findings: list[Finding] = []
    filled: dict[str, CompiledRule] = {}
    for rule in rules.rules:
        if rule.is_po_number:
            continue
        match configs_for_key(rule.name, configs):
            case [config]:
                findings += _of_rule(store, rule, config, filled.get(config.field_name))
                filled.setdefault(config.field_name, rule)
            case []:
                findings.append(_unknown(store, rule, configs, earlier))
            case several:
                names = ", ".join(f'"{config.field_name}"' for config in several)
                message = f"several extra fields of the store have this label: {names}."
                findings.append(_finding(Level.ERROR, store, rule, message, "Write the fieldName of one of them."))
    return [*findings, *_required(store, filled, configs)]


def _of_rule(store: str, rule: CompiledRule, config: ExtraFieldConfig, other: CompiledRule | None) -> Iterator[Finding]:
    if other is not None:
        message = f'fills the same field as rule "{other.name}": "{config.field_name}".'
        yield _finding(Level.ERROR, store, rule, message, "Take one of them out.")
        return
    misfits = list(_misfits(store, rule, config))
    yield from misfits
    if not misfits:
        is_label = rule.name != config.field_name
        message = (
            f'is the label of "{config.field_name}", which is what is sent.' if is_label else "the field is there."
        )
        yield _finding(Level.OK, store, rule, message)


def _misfits(store: str, rule: CompiledRule, config: ExtraFieldConfig) -> Iterator[Finding]:
    """What stands in the file and would be refused. What ``from`` finds is looked at order by order."""
    for key, text in _constants(rule).items():
        if reason := rejection_reason(text, config):
            yield _finding(Level.ERROR, store, rule, f'the {key} "{text}" does not fit: {reason}', _options(config))


def _constants(rule: CompiledRule) -> dict[str, str]:
    written = {"value": rule.rule.value, "default": rule.rule.default}
    return {key: clean(text) for key, text in written.items() if text is not None}


def _options(config: ExtraFieldConfig) -> str:
    if config.type is not FieldType.DROPDOWN:
        return ""
    return f"It takes {_listed(config.options)}." if config.options else "The dropdown has no options at all."


def _unknown(
    store: str, rule: CompiledRule, configs: Sequence[ExtraFieldConfig], earlier: Sequence[ExtraFieldConfig]
) -> Finding:
    near = suggest_field(rule.name, configs)
    names = f"The store has {_listed([config.field_name for config in configs])}." if configs else ""
    if configs_for_key(rule.name, earlier):
        message = "the field was there lately, and is no longer: it was renamed or deleted in BigCommerce."
        cure = f"{near} Write its new name here, or take the rule out. {'' if near else names}"
    else:
        message = "the store has no extra field of this name."
        cure = f"{near or names} If it was renamed in BigCommerce, write its new name here."
    return _finding(Level.ERROR, store, rule, message, " ".join(cure.split()))


def _required(store: str, filled: dict[str, CompiledRule], configs: Sequence[ExtraFieldConfig]) -> Iterator[Finding]:
    for config in configs:
        if not config.required:
            continue
        rule = filled.get(config.field_name)
        if rule is None:
            message = "BigCommerce requires it and no rule fills it: every order would be refused."
            cure = f'Add a rule "{config.field_name}", or make the field optional in B2B Edition.'
            yield Finding(Level.ERROR, store, f'field "{config.field_name}"', message, cure)
        elif not _constants(rule) and not rule.rule.required:
            message = "BigCommerce requires the field: orders for which this rule finds nothing will fail."
            cure = 'Give it a default, or write "required = true" if that is what you want.'
            yield _finding(Level.WARNING, store, rule, message, cure)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:MOST_NAMED])
    return f"{shown} and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else shown


def _finding(level: Level, store: str, rule: CompiledRule, message: str, cure: str = "") -> Finding:
    return Finding(level, store, f'rule "{rule.name}"', message, cure)
