"""From the order document and the store's rules to the values that are sent. Pure, but for reading the configs."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from service.bigcommerce import StoreApi
from service.bigcommerce.models import ExtraFieldConfig, Values
from service.orders.document.cache import CONFIGS_S, CONFIGS_STALE_S, Cache
from service.orders.document.loading import Document
from service.orders.values.field_validation import validate_fields
from service.orders.values.merge import PO_NUMBER
from service.rules import Evaluation, RuleSet
from service.stores import Store

_CONFIGS = TypeAdapter(list[ExtraFieldConfig])
_CACHED_AS = "extra-field-configs"


@dataclass(frozen=True, slots=True)
class ResolvedValues:
    """What an order's rules gave. ``dropped`` says of each left-out field why; ``failure`` why nothing may be sent."""

    values: Values
    dropped: dict[str, str]
    failure: str | None


def resolve_values(rules: RuleSet, document: Document, configs: list[ExtraFieldConfig]) -> ResolvedValues:
    """Evaluate the rules and fit the extra fields to what the store allows."""
    return validate_evaluation(rules, rules.evaluate(document), configs)


def validate_evaluation(rules: RuleSet, found: Evaluation, configs: list[ExtraFieldConfig]) -> ResolvedValues:
    """Fit what the rules gave for an order to what the store allows."""
    # An expression that broke matters only where nothing else, a default for one, gave a value.
    dropped = {
        name: why
        for name, why in found.errors.items()
        if name not in found.fields and not (name == PO_NUMBER and found.po_number is not None)
    }
    if found.missing:
        return ResolvedValues(Values(None, {}), dropped, found.missing[0])
    fitted = validate_fields(found.fields, rules.required, configs)
    dropped |= {drop.name: drop.reason for drop in fitted.dropped}
    failure = f"{fitted.refused.name}: {fitted.refused.reason}" if fitted.refused else None
    return ResolvedValues(Values(found.po_number, fitted.fields), dropped, failure)


async def read_configs(api: StoreApi, cache: Cache, store: Store, *, refresh: bool = False) -> list[ExtraFieldConfig]:
    """The store's extra-field configs, at most ten minutes old; none when no rule writes an extra field."""
    if not store.extra_fields:
        return []

    async def read() -> object:
        return _CONFIGS.dump_python(await api.b2b.extra_field_configs(), mode="json")

    cached = await cache.get_or_read(_CACHED_AS, read, fresh_s=CONFIGS_S, stale_s=CONFIGS_STALE_S, refresh=refresh)
    try:
        return _CONFIGS.validate_python(cached)
    except ValidationError:
        # Of another version of this program.
        return _CONFIGS.validate_python(await cache.get_or_read(_CACHED_AS, read, fresh_s=CONFIGS_S, refresh=True))


async def remembered_configs(cache: Cache) -> list[ExtraFieldConfig]:
    """The extra-field configs as they were when an order last needed them; none where nothing is remembered."""
    try:
        return _CONFIGS.validate_python(await cache.remembered(_CACHED_AS) or [])
    except ValidationError:
        return []


def missing_required_field(message: str) -> str | None:
    """The field that B2B Edition says it lacks (Update an Order, 422): ``[Account No] is a required extra field``."""
    found = re.search(r"\[([^\[\]]+)\] is a required extra field", message)
    found = found or re.search(r"([^\[\];:]+) is a required extra field", message)
    return found.group(1).strip() if found else None


def culprits(carried: Collection[str], configs: list[ExtraFieldConfig], message: str) -> set[str]:
    """Which of the fields that were only sent along a refusal is about: those it names, else those the store lacks."""
    known = {config.field_name for config in configs}
    return _named(carried, message) or ({name for name in carried if name not in known} if known else set())


def droppable(rules: RuleSet, configs: list[ExtraFieldConfig], values: Values, message: str) -> tuple[str, ...]:
    """The optional extra fields to leave out after a refusal: those that the message names, else all of them.

    Empty when that would leave nothing, or a field that has to be there.
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
    """The names that stand in the message; "Cost" is not meant where only "Cost Center" is said."""
    found = set()
    for name in sorted(names, key=len, reverse=True):
        if name in message:
            found.add(name)
            message = message.replace(name, "\0")
    return found
