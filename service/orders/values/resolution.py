"""Resolves an order's values from its document and the store's rules. Pure, except for reading the configs."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from service.bigcommerce import StoreApi
from service.bigcommerce.models import ExtraFieldConfig, Values
from service.orders.document.cache import CONFIGS_STALE_S, CONFIGS_TTL_S, Cache
from service.orders.document.loading import Document
from service.orders.values.field_validation import validate_fields
from service.orders.values.merge import PO_NUMBER
from service.rules import Evaluation, RuleSet
from service.stores import Store

_CONFIGS = TypeAdapter(list[ExtraFieldConfig])
_CACHED_AS = "extra-field-configs"


@dataclass(frozen=True, slots=True)
class ResolvedValues:
    """An order's values. ``dropped`` maps each left-out field to its reason; ``failure`` is why nothing may be sent."""

    values: Values
    dropped: dict[str, str]
    failure: str | None


def resolve_values(rules: RuleSet, document: Document, configs: list[ExtraFieldConfig]) -> ResolvedValues:
    """Evaluate the rules, and validate the extra fields against the store's configs."""
    return validate_evaluation(rules, rules.evaluate(document), configs)


def validate_evaluation(rules: RuleSet, evaluation: Evaluation, configs: list[ExtraFieldConfig]) -> ResolvedValues:
    """Validate the values of an evaluation against the store's configs."""
    # An expression error counts only where nothing else, such as a default, gave a value.
    dropped = {
        name: why
        for name, why in evaluation.errors.items()
        if name not in evaluation.fields and not (name == PO_NUMBER and evaluation.po_number is not None)
    }
    if evaluation.missing:
        return ResolvedValues(Values(None, {}), dropped, evaluation.missing[0])
    validated = validate_fields(evaluation.fields, rules.required, configs)
    dropped |= {field.name: field.reason for field in validated.dropped}
    failure = f"{validated.refused.name}: {validated.refused.reason}" if validated.refused else None
    return ResolvedValues(Values(evaluation.po_number, validated.fields), dropped, failure)


async def read_configs(api: StoreApi, cache: Cache, store: Store, *, refresh: bool = False) -> list[ExtraFieldConfig]:
    """Read the store's extra-field configs, cached for ten minutes; none when no rule writes an extra field."""
    if not store.extra_fields:
        return []

    async def read() -> object:
        return _CONFIGS.dump_python(await api.b2b.extra_field_configs(), mode="json")

    cached = await cache.get_or_read(_CACHED_AS, read, fresh_s=CONFIGS_TTL_S, stale_s=CONFIGS_STALE_S, refresh=refresh)
    try:
        return _CONFIGS.validate_python(cached)
    except ValidationError:
        # Cached by another version of this program.
        return _CONFIGS.validate_python(await cache.get_or_read(_CACHED_AS, read, fresh_s=CONFIGS_TTL_S, refresh=True))


async def remembered_configs(cache: Cache) -> list[ExtraFieldConfig]:
    """The extra-field configs in the cache, however old; none when nothing is cached."""
    try:
        return _CONFIGS.validate_python(await cache.peek(_CACHED_AS) or [])
    except ValidationError:
        return []


def missing_required_field(message: str) -> str | None:
    """The field named in Update an Order's 422 ``[Account No] is a required extra field``; None for other messages."""
    found = re.search(r"\[([^\[\]]+)\] is a required extra field", message)
    found = found or re.search(r"([^\[\];:]+) is a required extra field", message)
    return found.group(1).strip() if found else None


def fields_to_blame(carried: Collection[str], configs: list[ExtraFieldConfig], message: str) -> set[str]:
    """The carried fields that caused a refusal: those that its message names, else those that the store lacks."""
    known = {config.field_name for config in configs}
    return _named(carried, message) or ({name for name in carried if name not in known} if known else set())


def droppable_fields(rules: RuleSet, configs: list[ExtraFieldConfig], values: Values, message: str) -> tuple[str, ...]:
    """The optional extra fields to leave out after a refusal: those that the message names, else all of them.

    Empty when nothing would be left to send, or when one of them is required.
    """
    required, named = rules.required, _named(values.extra_fields, message)
    by_name: Mapping[str, ExtraFieldConfig] = {config.field_name: config for config in configs}

    def is_required(name: str) -> bool:
        config = by_name.get(name)
        return name in required or (config is not None and (config.required or config.label in required))

    bad = tuple(name for name in values.extra_fields if name in named) or tuple(values.extra_fields)
    leaves_something = values.po_number is not None or len(bad) < len(values.extra_fields)
    return bad if leaves_something and not any(is_required(name) for name in bad) else ()


def _named(names: Collection[str], message: str) -> set[str]:
    """The names that the message contains. "Cost" does not count where only "Cost Center" is written."""
    found = set()
    for name in sorted(names, key=len, reverse=True):
        if name in message:
            found.add(name)
            message = message.replace(name, "\0")
    return found
