"""Validates extra fields against the store's extra-field configs, and converts their values."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from service.bigcommerce.models import ExtraFieldConfig, FieldType
from service.stores import did_you_mean, plain_number

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")


@dataclass(frozen=True, slots=True)
class DroppedField:
    """A field that is not sent, by its key in the stores file. ``reason`` is a sentence without the shopper's value."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ValidatedFields:
    """``fields`` are sent: fieldName → text. If ``refused`` is set, a required field is invalid: send nothing."""

    fields: dict[str, str]
    dropped: tuple[DroppedField, ...]
    refused: DroppedField | None


class _InvalidValueError(Exception):
    """Why a value is invalid. ``required`` is set when the store's config requires the field."""

    def __init__(self, reason: str, *, required: bool = False) -> None:
        super().__init__(reason)
        self.required = required


def validate_fields(
    fields: Mapping[str, str], required_rules: Collection[str], configs: Sequence[ExtraFieldConfig]
) -> ValidatedFields:
    """Map each key to its fieldName, and leave out the values that BigCommerce would refuse.

    A key is a fieldName or a label; a fieldName goes first. An invalid value is dropped, unless the config or the
    rule (``required_rules`` are the keys) requires the field. The first such field is ``refused``, and the order
    fails with it. The rows of a multi-line field are its display height, not a limit.
    """
    valid: dict[str, str] = {}
    dropped: list[DroppedField] = []
    refused: DroppedField | None = None
    for key, text in fields.items():
        try:
            config = _config(key, configs)
            value = _value(text, config)
        except _InvalidValueError as invalid:
            invalid_field = DroppedField(key, str(invalid))
            if refused is None and (invalid.required or key in required_rules):
                refused = invalid_field
            else:
                dropped.append(invalid_field)
            continue
        if config.field_name in valid:
            dropped.append(DroppedField(key, "another rule has filled the same field already."))
        else:
            valid[config.field_name] = value
    return ValidatedFields(valid, tuple(dropped), refused)


def configs_for_key(key: str, configs: Sequence[ExtraFieldConfig]) -> list[ExtraFieldConfig]:
    """The extra fields that a key of the stores file names: the one with this fieldName, else all with this label."""
    by_name = {config.field_name: config for config in configs if config.field_name}
    if key in by_name:
        return [by_name[key]]
    return [config for config in by_name.values() if config.label == key]


def suggest_field(key: str, configs: Sequence[ExtraFieldConfig]) -> str:
    """``Did you mean "…"?`` with the closest fieldName or label; empty when none is close."""
    return did_you_mean(key, [name for config in configs for name in (config.field_name, config.label) if name])


def rejection_reason(text: str, config: ExtraFieldConfig) -> str | None:
    """Why the field would not accept this text, as a sentence without the text; None when it would."""
    try:
        _value(text, config)
    except _InvalidValueError as invalid:
        return str(invalid)
    return None


def _config(key: str, configs: Sequence[ExtraFieldConfig]) -> ExtraFieldConfig:
    match configs_for_key(key, configs):
        case [config]:
            return config
        case []:
            raise _InvalidValueError(
                f"the store has no extra field of this name. {suggest_field(key, configs)}".rstrip()
            )
        case several:
            names = ", ".join(config.field_name for config in several)
            required = any(config.required for config in several)
            raise _InvalidValueError(f"several extra fields have this label; name one of {names}.", required=required)


def _value(text: str, config: ExtraFieldConfig) -> str:
    """The text to send. Raises _InvalidValueError when the field does not accept it."""
    reason = None
    match config.type:
        case FieldType.TEXT if config.maximum_length is not None and len(text) > config.maximum_length:
            reason = f"the text has {len(text)} characters, the field takes {config.maximum_length}."
        case FieldType.NUMBER if not _NUMBER.fullmatch(text):
            reason = "the text is not a number, and the field takes only numbers."
        case FieldType.NUMBER if config.maximum_value is not None and float(text) > config.maximum_value:
            reason = f"the number is larger than {plain_number(config.maximum_value)}, the field's maximum."
        case FieldType.DROPDOWN:
            return _option(text, config)
    if reason:
        raise _InvalidValueError(reason, required=config.required)
    if config.type is FieldType.NUMBER:
        # In the form that BigCommerce returns: "007" and "+7" come back as 7, and must be equal at verification.
        return plain_number(Decimal(text)) or text
    return text


def _option(text: str, config: ExtraFieldConfig) -> str:
    if text in config.options or not config.options:
        return text  # without a list, the options are unknown
    alike = {option for option in config.options if option.strip().casefold() == text.strip().casefold()}
    if len(alike) != 1:
        raise _InvalidValueError("the text is not one of the field's options.", required=config.required)
    return alike.pop()
