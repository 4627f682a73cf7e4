"""The create window: the ten seconds in which Create an Order can make the B2B Edition record."""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

# B2B Edition API, Orders, Create an Order: "within 10 seconds of an order's creation".
WINDOW_LENGTH_S = 10.0

WEBHOOK_CONFIRMS_S = 60.0
"""A webhook that was created within so many seconds of ``date_created`` confirms the date."""

AHEAD_S = 5.0
"""A date that is further ahead lies in the future. BigCommerce's clock is known to about a second."""

LONG_AGO_S = 86_400.0
"""An order whose webhook is new was not made so long ago."""


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

    def age(self, now: float) -> float | None:
        """The order's age in seconds; None where that is impossible: a clock was set meanwhile. Never negative."""
        age = now - self.opened_at
        return max(0.0, age) if age > -AHEAD_S else None

    def left(self, now: float) -> float:
        """Seconds until the window closes; never negative."""
        return max(0.0, self.closes_at - now)

    def is_open(self, now: float) -> bool:
        """Whether BigCommerce still accepts Create an Order."""
        return now < self.closes_at


@dataclass(frozen=True, slots=True)
class Dated:
    """An order's window, and how sure it is.

    ``is_certain``: ``date_created`` says when the order was made. ``is_open_perhaps``: the date says that the window
    has closed, but nothing confirms it.
    """

    window: Window
    is_certain: bool = True
    is_open_perhaps: bool = False


def judge_date(
    dated: Window, *, announced_at: float | None, is_new: bool, date_before: float | None, now: float
) -> Dated:
    """When an order was made: whoever makes one by API can set its ``date_created``, years back or ahead.

    ``date_created`` stands, unless something proves it wrong: it lies in the future, it lies more than a day before a
    webhook that has just been created, or an order with a smaller id has a later date (``date_before``). Then the
    order's first webhook (``announced_at``) says when it was made. Without a proof, or without a webhook, ``is_new``
    says that the order has not been there for long, and its window may be open. All times are Unix seconds on
    BigCommerce's clock.
    """
    date = dated.opened_at
    is_later = date_before is not None and date_before > date + WEBHOOK_CONFIRMS_S
    if date > now + AHEAD_S:
        return Dated(Window(now if announced_at is None else min(announced_at, now)), is_certain=False)
    if announced_at is None:
        return Dated(dated, is_certain=not (is_new and is_later), is_open_perhaps=is_new and is_later)
    if abs(announced_at - date) <= WEBHOOK_CONFIRMS_S:
        return Dated(dated)
    if is_later or announced_at < date or announced_at - date > LONG_AGO_S:
        return Dated(Window(announced_at), is_certain=False)
    is_open_perhaps = Window(announced_at).is_open(now)
    return Dated(dated, is_certain=not is_open_perhaps, is_open_perhaps=is_open_perhaps)
