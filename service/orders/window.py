"""The ten seconds in which Create an Order puts a PO and extra fields in from the start."""

from dataclasses import dataclass
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
        return cls(parsedate_to_datetime(date_created).timestamp())

    @property
    def closes_at(self) -> float:
        return self.opened_at + LENGTH_S

    def age(self, now: float) -> float:
        return now - self.opened_at

    def left(self, now: float) -> float:
        """Seconds until it closes; never negative."""
        return max(0.0, self.closes_at - now)

    def is_open(self, now: float) -> bool:
        return now < self.closes_at
