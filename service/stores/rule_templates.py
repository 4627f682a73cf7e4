"""Rule templates for the places where stores keep the PO number. See deploy/docs/recipes.md."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.errors import ConfigError, Problem

# Free text also has words such as "post" and "PO Box". So a separator and a digit are required.
_IN_FREE_TEXT = r"(?i)\bP\.?O(?:[\s.]*(?:number|no))?[\s.:#-]+([A-Z0-9/-]*[0-9][A-Z0-9/-]*)"


class Place(StrEnum):
    """Where the PO number is: the values of ``--po-from``."""

    FORM_FIELD = "form_field"
    SHIPPING_FORM_FIELD = "shipping_form_field"
    COMMENT = "comment"
    METAFIELD = "metafield"
    CART_METAFIELD = "cart_metafield"
    QUOTE = "quote"
    LINE_ITEM = "line_item"
    CUSTOMER_ATTRIBUTE = "customer_attribute"
    CUSTOMER_FORM_FIELD = "customer_form_field"
    COMPANY_FIELD = "company_field"
    USER_FIELD = "user_field"
    STAFF_NOTES = "staff_notes"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to read the PO number from one place.

    ``words`` describe the place to a person. ``expression`` is a JMESPath expression, with ``{}`` for a field's name
    if one is needed; ``quoted`` writes that name in JMESPath syntax. ``usual`` is the name that stores usually give it.
    """

    words: str
    expression: str
    quoted: Callable[[str], str] = str
    usual: str = "PO Number"
    match: str | None = None

    @property
    def has_field(self) -> bool:
        """Whether the place needs a field's name."""
        return "{}" in self.expression

    def source(self, field: str) -> str:
        """The ``from`` of the rule for this field. Raises ConfigError for an invalid name."""
        return self.expression.replace("{}", self.quoted(field))


def literal(text: str) -> str:
    """Text as a JMESPath literal."""
    if "'" not in text and "\\" not in text:
        return f"'{text}'"
    as_json = json.dumps(text, ensure_ascii=False).replace("`", "\\u0060")
    return f"`{as_json}`"


def identifier(name: str) -> str:
    """A key's name in JMESPath syntax."""
    return name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) else json.dumps(name, ensure_ascii=False)


def metafield(name: str) -> str:
    """``namespace.key`` in JMESPath syntax. Raises ConfigError."""
    namespace, dot, key = name.partition(".")
    if not (namespace and key) or "." in key:
        example = (
            "Write namespace.key, such as checkout.po_number. If there are more dots, write the rule into the file."
        )
        raise ConfigError(Problem("--po-field", "is not the namespace and key of a metafield.", example))
    return f"{identifier(namespace)}{dot}{identifier(key)}"


RECIPES: Mapping[Place, Recipe] = {
    Place.FORM_FIELD: Recipe(
        "a form field of the billing address",
        "order.billing_address.form_fields[?name=={}].value | [0]",
        literal,
    ),
    Place.SHIPPING_FORM_FIELD: Recipe(
        "a form field of a shipping address",
        "shipping_addresses[].form_fields[] | [?name=={}].value | [0]",
        literal,
    ),
    Place.COMMENT: Recipe("the order comment", "order.customer_message", match=_IN_FREE_TEXT),
    Place.METAFIELD: Recipe("an order metafield", "metafields.{}", metafield, usual="checkout.po_number"),
    Place.CART_METAFIELD: Recipe(
        "a metafield of the cart", "cart.metafields.{}", metafield, usual="checkout.po_number"
    ),
    Place.QUOTE: Recipe("the reference number of the quote", "quote.referenceNumber"),
    Place.LINE_ITEM: Recipe(
        "an option (modifier) of a product",
        "products[].product_options[] | [?display_name=={}].display_value | [0]",
        literal,
    ),
    Place.CUSTOMER_ATTRIBUTE: Recipe("an attribute of the customer", "customer.attributes.{}", identifier),
    Place.CUSTOMER_FORM_FIELD: Recipe("a form field of the customer", "customer.form_fields.{}", identifier),
    Place.COMPANY_FIELD: Recipe("an extra field of the Company", "company.extraFields.{}", identifier),
    Place.USER_FIELD: Recipe("an extra field of the Company user", "user.extraFields.{}", identifier),
    Place.STAFF_NOTES: Recipe("the staff notes", "order.staff_notes", match=_IN_FREE_TEXT),
}
