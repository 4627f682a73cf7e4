"""The ten seconds in which Create an Order puts a PO and extra fields in from the start."""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

# B2B Edition API, Orders, Create an Order: "within 10 seconds of an order's creation".
LENGTH_S = 10.0


@dataclass(frozen=True, slots=True)
class Window:
    """One order's window. All times are seconds on BigCommerce's clock, not ours.

    ``date_created`` has whole seconds, so the order may really be up to a second younger: taking it as it stands
    gives the earliest moment at which the window can close.
    """

    opened_at: float

    @classmethod
    def of_order(cls, date_created: str) -> "Window":
        """The window of an order by its V2 ``date_created`` (RFC 2822). Raises ValueError for other text."""
        created = parsedate_to_datetime(date_created)
        # The zone -0000 says "UTC, wherever I am", and is read as having none.
        return cls((created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp())

    @property
    def closes_at(self) -> float:
        """The first moment that is outside."""
        return self.opened_at + LENGTH_S

    def left(self, now: float) -> float:
        """Seconds until it closes; never negative."""
        return max(0.0, self.closes_at - now)

    def is_open(self, now: float) -> bool:
        """Whether Create an Order can still be taken."""
        return now < self.closes_at
