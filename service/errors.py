"""All errors of this product.

EnrichError
├── ConfigError                the configuration is invalid: the admin has to fix it; carries every problem found
├── QueueUnavailable           Redis did not accept a job before the timeout
└── UpstreamError              a call to BigCommerce failed; the type says what to do next
    ├── TryAgain               transient: 5xx, a redirect, a 404 from a proxy, no connection, no answer to a read
    │   └── Unsure             transient, but a write may have been carried out: read before writing again
    ├── WaitUntil              over quota: nothing was done; carries when to retry
    │   └── OutOfBudget        our own budget for this priority is spent: no call was sent
    ├── CredentialsRefused     401 or 403: the store's access token is at fault, not the order
    └── Refused                permanent: any other status but 2xx, or an error inside a 2xx of B2B Edition
        ├── NotFound           a 404 from the API itself
        ├── BuyerRefused       the storefront API does not accept the buyer, whose token is new
        └── AlreadyExists      Create an Order: a record exists; read it to see who made it
"""

from dataclasses import dataclass


class EnrichError(Exception):
    """The base class of all errors of this product."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in a configuration: where it is, what is wrong, how to fix it."""

    place: str
    message: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" {self.cure}" if self.cure else "")


class ConfigError(EnrichError):
    """The configuration is invalid. ``problems`` holds every problem found, never the value of a secret."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class QueueUnavailable(EnrichError):
    """Redis did not accept the job before the timeout. If it was queued all the same, queueing it again is safe."""


class UpstreamError(EnrichError):
    """A call to BigCommerce failed.

    ``operation`` is the call's name in BigCommerce's documentation, ``status`` the HTTP status (None without an
    answer), ``message`` BigCommerce's own message or the transport's.
    """

    def __init__(self, operation: str, message: str, *, status: int | None = None) -> None:
        super().__init__(f"{operation}: {status or 'no answer'}: {message}")
        self.operation = operation
        self.message = message
        self.status = status


class TryAgain(UpstreamError):
    """A transient error: a retry may succeed."""


class Unsure(TryAgain):
    """A write whose result is unknown: it may or may not have been carried out."""


class WaitUntil(UpstreamError):
    """The quota is used up. It resets ``seconds`` after the answer."""

    def __init__(self, operation: str, message: str, *, seconds: float, status: int | None = 429) -> None:
        super().__init__(operation, message, status=status)
        self.seconds = seconds


class OutOfBudget(WaitUntil):
    """The store's quota has no calls left, or keeps them for more urgent ones."""

    def __init__(self, operation: str, *, seconds: float) -> None:
        super().__init__(operation, "the store's quota is spent for now", seconds=seconds, status=None)


class CredentialsRefused(UpstreamError):
    """BigCommerce does not accept the store's access token, or the token lacks a scope."""


class Refused(UpstreamError):
    """A permanent error: the same call would get the same answer."""


class NotFound(Refused):
    """The resource does not exist."""


class BuyerRefused(Refused):
    """The storefront API refuses a buyer: 401 with a token just fetched, or 403 for what the buyer's role may not see.

    It says nothing about the store's own access token.
    """


class AlreadyExists(Refused):
    """B2B Edition already has a record for this order."""
