"""Checks a store's rules against its extra-field configs. No I/O."""

import re
from collections.abc import Iterator, Sequence

from service.bigcommerce.models import ExtraFieldConfig, FieldType
from service.checks.findings import Finding, Level
from service.orders.values.field_validation import configs_for_key, rejection_reason, suggest_field
from service.rules import RuleSet
from service.rules.plain_text import clean
from service.rules.rule_evaluation import CompiledRule

MAX_NAMES = 10
"""A finding lists at most this many options of a dropdown or fields of a store."""


def check_fields(
    store: str, rules: RuleSet, configs: Sequence[ExtraFieldConfig], earlier: Sequence[ExtraFieldConfig] = ()
) -> list[Finding]:
    """Check every extra-field rule, and every field that BigCommerce requires.

    ``earlier`` are the cached configs: a field that only they contain has been renamed or deleted since.
    """
    findings: list[Finding] = []
    filled: dict[str, CompiledRule] = {}
    for rule in rules.rules:
        if rule.is_po_number:
            findings += _own_target(store, rule, ["record.poNumber"])
            continue
        match configs_for_key(rule.name, configs):
            case [config]:
                findings += _rule_findings(store, rule, config, filled.get(config.field_name))
                filled.setdefault(config.field_name, rule)
            case []:
                findings.append(_unknown_field(store, rule, configs, earlier))
            case several:
                names = ", ".join(f'"{config.field_name}"' for config in several)
                message = f"several extra fields of the store have this label: {names}."
                findings.append(_finding(Level.ERROR, store, rule, message, "Use the fieldName of one of them."))
    return [*findings, *_required_fields(store, filled, configs)]


def _rule_findings(
    store: str, rule: CompiledRule, config: ExtraFieldConfig, other: CompiledRule | None
) -> Iterator[Finding]:
    if other is not None:
        message = f'fills the same field as rule "{other.name}": "{config.field_name}".'
        yield _finding(Level.ERROR, store, rule, message, "Remove one of the two rules.")
        return
    targets = [f"record.extraFields.{name}" for name in (config.field_name, config.label) if name]
    wrong = [
        *_constant_findings(store, rule, config),
        *_unique_findings(store, rule, config),
        *_own_target(store, rule, targets),
    ]
    yield from wrong
    if not wrong:
        is_label = rule.name != config.field_name
        message = f'is the label of "{config.field_name}"; that name is sent.' if is_label else "the field exists."
        yield _finding(Level.OK, store, rule, message)


def _own_target(store: str, rule: CompiledRule, targets: Sequence[str]) -> Iterator[Finding]:
    """``record`` is what others have written: read into the same place, it changes nothing."""
    sources = [expression.source.replace('"', "") for expression in rule.search.expressions]
    if any(re.search(rf"(?<![\w.]){re.escape(target)}(?!\w)", source) for target in targets for source in sources):
        message = "reads from `record` the value that it writes itself. What others have written there stays anyway."
        yield _finding(Level.WARNING, store, rule, message, "Leave that expression out.")


def _constant_findings(store: str, rule: CompiledRule, config: ExtraFieldConfig) -> Iterator[Finding]:
    """Constants in the file that BigCommerce would refuse. The values of ``from`` are checked for each order."""
    for key, text in _constants(rule).items():
        if reason := rejection_reason(text, config):
            yield _finding(Level.ERROR, store, rule, f'the {key} "{text}" does not fit: {reason}', _options(config))
        elif config.type is FieldType.DROPDOWN and not config.options:
            message = f'BigCommerce does not show the options of this dropdown: the {key} "{text}" cannot be checked.'
            yield _finding(Level.WARNING, store, rule, message, "Compare it with the options in B2B Edition.")


def _unique_findings(store: str, rule: CompiledRule, config: ExtraFieldConfig) -> Iterator[Finding]:
    if config.unique and (constants := _constants(rule)):
        key, text = next(iter(constants.items()))
        message = f'BigCommerce takes each value of this field only once, and the {key} "{text}" is always the same.'
        cure = "Use a value that differs for each order, such as order.id, or let the field accept a value twice."
        yield _finding(Level.WARNING, store, rule, message, cure)


def _constants(rule: CompiledRule) -> dict[str, str]:
    constants = {"value": rule.rule.value, "default": rule.rule.default}
    return {key: clean(text) for key, text in constants.items() if text is not None}


def _options(config: ExtraFieldConfig) -> str:
    return f"Its options are {_join_names(config.options)}." if config.type is FieldType.DROPDOWN else ""


def _unknown_field(
    store: str, rule: CompiledRule, configs: Sequence[ExtraFieldConfig], earlier: Sequence[ExtraFieldConfig]
) -> Finding:
    near = suggest_field(rule.name, configs)
    names = f"The store's fields are {_join_names([config.field_name for config in configs])}." if configs else ""
    if configs_for_key(rule.name, earlier):
        message = "the field does not exist any more: it was renamed or deleted in BigCommerce."
        cure = f"{near} Use its new name here, or remove the rule. {'' if near else names}"
    else:
        message = "the store has no extra field with this name or label."
        cure = f"{near or names} If it was renamed in BigCommerce, use its new name here."
    return _finding(Level.ERROR, store, rule, message, " ".join(cure.split()))


def _required_fields(
    store: str, filled: dict[str, CompiledRule], configs: Sequence[ExtraFieldConfig]
) -> Iterator[Finding]:
    for config in configs:
        if not config.required:
            continue
        rule = filled.get(config.field_name)
        if config.default and (rule is None or not (_constants(rule) or rule.rule.required)):
            message = (
                f'BigCommerce requires this field: where no rule fills it, its own default "{config.default}" is sent.'
            )
            yield Finding(Level.OK, store, f'field "{config.field_name}"', message)
        elif rule is None:
            message = "BigCommerce requires this field and no rule fills it: every order would be refused."
            cure = f'Add a rule "{config.field_name}", or make the field optional in B2B Edition.'
            yield Finding(Level.ERROR, store, f'field "{config.field_name}"', message, cure)
        elif not _constants(rule) and not rule.rule.required:
            message = "BigCommerce requires this field: orders for which this rule finds no value will fail."
            cure = 'Give the rule a default, or "required = true" if they should fail.'
            yield _finding(Level.WARNING, store, rule, message, cure)


def _join_names(names: Sequence[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:MAX_NAMES])
    return f"{shown} and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else shown


def _finding(level: Level, store: str, rule: CompiledRule, message: str, cure: str = "") -> Finding:
    return Finding(level, store, f'rule "{rule.name}"', message, cure)
