"""What a finished order adds to its store's statistics, as the script that finishes it needs it.

``service.orders.statistics`` says what the counters mean.
"""

import json
from dataclasses import dataclass
from datetime import datetime

HOUR_S = 3600

MOST_COUNTERS = 400
"""Of a day or an hour. Reasons are texts of BigCommerce: those of one more are counted as ``other``. Redis keeps up to
512 in their compact form."""


@dataclass(frozen=True, slots=True)
class Period:
    """A day or an hour: its name in the key, and until when it is kept (Unix seconds)."""

    name: str
    until: int


@dataclass(frozen=True, slots=True)
class OrderCounters:
    """Counters that the order raises by one in each of the periods.

    ``standing`` are taken back when the order is finished again; ``once`` are raised only when it is first finished.
    """

    periods: tuple[Period, ...]
    standing: tuple[str, ...]
    once: tuple[str, ...]

    def to_json(self, prefix: str) -> str:
        """For the script; ``prefix`` is the keys', before the period's name."""
        periods = [[period.name, period.until] for period in self.periods]
        return json.dumps([prefix, MOST_COUNTERS, periods, self.standing, self.once])


def day_of(moment: datetime) -> str:
    """The name of a day in UTC: ``20260131``."""
    return moment.strftime("%Y%m%d")


def hour_of(moment: datetime) -> str:
    """The name of an hour in UTC: ``2026013123``."""
    return moment.strftime("%Y%m%d%H")
