"""Values for the extra fields of test orders, which fit the store's own settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.bigcommerce.models import ExtraFieldConfig, FieldType

MOST_OPTIONAL = 2
"""One field that an Update changes, and one that it leaves out."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The fields of a test order by fieldName. ``changed`` and ``left_out``: None where the store has no such field.

    ``required`` must be in every Update. ``changed`` gets another value by the Update, ``left_out`` is not sent.
    """

    created: dict[str, str]
    required: dict[str, str]
    changed: tuple[str, str] | None
    left_out: str | None


def sample_values(configs: Sequence[ExtraFieldConfig], run: str, *, order: str) -> Samples:
    """Values for one test order; ``order`` makes those of unique fields differ."""
    optional = [config for config in configs if not config.required and _value(config, run, order, 1)]
    chosen = sorted(optional, key=lambda config: _value(config, run, order, 2) is None)[:MOST_OPTIONAL]
    required = {config.field_name: _value(config, run, order, 1) for config in configs if config.required}
    known = {name: value for name, value in required.items() if value}
    created = {config.field_name: _value(config, run, order, 1) or "" for config in chosen}
    changed = next(((config.field_name, again) for config in chosen if (again := _value(config, run, order, 2))), None)
    left_out = next((name for name in created if changed and name != changed[0]), None)
    return Samples(known | created, known, changed, left_out)


def _value(config: ExtraFieldConfig, run: str, order: str, number: int) -> str | None:
    """The field's first or second sample; None where it has none."""
    match config.type:
        case FieldType.DROPDOWN:
            return config.options[number - 1] if len(config.options) >= number else None
        case FieldType.NUMBER:
            value = int(run, 16) % 1000 + number if config.unique else number
            return str(value) if config.maximum_value is None or value <= config.maximum_value else None
        case _:
            # The shortest field still gets two values that differ.
            text = f"{number}{order}-{run}"
            return text[: config.maximum_length] if config.maximum_length else text
