"""How a sandbox behaves: limits and shapes for its whole life, faults that can be changed while it runs."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
ApiName = Literal["core", "b2b"]


class Faults(BaseModel):
    """What goes wrong. The defaults are a flawless platform.

    The first group befalls calls of ``apis``, and only the operations named in ``operations`` when there are any
    (named as in BigCommerce's documentation: "Create an Order").
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency: Seconds = 0.0
    """Mean seconds that a call takes, half of it before the work is done, half after."""
    latency_jitter: Seconds = 0.0
    """Most seconds by which a call differs from the mean, either way."""
    error_rate: Share = 0.0
    """Share of calls answered 500, 502 or 503 before any work is done."""
    hang_rate: Share = 0.0
    """Share of calls that stand still for ``hang_seconds`` and then go on; the caller may be gone by then."""
    hang_seconds: Seconds = 30.0
    lost_answer_rate: Share = 0.0
    """Share of calls whose work is done and whose answer does not arrive."""
    lost_answer_as: Literal["504", "cut", "either"] = "either"
    """What arrives instead: a gateway's 504, or a connection cut in the middle of the answer."""
    apis: frozenset[ApiName] = frozenset(("core", "b2b"))
    operations: frozenset[str] = frozenset()

    b2b_down: bool = False
    """B2B Edition answers everything with 503."""
    refuse_credentials: frozenset[str] = frozenset()
    """Hashes of the stores whose token gets 401 from both APIs."""
    read_lag: Seconds = 0.0
    """Get an Order and Get All Orders show B2B Edition's records as they were this long ago."""

    webhook_drop_rate: Share = 0.0
    webhook_duplicate_rate: Share = 0.0
    webhook_delay: Seconds = 0.0

    clock_skew: float = 0.0
    """Seconds that the platform's clock is ahead of this machine's."""
    seed: int | None = None
    """Makes chance reproducible, as long as the calls come in the same order."""


class Options(BaseModel):
    """What a sandbox is like from start to end. Times are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    demo_store: bool = True
    faults: Faults = Faults()

    core_quota: Annotated[int, Field(ge=1)] = 150
    core_quota_window: Annotated[float, Field(gt=0)] = 30.0
    b2b_quota: Annotated[int, Field(ge=1)] = 150
    b2b_quota_window: Annotated[float, Field(gt=0)] = 60.0

    create_window: Seconds = 10.0
    """How long after an order's creation Create an Order is taken."""
    auto_record_after: Seconds = 10.0
    """When B2B Edition makes its own record of an order."""

    record_data_as: Literal["array", "object"] = "array"
    """``data`` of Get an Order and Update an Order: an array as documented, or an object as seen elsewhere."""
    bc_order_id_as: Literal["number", "text"] = "number"
    update_extra_fields: Literal["replace", "merge"] = "replace"
    """Whether Update an Order forgets the extra fields that it is not given; BigCommerce does not say."""
    unknown_extra_field_status: Literal[400, 422] = 400
    customer_attribute_names: bool = True
    """Whether attributes of a customer carry ``attribute_name`` beside the documented ``attribute_id``."""

    retry_scale: Annotated[float, Field(ge=0)] = 1.0
    """Factor for the pauses between deliveries of a webhook, and for the three minutes of the blocklist."""
