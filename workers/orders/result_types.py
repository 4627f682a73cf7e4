"""The possible results of one attempt at an order."""

from dataclasses import dataclass

from service.errors import CredentialsRefused
from service.orders.state.order_entry import Status


@dataclass(frozen=True, slots=True)
class Finished:
    """The order has its final outcome."""

    status: Status
    reason: str | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The order needs another attempt: in ``seconds``, or with exponential backoff if that is None."""

    trouble: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AwaitingStatus:
    """The order is incomplete, and the store wants it enriched only after its status changes."""


@dataclass(frozen=True, slots=True)
class AwaitingValues:
    """Rules have no value yet, and it may still come: another attempt in ``seconds``, inside the window.

    ``seen`` identifies the metafields that this attempt saw: other ones are a reason to try again at once. None: no
    rule reads metafields.
    """

    rules: tuple[str, ...]
    seconds: float
    seen: str | None


@dataclass(frozen=True, slots=True)
class AwaitingRecord:
    """The values are resolved. The store lets B2B Edition make the record first, and fills in what it lacks."""


@dataclass(frozen=True, slots=True)
class AwaitingRequired:
    """A required rule gave no value, so nothing is sent: the order waits. An attempt in ``seconds`` at the latest."""

    rule: str
    seconds: float
    is_window_closed: bool


@dataclass(frozen=True, slots=True)
class AwaitingWrites:
    """Nothing may be written for the store now: the order is held, with the values that would be sent.

    ``writes_off`` is true where the stores file says so, false where writing is paused.
    """

    writes_off: bool


@dataclass(frozen=True, slots=True)
class Written:
    """BigCommerce accepted the write. The record must still be verified."""


@dataclass(frozen=True, slots=True)
class AwaitingCredentials:
    """BigCommerce refuses the store's credentials."""

    refused: CredentialsRefused


AttemptResult = (
    Finished
    | RetryLater
    | AwaitingStatus
    | AwaitingValues
    | AwaitingRecord
    | AwaitingRequired
    | AwaitingWrites
    | Written
    | AwaitingCredentials
)
