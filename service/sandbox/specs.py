"""Request models of the control API: stores and orders. Unknown keys are errors."""

from enum import IntEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from service.sandbox.apis.documents import ORDER_FIELDS
from service.sandbox.options import Seconds

SANDBOX_ACCESS_TOKEN = "sandbox-access-token"  # noqa: S105 - valid only for the sandbox
SANDBOX_CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Secrets = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), BeforeValidator(_one_or_more)]
Scope = Literal["orders", "orders_modify", "transactions", "carts", "customers", "products", "b2b_read", "b2b_modify"]
"""OAuth scopes of an API account. Webhooks and store information need no scope here."""

PositiveId = Annotated[int, Field(ge=1)]


class Spec(BaseModel):
    """Base of the request models; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldType(IntEnum):
    """The type of an extra field."""

    TEXT = 0
    MULTI_LINE = 1
    NUMBER = 2
    DROPDOWN = 3


class ExtraFieldConfig(Spec):
    """One order extra field, with the API's own names (or the same in snake_case)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    field_name: Annotated[str, Field(min_length=1)]
    field_type: FieldType = FieldType.TEXT
    label_name: str | None = None
    is_required: bool = False
    is_unique: bool = False
    maximum_length: int | None = None
    number_of_rows: int | None = None
    maximum_value: float | None = None
    list_of_values: tuple[str, ...] = ()
    default_value: str = ""
    visible_to_enduser: bool = True
    config_type: int = 2


class Customer(Spec):
    """A customer account."""

    id: PositiveId
    email: str = "buyer@example.com"
    first_name: str = "Ada"
    last_name: str = "Buyer"
    company: str = ""
    customer_group_id: Annotated[int, Field(ge=0)] = 0
    """0: no group."""
    attributes: dict[str, str] = {}
    form_fields: dict[str, Any] = {}
    """Values are texts, numbers, or lists of texts (checkboxes)."""


class CustomerGroup(Spec):
    """A group of customers."""

    id: PositiveId
    name: str


class CompanyStatus(IntEnum):
    """The status of a Company account. ("Company Status" in B2B Edition's documentation of Companies)"""

    PENDING = 0
    APPROVED = 1
    REJECTED = 2
    INACTIVE = 3


class Company(Spec):
    """A Company of B2B Edition."""

    id: PositiveId
    name: str
    customer_group_id: int | None = None
    status: CompanyStatus = CompanyStatus.APPROVED
    """Shown by Get Company Details; nothing else depends on it."""
    extra_fields: dict[str, str] = {}


class User(Spec):
    """A Company user: a customer who belongs to a Company."""

    customer_id: PositiveId
    company_id: PositiveId
    id: PositiveId | None = None
    email: str = "buyer@example.com"
    role: Annotated[int, Field(ge=0, le=2)] = 1
    extra_fields: dict[str, str] = {}

    @property
    def user_id(self) -> int:
        """B2B Edition's ID of the user."""
        return self.id or 9_000_000 + self.customer_id


class SuperAdmin(Spec):
    """A Super Admin: a customer who orders for Companies without being a user of one; the Users API answers 404."""

    customer_id: PositiveId
    company_ids: Annotated[tuple[PositiveId, ...], Field(min_length=1)]
    id: PositiveId | None = None
    email: str = "admin@example.com"


class StoreSpec(Spec):
    """A store's configuration. Token and secret may be one or several values, each of which is valid."""

    access_token: Secrets = (SANDBOX_ACCESS_TOKEN,)
    client_secret: Secrets = (SANDBOX_CLIENT_SECRET,)
    missing_scopes: frozenset[Scope] = frozenset()
    """Scopes that the store's API account lacks: such calls get 403."""
    name: str = "Sandbox Store"
    extra_fields: tuple[ExtraFieldConfig, ...] = ()
    customers: tuple[Customer, ...] = ()
    customer_groups: tuple[CustomerGroup, ...] = ()
    companies: tuple[Company, ...] = ()
    users: tuple[User, ...] = ()
    super_admins: tuple[SuperAdmin, ...] = ()

    @model_validator(mode="after")
    def _users_have_companies(self) -> Self:
        known = {company.id for company in self.companies}
        for user in self.users:
            if user.company_id not in known:
                raise ValueError(f"user of customer {user.customer_id}: there is no company {user.company_id}")
        for admin in self.super_admins:
            if missing := set(admin.company_ids) - known:
                raise ValueError(f"super admin {admin.customer_id}: there is no company {min(missing)}")
        return self


class Quote(Spec):
    """A quote that became an order, with the API's own names (or the same in snake_case)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    reference_number: str = ""
    quote_title: str = ""
    notes: str = ""
    sales_rep_name: str = "Robin Rep"
    extra_fields: dict[str, str] = {}
    age: Seconds = 3600.0
    """How many seconds before the order it was created."""


class OrderFields(BaseModel):
    """Any field of a V2 order, beside the keys of the class."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="after")
    def _only_order_fields(self) -> Self:
        if unknown := set(self.model_extra or {}) - ORDER_FIELDS:
            raise ValueError(f"not a field of an order: {', '.join(sorted(unknown))}")
        return self


class Placement(OrderFields):
    """An order to place: these keys, and any field of a V2 order, which overrides the default."""

    customer_id: Annotated[int, Field(ge=0)] = 0
    status_id: Annotated[int, Field(ge=0, le=14)] = 11
    products: tuple[dict[str, Any], ...] = ({},)
    shipping_addresses: tuple[dict[str, Any], ...] = ({},)
    metafields: dict[str, dict[str, str]] = {}
    cart_metafields: dict[str, dict[str, str]] | None = {}
    """The metafields of the order's cart; null: the cart is gone."""
    quote: Quote | None = None
    """The quote that the order came from."""
    transactions: tuple[dict[str, Any], ...] = ()
    """The order's payments: fields that override the defaults."""

    complete_after: Seconds | None = None
    """Seconds after which the status becomes 11, as usual for an order placed with status 0."""
    age: Seconds = 0.0
    """The order's age in seconds. An order with an age is an old one, for which no webhook is sent."""

    company_id: PositiveId | None = None
    """The Company that the order is for, if it is not the user's: a subsidiary, or a Super Admin's second one."""
    record_after: Seconds | None = None
    """When B2B Edition creates its own record, if not the default; 0: the storefront has created it already."""
    own_record: bool | None = None
    """Whether B2B Edition creates its own record at all, if not the default (``Options.own_records``)."""
    date_offset: float = 0.0
    """Seconds from the moment when the order is made to its ``date_created``, which whoever makes an order by API can
    set: negative for a date in the past."""
    digital: bool = False
    """The order has one digital line item, as a payment of an invoice has."""
    order_type: str | None = None
    """The value of the platform's own metafield ``orderType``: "invoice payment" or "online order"."""
    order_type_after: Seconds = 0.0
    """Seconds from the order to that metafield."""

    buyer_po: str | None = None
    """What the buyer typed at the checkout; it gets on the record that the platform makes or writes."""
    buyer_text: str | None = None
    """The additional text of the checkout. Where a record shows it is not documented: a guess."""
    buyer_extra_fields: dict[str, str] = {}
    platform_writes_after: Seconds | None = None
    """When the platform's server passes these three on, if not as the sandbox's options say."""
    is_invoice_order: bool = False

    drop_webhook: bool = False
    duplicate_webhook: bool = False
    delay_webhook: Seconds = 0.0

    @property
    def order_fields(self) -> dict[str, Any]:
        """The fields of the V2 order."""
        digital = {"order_is_digital": True, "items_total": 1} if self.digital else {}
        return {**digital, **(self.model_extra or {}), "customer_id": self.customer_id, "status_id": self.status_id}

    @property
    def line_items(self) -> tuple[dict[str, Any], ...]:
        """The fields of the line items that override the defaults."""
        return (
            tuple({"type": "digital", "quantity": 1, **item} for item in self.products)
            if self.digital
            else (self.products)
        )


class OrderEdit(OrderFields):
    """A change of an order by staff: these keys, and any field of a V2 order. What is left out stays unchanged."""

    status_id: Annotated[int, Field(ge=0, le=14)] | None = None
    products: tuple[dict[str, Any], ...] | None = None
    """The new line items."""
    shipping_addresses: tuple[dict[str, Any], ...] | None = None
    drop_webhook: bool = False
    """Lose the webhooks of this change."""

    @property
    def order_fields(self) -> dict[str, Any]:
        """The fields of the V2 order, without its status."""
        return dict(self.model_extra or {})


class MetafieldsWrite(Spec):
    """Metafields of an order that an app writes, by namespace and key; null deletes one."""

    metafields: dict[str, dict[str, Annotated[str, Field(min_length=1)] | None]]
    drop_webhook: bool = False
    """Lose the webhooks of this change."""


class Membership(Spec):
    """A customer's membership in a Company."""

    company_id: PositiveId
    email: str = "buyer@example.com"
    role: Annotated[int, Field(ge=0, le=2)] = 1
    extra_fields: dict[str, str] = {}
    drop_webhook: bool = False


class CompanyChange(Spec):
    """A Company's new status."""

    status: CompanyStatus
    drop_webhook: bool = False


class StatusChange(Spec):
    """An order's new status."""

    status_id: Annotated[int, Field(ge=0, le=14)]


class RecordWrite(Spec):
    """A change of B2B Edition's record by others. Keys that are left out stay unchanged.

    ``extra_fields`` is the new set; ``changed_fields`` changes only these and keeps the others. Values are wiped with
    ``{"po_number": "", "extra_fields": {}}``.
    """

    po_number: str | None = None
    extra_fields: dict[str, str] | None = None
    company_id: PositiveId | None = None
    changed_fields: dict[str, str] = {}


class HooksChange(Spec):
    """The new state of all webhooks of a store."""

    is_active: bool
