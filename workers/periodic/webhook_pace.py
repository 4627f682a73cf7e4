"""The usual pace of a store's webhooks, which shows when they have stopped.

The script that accepts a webhook updates the mean gap between webhooks (``enqueue_order.lua``). After a much longer
time without one, the list of orders shows whether there were no orders or whether their webhooks are missing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis

from service.orders.state.keys import webhook_pace_key
from workers.periodic.polling import CLOCK_TOLERANCE_S

PACE_FIELDS = ("last_ms", "gaps", "mean_ms", "late_ms")
"""The fields of the hash that are read, in the order that ``WebhookPace.parse`` takes their values."""

# The mean of fewer gaps says too little. The script counts up to this number.
MIN_GAPS = 16

# Where orders come independently of each other (a Poisson process), one gap in e^7 = 1,100 is longer than 7 times the
# true mean, and about one in 600 longer than 7 times the measured mean: three calls an hour at the most.
MEAN_GAPS_UNTIL_SILENT = 7.0
# Short enough that the first order without a webhook still has a second or two of its window.
MIN_SILENCE_S = 8.0

# BigCommerce sends most webhooks within a second or two. A later one may not come at all.
LATE_AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class WebhookPace:
    """When a store's last webhook for a new order came (on our clock), and the mean gap between them.

    Only webhooks that came in time count. ``mean_gap_s`` is None until there are enough of them, and where they come so
    rarely that reconciling at its interval notices as soon that they have stopped.
    """

    last_at: float | None
    mean_gap_s: float | None
    late_at: float | None = None
    """When a webhook for a new order last came after its window."""

    @classmethod
    async def read(cls, redis: Redis, store: str, *, interval_s: float) -> Self:
        """The store's pace now; ``interval_s`` is how often it is reconciled. Errors are Redis's own."""
        stored = await redis.hmget(webhook_pace_key(store), list(PACE_FIELDS))  # type: ignore[misc]
        return cls.parse(stored, interval_s=interval_s)

    @classmethod
    def parse(cls, stored: Sequence[bytes | None], *, interval_s: float) -> Self:
        """The same from the values of ``PACE_FIELDS``."""
        last, gaps, mean, late = stored
        last_at = None if last is None else float(last) / 1000
        mean_gap_s = float(mean) / 1000 if mean is not None and int(gaps or 0) >= MIN_GAPS else math.inf
        late_at = None if late is None else float(late) / 1000
        return cls(last_at, mean_gap_s if MEAN_GAPS_UNTIL_SILENT * mean_gap_s < interval_s else None, late_at)

    @property
    def silent_at(self) -> float:
        """From when on it is unusual that no webhook has come; infinity where no pace is known."""
        if self.last_at is None or self.mean_gap_s is None:
            return math.inf
        return self.last_at + max(MIN_SILENCE_S, MEAN_GAPS_UNTIL_SILENT * self.mean_gap_s)

    def next_check_at(self, now: float, *, is_quiet: bool) -> float:
        """When to look for a webhook again; infinity for the usual interval.

        ``is_quiet``: the list has shown that this silence means no orders. Then the pauses between checks double.
        """
        return now + (now - self.last_at) if is_quiet and self.mean_gap_s and self.last_at else self.silent_at

    def is_older_than(self, created_at: float) -> bool:
        """Whether the last webhook came before an order was created (on our clock), so it cannot be that order's."""
        return self.last_at is not None and created_at > self.last_at + CLOCK_TOLERANCE_S
