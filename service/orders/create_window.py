"""The create window: the ten seconds in which Create an Order can make the B2B Edition record."""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

# B2B Edition API, Orders, Create an Order: "within 10 seconds of an order's creation".
WINDOW_LENGTH_S = 10.0


@dataclass(frozen=True, slots=True)
class Window:
    """One order's create window. All times are Unix seconds on BigCommerce's clock, not ours.

    ``date_created`` has whole seconds, so the order may be up to a second younger. Taking the date as it is gives
    the earliest moment at which the window can close.
    """

    opened_at: float

    @classmethod
    def of_order(cls, date_created: str) -> "Window":
        """The window of the order with this V2 ``date_created`` (RFC 2822). Raises ValueError for other text."""
        created = parsedate_to_datetime(date_created)
        # The zone -0000 means UTC, but Python parses it as no time zone.
        return cls((created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp())

    @property
    def closes_at(self) -> float:
        """The first moment after the window."""
        return self.opened_at + WINDOW_LENGTH_S

    def left(self, now: float) -> float:
        """Seconds until the window closes; never negative."""
        return max(0.0, self.closes_at - now)

    def is_open(self, now: float) -> bool:
        """Whether BigCommerce still accepts Create an Order."""
        return now < self.closes_at
