"""Resolves an order's values from its document and the store's rules. Pure, except for reading the configs."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import TypeAdapter, ValidationError

from service.bigcommerce import StoreApi
from service.bigcommerce.models import ExtraFieldConfig, Values
from service.orders.document.cache import CONFIGS_STALE_S, CONFIGS_TTL_S, Cache
from service.orders.document.loading import Document
from service.orders.facts.learning import learn_from_configs
from service.orders.facts.store_facts import Facts
from service.orders.values.before_rules import put_before_rules
from service.orders.values.field_names import FieldNames
from service.orders.values.field_validation import validate_fields
from service.orders.values.merge import PO_NUMBER
from service.rules import Evaluation, RuleSet
from service.stores import Store

_CONFIGS = TypeAdapter(list[ExtraFieldConfig])
_CACHED_AS = "extra-field-configs"
_NONE: Mapping[str, str] = MappingProxyType({})

# How a refusal says that a field is unique and another order has the value. Not documented: a generous guess.
_DUPLICATE = re.compile(r"\bunique|\bduplicat|\balready\s+(exist|used|in use|taken)", re.IGNORECASE)
# Create an Order: the record exists.
_ORDER_EXISTS = re.compile(r"\border\s+already\s+exist", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ResolvedValues:
    """An order's values. ``dropped`` maps each left-out field to its reason; ``failure`` is why nothing may be sent.

    ``missing`` is the required rule that gave no value: then nothing may be sent yet.
    """

    values: Values
    dropped: dict[str, str]
    failure: str | None
    missing: str | None = None


def resolve_values(
    rules: RuleSet, document: Document, configs: list[ExtraFieldConfig], by_hand: Mapping[str, str] = _NONE
) -> ResolvedValues:
    """Evaluate the rules, and validate the extra fields against the store's configs."""
    return validate_evaluation(rules, rules.evaluate(document), configs, by_hand)


def validate_evaluation(
    rules: RuleSet, evaluation: Evaluation, configs: list[ExtraFieldConfig], by_hand: Mapping[str, str] = _NONE
) -> ResolvedValues:
    """Validate the values of an evaluation, and before them those set by hand, against the store's configs."""
    evaluation = put_before_rules(rules, evaluation, by_hand, configs)
    # An expression error counts only where nothing else, such as a default, gave a value.
    dropped = {
        name: why
        for name, why in evaluation.errors.items()
        if name not in evaluation.fields and not (name == PO_NUMBER and evaluation.po_number is not None)
    }
    if evaluation.missing:
        return ResolvedValues(Values(None, {}), dropped, None, missing=evaluation.missing[0])
    validated = validate_fields(evaluation.fields, rules.required, configs)
    dropped |= {field.name: field.reason for field in validated.dropped}
    failure = f"{validated.refused.name}: {validated.refused.reason}" if validated.refused else None
    return ResolvedValues(Values(evaluation.po_number, validated.fields), dropped, failure)


async def read_configs(
    api: StoreApi,
    cache: Cache,
    store: Store,
    *,
    by_hand: Collection[str] = (),
    refresh: bool = False,
    fresh_s: float = CONFIGS_TTL_S,
    facts: Facts | None = None,
) -> list[ExtraFieldConfig]:
    """Read the store's extra-field configs, cached for ten minutes, or for ``fresh_s``.

    When neither a rule nor a value ``by_hand`` writes an extra field, they are read only to ``refresh`` them: after a
    refusal that is about one. Only BigCommerce's own answers teach the ``facts`` anything.
    """
    if not store.extra_fields and not refresh and not set(by_hand) - {PO_NUMBER}:
        return await remembered_configs(cache)

    async def read() -> object:
        configs = await api.b2b.extra_field_configs()
        if facts:
            await learn_from_configs(facts, store.hash, configs)
        return _CONFIGS.dump_python(configs, mode="json")

    cached = await cache.get_or_read(
        _CACHED_AS, read, fresh_s=fresh_s, stale_s=CONFIGS_STALE_S, refresh=refresh, in_memory=True
    )
    try:
        return cache.parse(_CACHED_AS, cached, _CONFIGS.validate_python)
    except ValidationError:
        # Cached by another version of this program.
        return _CONFIGS.validate_python(await cache.get_or_read(_CACHED_AS, read, fresh_s=CONFIGS_TTL_S, refresh=True))


def is_reading_ahead_worth_it(cache: Cache, store: Store) -> bool:
    """Whether reading the configs takes a while, so that it should begin before they are needed."""
    return bool(store.extra_fields) and not cache.is_in_memory(_CACHED_AS, fresh_s=CONFIGS_TTL_S)


async def remembered_configs(cache: Cache) -> list[ExtraFieldConfig]:
    """The extra-field configs in the cache, however old; none when nothing is cached."""
    try:
        return cache.parse(_CACHED_AS, await cache.peek(_CACHED_AS, in_memory=True) or [], _CONFIGS.validate_python)
    except ValidationError:
        return []


def missing_required_field(message: str) -> str | None:
    """The field named in Update an Order's 422 ``[Account No] is a required extra field``; None for other messages."""
    found = re.search(r"\[([^\[\]]+)\] is a required extra field", message)
    found = found or re.search(r"([^\[\];:]+) is a required extra field", message)
    return found.group(1).strip() if found else None


def fields_to_blame(carried: Collection[str], configs: list[ExtraFieldConfig], message: str) -> set[str]:
    """The carried fields that caused a refusal: those that its message names, else those that the store lacks."""
    known = {name for config in configs for name in (config.field_name, config.label)}
    named = named_fields(carried, configs, message)
    return named or ({name for name in carried if name not in known} if known else set())


def duplicate_fields(configs: list[ExtraFieldConfig], values: Values, message: str) -> tuple[str, ...]:
    """The fields whose value another order has already, after a refusal that says so.

    These are the unique fields that the message names, else all unique fields.
    """
    unique = [config.field_name for config in configs if config.unique and config.field_name in values.extra_fields]
    if _ORDER_EXISTS.search(message) or not _DUPLICATE.search(message):
        return ()
    named = named_fields(values.extra_fields, configs, message)
    return tuple(name for name in unique if name in named or not named)


def required_defaults(configs: list[ExtraFieldConfig], values: Values) -> dict[str, str]:
    """The store's own default values of required fields that no rule has filled."""
    empty = (config for config in configs if config.required and config.field_name not in values.extra_fields)
    return {config.field_name: config.default for config in empty if config.default}


def droppable_fields(rules: RuleSet, configs: list[ExtraFieldConfig], values: Values, message: str) -> tuple[str, ...]:
    """The optional extra fields to leave out after a refusal: those that the message names, else all of them.

    Empty when nothing would be left to send, or when one of them is required.
    """
    duplicates = duplicate_fields(configs, values, message)
    named = duplicates or named_fields(values.extra_fields, configs, message)
    required = rules.required
    by_name: Mapping[str, ExtraFieldConfig] = {config.field_name: config for config in configs}

    def is_required(name: str) -> bool:
        config = by_name.get(name)
        return name in required or (config is not None and (config.required or config.label in required))

    bad = tuple(name for name in values.extra_fields if name in named) or tuple(values.extra_fields)
    leaves_something = values.po_number is not None or len(bad) < len(values.extra_fields)
    return bad if leaves_something and not any(is_required(name) for name in bad) else ()


def named_fields(names: Collection[str], configs: list[ExtraFieldConfig], message: str) -> set[str]:
    """The fields that the message names, by fieldName or label.

    "Cost" does not count where only "Cost Center" is written.
    """
    known = FieldNames.of(configs)
    by_text = {text: name for name in names for text in known.both(name)} | {name: name for name in names}
    found = set()
    for text in sorted(by_text, key=len, reverse=True):
        if text in message:
            found.add(by_text[text])
            message = message.replace(text, "\0")
    return found
