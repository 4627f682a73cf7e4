"""What a finished order adds to its store's statistics: kept by the script that finishes it, added up a moment later.

The script only appends to a list, for a count in each of its periods would cost more than all else that it does.
``service.orders.statistics`` says what the counters mean.
"""

from dataclasses import dataclass
from datetime import datetime

from redis.asyncio import Redis

from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.keys import PENDING_COUNTERS

HOUR_S = 3600

MOST_COUNTERS = 400
"""Of a day or an hour. Reasons are texts of BigCommerce: those of one more are counted as ``other``. Redis keeps up to
512 in their compact form."""

_MOST_AT_ONCE = 100
"""Orders that one call adds up: about a millisecond, in which Redis does nothing else."""


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

    def counted(self, prefix: str) -> str:
        """What the entry keeps, to take it back: a line with the keys' prefix and the periods, and one a counter."""
        periods = " ".join(f"{period.name} {period.until}" for period in self.periods)
        return "\n".join((f"{prefix} {periods}", *self.standing))


async def add_up(redis: Redis, *, clock: Clock | None = None) -> None:
    """Add what orders have added since the last call to the counters of their periods. Raises Redis's errors."""
    while await lua.add_up_counters(
        redis,
        pending=PENDING_COUNTERS,
        now_ms=script_time(clock),
        at_once=_MOST_AT_ONCE,
        most=MOST_COUNTERS,
    ):
        pass


def day_of(moment: datetime) -> str:
    """The name of a day in UTC: ``20260131``."""
    return moment.strftime("%Y%m%d")


def hour_of(moment: datetime) -> str:
    """The name of an hour in UTC: ``2026013123``."""
    return moment.strftime("%Y%m%d%H")
