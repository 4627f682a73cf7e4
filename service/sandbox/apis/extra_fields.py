"""Order extra fields: parsing a body, and validation against the store's configs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from service.sandbox.gateway import Call, Refusal
from service.sandbox.specs import ExtraFieldConfig, FieldType
from service.sandbox.state import Order

NO_NAMES: Mapping[str, str] = MappingProxyType({})


def pairs(values: Mapping[str, str], names: Mapping[str, str] = NO_NAMES) -> list[dict[str, str]]:
    """The values in the API's form: ``[{"fieldName": …, "fieldValue": …}]``; ``names`` are other names to show."""
    return [{"fieldName": names.get(name, name), "fieldValue": value} for name, value in values.items()]


def labels_shown(call: Call) -> dict[str, str]:
    """fieldName → label, where records show fields by their label."""
    if call.sandbox.options.extra_field_shown_by == "fieldName":
        return {}
    return {config.field_name: config.label_name for config in call.store.extra_fields if config.label_name}


def config_document(call: Call, config: ExtraFieldConfig) -> dict[str, Any]:
    """The settings of a field as Get Order Extra Field Configs shows them."""
    options, document = call.sandbox.options, config.model_dump(by_alias=True)
    document["labelName"] = config.label_name or config.field_name
    if options.limits_as == "text":
        for key in ("maximumLength", "maximumValue", "numberOfRows"):
            document[key] = "" if document[key] is None else f"{document[key]:g}"
    if options.dropdown_options_in != "listOfValues":
        values = document.pop("listOfValues")
        if options.dropdown_options_in == "listOfValue":
            document["listOfValue"] = values
        elif options.dropdown_options_in != "nowhere":
            document[options.dropdown_options_in] = {"listOfValue": values}
    return document


def parse(call: Call) -> dict[str, str] | None:
    """Parse ``extraFields`` of a body, as fieldName → value; None when it has none."""
    listed = call.fields.get("extraFields")
    if listed is None:
        return None
    try:
        values = {pair["fieldName"]: pair["fieldValue"] for pair in listed}
    except (TypeError, KeyError):
        raise Refusal(422, "extraFields must be an array of fieldName and fieldValue.") from None
    if not all(isinstance(text, str) for text in (*values, *values.values())):
        raise Refusal(422, "fieldName and fieldValue must be strings.")
    labels = labels_shown(call)
    if call.sandbox.options.extra_field_taken_by == "label":
        for name in values:
            if labels.get(name, name) != name:
                raise Refusal(call.sandbox.options.unknown_extra_field_status, f"Extra field {name} does not exist.")
    names = {label: name for name, label in labels.items()}
    return {names.get(name, name): value for name, value in values.items()}


def check(call: Call, values: Mapping[str, str], order: Order, whole: Mapping[str, str] | None) -> None:
    """Validate the values; ``whole`` is what required fields are checked against. Raises Refusal."""
    configs = {config.field_name: config for config in call.store.extra_fields}
    for name in values:
        if name not in configs:
            raise Refusal(call.sandbox.options.unknown_extra_field_status, f"Extra field {name} does not exist.")
    for config in configs.values():
        if config.is_required and not (whole or {}).get(config.field_name):
            raise Refusal(422, f"[{config.field_name}] is a required extra field")
        value = values.get(config.field_name)
        if value and (problem := _problem(config, value) or _uniqueness_problem(call, config, value, order)):
            raise Refusal(422, f"{config.field_name} {problem}")


def _problem(config: ExtraFieldConfig, value: str) -> str | None:
    match config.field_type:
        case FieldType.TEXT if config.maximum_length is not None and len(value) > config.maximum_length:
            return f"is longer than {config.maximum_length} characters"
        case FieldType.MULTI_LINE if config.number_of_rows and value.count("\n") >= config.number_of_rows:
            return f"has more than {config.number_of_rows} rows"
        case FieldType.NUMBER:
            return _number_problem(config, value)
        case FieldType.DROPDOWN if value not in config.list_of_values:
            return "is not one of the listed values"
    return None


def _number_problem(config: ExtraFieldConfig, value: str) -> str | None:
    try:
        number = float(value)
    except ValueError:
        return "is not a number"
    if config.maximum_value is not None and number > config.maximum_value:
        return f"is above {config.maximum_value:g}"
    return None


def _uniqueness_problem(call: Call, config: ExtraFieldConfig, value: str, order: Order) -> str | None:
    if not config.is_unique:
        return None
    others = (other.record(call.now) for other in call.store.orders.values() if other is not order)
    if any(record and record.extra_fields.get(config.field_name) == value for record in others):
        return "must be unique"
    return None
