"""Models of the storefront API's answers, with only the fields that are used; no name, address or e-mail of a buyer.

Parsing is lenient, as in ``service.bigcommerce.models``, with one difference: a field that the answer lacks, or that
cannot be read, is None, which means "not shown"; a field that is null or empty is the empty text, or no extra fields.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from service.bigcommerce.models import Flag, Id, WholeNumber, to_number, to_text


def _shown_text(value: object) -> str | None:
    """Plain values as text, null as the empty text; None for lists and objects, which are not documented."""
    return None if isinstance(value, list | dict) else to_text(value)


def _shown_fields(value: object) -> dict[str, str] | None:
    """``[{"fieldName", "fieldValue"}]``, also within an object of its own as described; None if it is neither."""
    if isinstance(value, Mapping) and "extraFields" in value:
        value = value["extraFields"]
    if value is None or value == {}:
        return {}
    rows = value if isinstance(value, list) else None
    if rows is None or not all(isinstance(row, Mapping) and row.get("fieldName") for row in rows):
        return None
    fields: dict[str, str] = {}
    for row in rows:
        text = _shown_text(row.get("fieldValue"))
        if text is None:
            return None
        fields[str(row["fieldName"])] = fields.get(str(row["fieldName"])) or text
    return fields


def _seconds(value: object) -> float | None:
    """Unix seconds, from a number, from text that holds one, or from an RFC 2822 date."""
    number = to_number(value)
    if number is not None or not isinstance(value, str):
        return number
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError, OSError):
        return None


def _rows(value: object) -> list[Any] | None:
    return value if isinstance(value, list) and all(isinstance(row, Mapping) for row in value) else None


ShownText = Annotated[str | None, BeforeValidator(_shown_text)]
ShownFields = Annotated[dict[str, str] | None, BeforeValidator(_shown_fields)]
Seconds = Annotated[float | None, BeforeValidator(_seconds)]


def _either(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class _AnswerModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class BuyerProduct(_AnswerModel):
    """A product of an order, or one that a buyer has ordered. The APIs spell these fields in three ways."""

    product_id: Id = Field(default=0, validation_alias=_either("productId", "product_id"))
    variant_id: WholeNumber = Field(default=None, validation_alias=_either("variantId", "variant_id"))
    name: ShownText = Field(default=None, validation_alias=_either("productName", "name"))
    sku: ShownText = Field(default=None, validation_alias=_either("variantSku", "sku"))
    quantity: WholeNumber = None
    ordered_times: WholeNumber = Field(default=None, validation_alias="orderedTimes")
    last_ordered_at: Seconds = Field(default=None, validation_alias="lastOrdered")
    image_url: ShownText = Field(default=None, validation_alias="imageUrl")


class BuyerOrder(_AnswerModel):
    """An order as its buyer sees it. ``created_at`` is in Unix seconds; ``products`` are only in its details."""

    order_id: Id = Field(default=0, validation_alias=_either("orderId", "id"))
    po_number: ShownText = Field(default=None, validation_alias="poNumber")
    reference_number: ShownText = Field(default=None, validation_alias="referenceNumber")
    extra_fields: ShownFields = Field(default=None, validation_alias="extraFields")
    status: ShownText = Field(
        default=None, validation_alias=_either("customOrderStatus", "custom_status", "orderStatus", "status")
    )
    total: ShownText = Field(default=None, validation_alias=_either("totalIncTax", "total_inc_tax"))
    currency: ShownText = Field(default=None, validation_alias=_either("currencyCode", "currency_code"))
    company: ShownText = Field(default=None, validation_alias="companyName")
    is_invoice_order: Flag = Field(default=False, validation_alias="isInvoiceOrder")
    created_at: Seconds = Field(default=None, validation_alias=_either("createdAt", "date_created"))
    products: Annotated[tuple[BuyerProduct, ...] | None, BeforeValidator(_rows)] = None


class Thumbnail(_AnswerModel):
    """A product's picture, by its address, and which API showed it."""

    url: str
    source: Literal["storefront", "catalog"]
