"""All errors of this product.

EnrichError
├── ConfigError                the admin's to mend; carries every problem found
├── QueueUnavailable           Redis did not take a job in time
└── UpstreamError              what BigCommerce answered, or that it did not; the type is the verdict
    ├── TryAgain               passing: 5xx, a redirect, a 404 that is not the API's, no connection, no answer to a read
    │   └── Unsure             the same, but a write may have got through: read back first
    ├── WaitUntil              over quota: nothing was done; carries when to ask again
    │   └── OutOfBudget        our own budget for this kind of call is spent: BigCommerce was not even asked
    ├── CredentialsRefused     401, 403: the store's token is at fault, not the order
    └── Refused                for good: any other answer that is not 2xx, or a 2xx of B2B Edition that says so inside
        ├── NotFound           404 of the API's own
        └── AlreadyExists      Create an Order: the record is there; whose it is has to be read
"""

from dataclasses import dataclass


class EnrichError(Exception):
    """The root of all errors that are ours."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where it is, what was expected, how to mend it."""

    place: str
    message: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" {self.cure}" if self.cure else "")


class ConfigError(EnrichError):
    """The configuration cannot be used. ``problems`` holds all that was found, never a secret's value."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class QueueUnavailable(EnrichError):
    """Redis did not take the job in the time allowed; nothing was queued, or it is safe to queue it again."""


class UpstreamError(EnrichError):
    """A call to BigCommerce did not succeed.

    ``operation`` names the call as BigCommerce's documentation does, ``status`` is the HTTP status (None when no
    answer came), ``message`` is BigCommerce's own message or the transport's.
    """

    def __init__(self, operation: str, message: str, *, status: int | None = None) -> None:
        super().__init__(f"{operation}: {status or 'no answer'}: {message}")
        self.operation = operation
        self.message = message
        self.status = status


class TryAgain(UpstreamError):
    """It may work the next time."""


class Unsure(TryAgain):
    """A write was sent and no verdict came back: it may or may not have been carried out."""


class WaitUntil(UpstreamError):
    """The quota is spent. ``seconds`` is how long until it resets, from the moment of the answer."""

    def __init__(self, operation: str, message: str, *, seconds: float, status: int | None = 429) -> None:
        super().__init__(operation, message, status=status)
        self.seconds = seconds


class OutOfBudget(WaitUntil):
    """What the store's quota has left is kept for more urgent calls, or there is nothing left."""

    def __init__(self, operation: str, *, seconds: float) -> None:
        super().__init__(operation, "the store's quota is spent for now", seconds=seconds, status=None)


class CredentialsRefused(UpstreamError):
    """The store's access token is not accepted, or lacks a scope."""


class Refused(UpstreamError):
    """BigCommerce will give the same answer to the same call again."""


class NotFound(Refused):
    """There is no such thing."""


class AlreadyExists(Refused):
    """B2B Edition already has a record for this order."""
