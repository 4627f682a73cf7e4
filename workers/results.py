"""How one look at an order can end."""

from dataclasses import dataclass

from service.errors import CredentialsRefused
from service.orders.state.entry import Status


@dataclass(frozen=True, slots=True)
class Finished:
    """The order has its outcome."""

    status: Status
    reason: str | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The order needs another look, in ``seconds`` or, where that is None, after the next growing pause."""

    trouble: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AwaitingStatus:
    """The order is incomplete, and the store wants it enriched only when its status changes."""


@dataclass(frozen=True, slots=True)
class Written:
    """The values are on the record, says BigCommerce; what remains is to see them there."""


@dataclass(frozen=True, slots=True)
class AwaitingCredentials:
    """BigCommerce does not accept the store's credentials."""

    refused: CredentialsRefused


AttemptResult = Finished | RetryLater | AwaitingStatus | Written | AwaitingCredentials
