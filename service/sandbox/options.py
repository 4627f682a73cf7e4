"""Options of a sandbox: fixed limits and formats, and faults that can be changed while it runs."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
ApiName = Literal["core", "b2b", "storefront"]


class Nonsense(StrEnum):
    """An answer that is not the operation's own. The first two have status 200."""

    ERROR_IN_200 = "error_in_200"
    """B2B Edition's envelope with code 200, but with an ``errMsg`` as its data."""
    OTHER_ENDPOINT = "other_endpoint"
    """The body of another operation of the same API."""
    PAGE_503 = "page_503"
    """An HTML page of a proxy in front of the API."""
    PAGE_404 = "page_404"
    NO_ROUTE = "no_route"
    """404 ``{"message": "no Route matched"}``, the answer of a gateway that does not know the API."""


class Faults(BaseModel):
    """The faults of the platform; by default there are none.

    The first group affects calls to ``apis``, and only the operations in ``operations`` if there are any (named as in
    BigCommerce's documentation: "Create an Order").
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency: Seconds = 0.0
    """Average duration of a call; half of it passes before the handler runs, half after."""
    latency_jitter: Seconds = 0.0
    """Largest difference from that average, in both directions."""
    error_rate: Share = 0.0
    """Share of calls answered with 500, 502 or 503 before the handler runs."""
    hang_rate: Share = 0.0
    """Share of calls that hang for ``hang_seconds`` and then continue; the caller may have timed out by then."""
    hang_seconds: Seconds = 30.0
    lost_answer_rate: Share = 0.0
    """Share of calls that are carried out but whose response does not arrive."""
    lost_answer_as: Literal["504", "cut", "either", "late"] = "either"
    """What arrives instead: a gateway's 504, or a connection cut in the middle of the response. ``late``: the response
    arrives after ``hang_seconds``; the caller may have timed out by then."""
    nonsense_rate: Share = 0.0
    """Share of calls answered with nonsense: half of them are carried out before, the others never."""
    nonsense_as: frozenset[Nonsense] = frozenset(Nonsense)
    """The kinds of nonsense to choose from."""
    apis: frozenset[ApiName] = frozenset(("core", "b2b", "storefront"))
    operations: frozenset[str] = frozenset()

    b2b_down: bool = False
    """B2B Edition answers everything with 503, its storefront API too."""
    refuse_buyers: bool = False
    """The storefront API answers 401 to all tokens of buyers, also to new ones."""
    refuse_credentials: frozenset[str] = frozenset()
    """Hashes of the stores whose token gets 401 from both APIs."""
    exhausted: frozenset[ApiName] = frozenset()
    """APIs whose quota is used up by other apps: each call gets 429, until the quota's window ends."""
    read_lag: Seconds = 0.0
    """Age of the records that Get an Order and Get All Orders return, in seconds."""
    storefront_lag: Seconds = 0.0
    """Age of what the storefront API shows of records, in seconds: the Buyer Portal may show older ones."""

    webhook_drop_rate: Share = 0.0
    webhook_duplicate_rate: Share = 0.0
    webhook_delay: Seconds = 0.0

    clock_skew: float = 0.0
    """Seconds that the platform's clock is ahead of this machine's."""
    seed: int | None = None
    """Makes the faults reproducible, as long as the calls come in the same order."""


class Options(BaseModel):
    """Fixed options of a sandbox. Times are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    demo_store: bool = True
    faults: Faults = Faults()
    first_order_id: Annotated[int, Field(ge=1)] = 1001
    """The id of each store's first order."""

    core_quota: Annotated[int, Field(ge=1)] = 150
    core_quota_window: Annotated[float, Field(gt=0)] = 30.0
    b2b_quota: Annotated[int, Field(ge=1)] = 150
    b2b_quota_window: Annotated[float, Field(gt=0)] = 60.0
    storefront_quota: Annotated[int, Field(ge=1)] = 150
    """The storefront API's own quota. What the real one is, is not documented: a guess."""
    storefront_quota_window: Annotated[float, Field(gt=0)] = 60.0

    create_window: Seconds = 10.0
    """How long after an order's creation Create an Order is accepted."""
    auto_record_after: Seconds = 10.0
    """When B2B Edition creates its own record of an order."""
    own_records: bool = True
    """Whether B2B Edition creates records by itself. Merchants report that orders made by ``POST /v2/orders`` get none:
    Get and Update an Order answer 404 until somebody calls Create. An order's placement may say otherwise."""
    late_create: Literal["accepted", "refused"] = "refused"
    """What Create an Order answers after the window, while there is no record: documented as refused, "The order
    already exists."; reported as accepted for orders made by API."""
    api_orders_get_records: bool = False
    """Whether B2B Edition creates its own record of an order made by ``POST /v2/orders``. At least one real store's did
    not."""
    platform_writes_after: tuple[Seconds, ...] = ()
    """When the platform's server passes on what the buyer typed at its checkout, in seconds after the order; several
    times take turns, order by order. It makes the record, or writes on the one that is there by then. So does the
    hosted checkout since the middle of 2026; before, the buyer's browser called B2B Edition. Empty: never."""
    platform_overwrites_po: bool = True
    """Whether that write replaces a PO number that is on the record by then."""
    platform_replaces_fields: bool = True
    """Whether that write replaces the whole set of extra fields; else it adds the buyer's."""

    record_data_as: Literal["array", "object"] = "array"
    """``data`` of Get an Order and Update an Order: an array as documented, or an object as seen elsewhere."""
    bc_order_id_as: Literal["number", "text"] = "number"
    invoice_flag_as: Literal["number", "boolean", "text"] = "number"
    """``isInvoiceOrder``: 1, true or "A_1"."""
    extra_field_shown_by: Literal["fieldName", "label"] = "fieldName"
    """The name that a record shows an extra field under. With ``label``, writes are accepted under both."""
    extra_field_taken_by: Literal["either", "label"] = "either"
    """With ``label``, and records that show labels, a write under a fieldName is refused: the authors of the checkout
    say that the API wants labels."""
    list_extra_fields: Literal["shown", "missing", "null", "empty"] = "shown"
    """``extraFields`` in the rows of Get All Orders."""
    list_po_number: bool = True
    """Whether the rows of Get All Orders have a ``poNumber``."""
    dropdown_options_in: Literal["listOfValues", "listOfValue", "valueConfig", "valueConfigs", "nowhere"] = (
        "listOfValues"
    )
    limits_as: Literal["number", "text"] = "number"
    """Lengths and limits of extra-field configs: numbers, or text ("" without a limit)."""
    create_for_super_admins: Literal["accepted", "refused"] = "accepted"
    """Whether Create an Order takes a Super Admin's customer ID. Not documented: both were assumed in public code."""
    create_shows_company: bool = True
    """Whether the answer to Create an Order has the record's ``companyId``."""
    list_company: bool = True
    """Whether the rows of Get All Orders have a ``companyId``."""
    update_extra_fields: Literal["replace", "merge"] = "replace"
    """Whether Update an Order deletes extra fields that are not sent; BigCommerce does not document it."""
    unknown_extra_field_status: Literal[400, 422] = 400
    customer_attribute_names: bool = True
    """Whether attributes of a customer carry ``attribute_name`` beside the documented ``attribute_id``."""

    token_lifetime: Annotated[float, Field(gt=0)] = 86_400.0
    """How long a buyer's token is valid."""
    storefront_images: bool = True
    """Whether the storefront API has images of products; if not, only the catalog has."""
    storefront_fields_as: Literal["array", "object"] = "array"
    """``extraFields`` of the storefront API: an array as in the examples, or an object that holds it, as described."""
    storefront_paginator_in: Literal["data", "body"] = "data"
    """Where the storefront's lists have their ``paginator``: in ``data`` as described, or beside it as in examples."""

    quota_headers: bool = True
    """Whether answers have quota headers. Some answers lack them."""

    retry_scale: Annotated[float, Field(ge=0)] = 1.0
    """Factor for the retry delays of webhooks, and for the three minutes of the blocklist."""


_ORDERS_A_SECOND = 100
"""More than any sandbox takes on average."""
_FIRST_SECOND = 1_767_225_600
"""2026-01-01 in UTC."""


def unused_order_id(now: float) -> int:
    """An order id that no sandbox started before ``now`` (Unix seconds) has reached.

    In a real store an id is one order for ever. A sandbox forgets its orders when it ends, but those who worked with it
    remember them: the service's ledger is in Redis.
    """
    return max(0, int(now) - _FIRST_SECOND) * _ORDERS_A_SECOND + 1


LIKE: dict[str, dict[str, Any]] = {
    # The platform's server writes the record within the first second, or else after a Create of ours.
    "2026-07": {"platform_writes_after": (0.3, 3.0)},
}
"""Sets of options that behave as BigCommerce did at a time, for ``enrich sandbox --like``."""
