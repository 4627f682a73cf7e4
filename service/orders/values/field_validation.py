"""Extra fields against what the store's extra-field configs allow."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from service.bigcommerce.models import ExtraFieldConfig, FieldType
from service.stores import did_you_mean, plain_number

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")


@dataclass(frozen=True, slots=True)
class DroppedField:
    """A field, by its key in the stores file, that is not sent, and why: a sentence without the shopper's value."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ValidatedFields:
    """``fields`` are sent: fieldName → text. ``refused`` is set when the order must not be sent without a field."""

    fields: dict[str, str]
    dropped: tuple[DroppedField, ...]
    refused: DroppedField | None


class _MisfitError(Exception):
    """Why a value does not fit; ``required`` when BigCommerce says that the field is."""

    def __init__(self, reason: str, *, required: bool = False) -> None:
        super().__init__(reason)
        self.required = required


def validate_fields(
    fields: Mapping[str, str], required_rules: Collection[str], configs: Sequence[ExtraFieldConfig]
) -> ValidatedFields:
    """Name each field by its fieldName and leave out what BigCommerce would not take.

    A key is a fieldName or a label; a fieldName goes first. What does not fit is dropped, unless BigCommerce or the
    rule requires the field (``required_rules`` are such keys): then it is ``refused``, the first one at least; with
    it the order fails. The rows of a multi-line field are how it is displayed, no limit.
    """
    fitted: dict[str, str] = {}
    dropped: list[DroppedField] = []
    refused: DroppedField | None = None
    for key, text in fields.items():
        try:
            config = _config(key, configs)
            value = _value(text, config)
        except _MisfitError as misfit:
            unfit = DroppedField(key, str(misfit))
            if refused is None and (misfit.required or key in required_rules):
                refused = unfit
            else:
                dropped.append(unfit)
            continue
        if config.field_name in fitted:
            dropped.append(DroppedField(key, "another rule has filled the same field already."))
        else:
            fitted[config.field_name] = value
    return ValidatedFields(fitted, tuple(dropped), refused)


def configs_for_key(key: str, configs: Sequence[ExtraFieldConfig]) -> list[ExtraFieldConfig]:
    """The extra fields that a key of the stores file means: the one with this fieldName, else all with this label."""
    by_name = {config.field_name: config for config in configs if config.field_name}
    if key in by_name:
        return [by_name[key]]
    return [config for config in by_name.values() if config.label == key]


def suggest_field(key: str, configs: Sequence[ExtraFieldConfig]) -> str:
    """``Did you mean "…"?`` with the fieldName or label that is nearest to the key, or no text."""
    return did_you_mean(key, [name for config in configs for name in (config.field_name, config.label) if name])


def rejection_reason(text: str, config: ExtraFieldConfig) -> str | None:
    """Why the field would not take this text, as a sentence without the text; None when it would."""
    try:
        _value(text, config)
    except _MisfitError as misfit:
        return str(misfit)
    return None


def _config(key: str, configs: Sequence[ExtraFieldConfig]) -> ExtraFieldConfig:
    match configs_for_key(key, configs):
        case [config]:
            return config
        case []:
            raise _MisfitError(f"the store has no extra field of this name. {suggest_field(key, configs)}".rstrip())
        case several:
            names = ", ".join(config.field_name for config in several)
            required = any(config.required for config in several)
            raise _MisfitError(f"several extra fields have this label; name one of {names}.", required=required)


def _value(text: str, config: ExtraFieldConfig) -> str:
    """The text to send. Raises _MisfitError when the field does not take it."""
    reason = None
    match config.type:
        case FieldType.TEXT if config.maximum_length is not None and len(text) > config.maximum_length:
            reason = f"the text has {len(text)} characters, the field takes {config.maximum_length}."
        case FieldType.NUMBER if not _NUMBER.fullmatch(text):
            reason = "the field takes a number, and the text is none."
        case FieldType.NUMBER if config.maximum_value is not None and float(text) > config.maximum_value:
            reason = f"the number is above {plain_number(config.maximum_value)}, the most that the field takes."
        case FieldType.DROPDOWN:
            return _option(text, config)
    if reason:
        raise _MisfitError(reason, required=config.required)
    if config.type is FieldType.NUMBER:
        # As BigCommerce will give it back: "007" and "+7" are 7, and would else never be found as sent.
        return plain_number(Decimal(text)) or text
    return text


def _option(text: str, config: ExtraFieldConfig) -> str:
    if text in config.options:
        return text
    alike = {option for option in config.options if option.strip().casefold() == text.strip().casefold()}
    if len(alike) != 1:
        raise _MisfitError("the text is not one of the field's options.", required=config.required)
    return alike.pop()
