"""Models of B2B Edition's answers and requests, with only the fields that are used.

Parsing is lenient, as answers differ from the documentation: ids are numbers or text, and null means empty. A field
that cannot be parsed counts as missing and never raises an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

T = TypeVar("T")


def to_text(value: object) -> str:
    """A plain value as text, numbers without an exponent; the empty text for null and anything else."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return format(Decimal(str(value)).normalize(), "f")
        case _:
            return ""


def to_number(value: object) -> float | None:
    """A number, or text that holds one, as float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 2**63 else None


def to_int(value: object) -> int | None:
    """A whole number, or text that holds one, as int; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**63 else None
    number = to_number(value)
    return int(number) if number is not None and number.is_integer() else None


def _id(value: object) -> int:
    return to_int(value) or 0


def _flag(value: object) -> bool:
    """``isInvoiceOrder`` was seen as 0/1, true/false and "A_0"/"A_1"."""
    return value is True or value == 1 or (isinstance(value, str) and value.lower() in ("1", "true", "a_1"))


def has_content(value: Any) -> bool:
    """Whether a value is there: not null, not an empty list, and not a text of spaces alone."""
    return bool(value.strip() if isinstance(value, str) else value)


def _field_rows(value: object) -> list[tuple[str, Any]]:
    """``[{"fieldName": …, "fieldValue": …}]`` as pairs of name and value; a mapping is used as it is.

    Plain values become text. Lists and objects, which are not documented, stay unchanged so that none gets lost.
    """
    if isinstance(value, Mapping):
        found = list(value.items())
    else:
        rows = [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
        found = [(row["fieldName"], row.get("fieldValue")) for row in rows if row.get("fieldName")]
    return [
        (str(name), content if isinstance(content, list | dict) and content else to_text(content))
        for name, content in found
    ]


def _fields(value: object) -> dict[str, Any]:
    """The fields by name. Of a name that appears twice, the first value that is not empty counts."""
    fields: dict[str, Any] = {}
    for name, content in _field_rows(value):
        if not has_content(fields.get(name)):
            fields[name] = content
    return fields


def _repeated(value: object) -> tuple[tuple[str, Any], ...]:
    rows = _field_rows(value)
    if len({name for name, _ in rows}) == len(rows):
        return ()
    fields, repeated = _fields(value), list[tuple[str, Any]]()
    for row in rows:
        if has_content(row[1]) and row[1] != fields[row[0]] and row not in repeated:
            repeated.append(row)
    return tuple(repeated)


def _object(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(filter(None, map(to_text, value))) if isinstance(value, list | tuple) else ()


Id = Annotated[int, BeforeValidator(_id)]
WholeNumber = Annotated[int | None, BeforeValidator(to_int)]
Number = Annotated[float | None, BeforeValidator(to_number)]
Text = Annotated[str, BeforeValidator(to_text)]
Flag = Annotated[bool, BeforeValidator(_flag)]


class _ResponseModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    _keys: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        aliases = (str(field.validation_alias) for field in cls.model_fields.values() if field.validation_alias)
        cls._keys = (*cls.model_fields, *aliases)

    @model_validator(mode="before")
    @classmethod
    def _null_is_missing(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key in cls._keys if (value := data.get(key)) is not None}


class Record(_ResponseModel):
    """B2B Edition's record of an order."""

    order_id: Id = Field(default=0, validation_alias="bcOrderId")
    """The order's id in the store; 0 when the answer lacks it. B2B Edition's own ``id`` is never read."""

    po_number: Text = Field(default="", validation_alias="poNumber")
    extra_fields: Annotated[dict[str, Any], BeforeValidator(_fields)] = Field(
        default_factory=dict, validation_alias="extraFields"
    )
    repeated_fields: Annotated[tuple[tuple[str, Any], ...], BeforeValidator(_repeated)] = Field(
        default=(), validation_alias="extraFields"
    )
    """Further values of names that appear more than once, where they differ."""

    reference_number: Text = Field(default="", validation_alias="referenceNumber")
    extra_info: Annotated[dict[str, Any], BeforeValidator(_object)] = Field(
        default_factory=dict, validation_alias="extraInfo"
    )
    company_id: WholeNumber = Field(default=None, validation_alias="companyId")
    is_invoice_order: Flag = Field(default=False, validation_alias="isInvoiceOrder")
    created_at: WholeNumber = Field(default=None, validation_alias="createdAt")
    """Unix seconds, as ``updated_at``."""

    updated_at: WholeNumber = Field(default=None, validation_alias="updatedAt")

    @property
    def has_extra_fields(self) -> bool:
        """Whether the answer held extra fields at all. A list may omit them; Get an Order has them."""
        return "extra_fields" in self.model_fields_set

    def of_order(self, order_id: int) -> Self:
        """The same record, with this id if the answer lacked one."""
        return self if self.order_id else self.model_copy(update={"order_id": order_id})


class FieldType(IntEnum):
    """The kind of value that an extra field takes."""

    TEXT = 0
    MULTI_LINE = 1
    NUMBER = 2
    DROPDOWN = 3


def _field_type(value: object) -> FieldType:
    """Unknown types count as text, which has the fewest constraints."""
    number = to_int(value)
    return FieldType(number) if number in list(FieldType) else FieldType.TEXT


def _nested(data: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The objects in ``valueConfig`` and ``valueConfigs``, each with the key that it was found under."""
    found = [(key, data.get(key)) for key in ("valueConfig", "valueConfigs")]
    flat = [(key, part) for key, each in found for part in (each if isinstance(each, list) else [each])]
    return [(key, part) for key, part in flat if isinstance(part, Mapping)]


def _length(value: object) -> int | None:
    """0 is read as "no limit": a field that takes no characters would make no sense."""
    return to_int(value) or None


class ExtraFieldConfig(_ResponseModel):
    """A store's settings for one extra field of its orders."""

    field_name: Text = Field(default="", validation_alias="fieldName")
    label: Text = Field(default="", validation_alias="labelName")
    type: Annotated[FieldType, BeforeValidator(_field_type)] = Field(
        default=FieldType.TEXT, validation_alias="fieldType"
    )
    required: Flag = Field(default=False, validation_alias="isRequired")
    unique: Flag = Field(default=False, validation_alias="isUnique")
    """Whether BigCommerce refuses a value that another order has already."""

    visible: Flag = Field(default=True, validation_alias="visibleToEnduser")
    """Whether buyers see the field in the Buyer Portal."""

    default: Text = Field(default="", validation_alias="defaultValue")
    maximum_length: Annotated[int | None, BeforeValidator(_length)] = Field(
        default=None, validation_alias="maximumLength"
    )
    maximum_value: Number = Field(default=None, validation_alias="maximumValue")
    options: Annotated[tuple[str, ...], BeforeValidator(_texts)] = Field(default=(), validation_alias="listOfValues")
    """A dropdown's options. Empty when the answer shows none: then they are unknown."""

    options_in: Text = ""
    """The key under which the answer has these options."""

    @model_validator(mode="before")
    @classmethod
    def _collect_settings(cls, data: Any) -> Any:
        """Settings may be in ``valueConfig`` or ``valueConfigs`` too, and the options under two names."""
        if not isinstance(data, dict):
            return data
        parts: list[tuple[str | None, Mapping[str, Any]]] = [(None, data), *_nested(data)]
        lists = [(outer or key, part.get(key)) for outer, part in parts for key in ("listOfValues", "listOfValue")]
        place, options = next(((place, found) for place, found in lists if _texts(found)), (None, None))
        settings = {"listOfValues": options, "options_in": place}
        for key in ("maximumLength", "maximumValue", "defaultValue"):
            settings[key] = next((part[key] for _, part in parts if part.get(key) not in (None, "")), None)
        return data | {key: value for key, value in settings.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Values:
    """The values to write to a record: the PO number (None: not sent) and extra fields, fieldName → fieldValue.

    ``carried`` are the record's other fields, under the record's own names; ``repeated`` are further values of these.
    ``names`` holds the name to send where that is not the fieldName.
    """

    po_number: str | None
    extra_fields: Mapping[str, str]
    carried: Mapping[str, Any] = field(default_factory=dict)
    repeated: tuple[tuple[str, Any], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The part of a request's body that Create an Order and Update an Order share."""
        body: dict[str, Any] = {}
        if self.po_number is not None:
            body["poNumber"] = self.po_number
        ours = {self.names.get(name, name): value for name, value in self.extra_fields.items()}
        if rows := [*{**self.carried, **ours}.items(), *self.repeated]:
            body["extraFields"] = [{"fieldName": name, "fieldValue": value} for name, value in rows]
        return body


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. ``next_offset`` is the offset of the next page, None on the last."""

    items: list[T]
    total: int | None
    next_offset: int | None

    @classmethod
    def of(cls, items: list[T], *, total: int | None, limit: int, offset: int) -> "Page[T]":
        """A page of at most ``limit`` items. Without a total, a page that is not full is the last."""
        end = offset + len(items)
        is_last = not items or (len(items) < limit if total is None or total < end else end == total)
        return cls(items, total, None if is_last else end)
