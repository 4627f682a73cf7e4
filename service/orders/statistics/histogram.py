"""Histograms with fixed buckets, so that those of many days can be added up. All values are seconds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

_PER_DECADE = 8
"""Buckets a decade: neighbours differ by a third, and a percentile inside one is interpolated. 10 s is a bound."""

_SHORTEST_S = 0.001
_LONGEST_S = 100_000.0
"""Longer times count as this, about a day: an order is retried for two."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The buckets: ``step`` seconds wide up to ``linear_until``, then logarithmic."""

    step: float = 0.0
    linear_until: float = 0.0

    @property
    def _linear_buckets(self) -> int:
        return round(self.linear_until / self.step) if self.step else 0

    def bucket(self, seconds: float) -> int:
        """The bucket of a value; a bucket holds its lower bound."""
        value = min(max(seconds, 0.0), _LONGEST_S)
        if value < self.linear_until:
            # A ten-thousandth of a bucket: 0.3 / 0.1 is a little less than 3.
            return min(int(value / self.step + 1e-4), self._linear_buckets - 1)
        if value < self._log_from:
            return 0
        return self._linear_buckets + math.floor(math.log10(value / self._log_from) * _PER_DECADE + 1e-9) + 1

    def bounds(self, bucket: int) -> tuple[float, float]:
        """The bounds of a bucket."""
        if bucket < self._linear_buckets:
            return bucket * self.step, (bucket + 1) * self.step
        number = bucket - self._linear_buckets
        upper = self._log_from * 10 ** (number / _PER_DECADE)
        return (0.0 if number == 0 else self._log_from * 10 ** ((number - 1) / _PER_DECADE)), upper

    @property
    def _log_from(self) -> float:
        return self.linear_until or _SHORTEST_S


STAGES = Scale()
"""Of stages, which take from a millisecond to hours."""

AGES = Scale(step=0.1, linear_until=10.0)
"""Of an order's age: even steps over the window, so that the margin can be drawn."""


def percentile(counts: Mapping[int, int], share: float, scale: Scale) -> float | None:
    """The value below which this share of all values is, in seconds; None without any.

    It lies in the right bucket, and is interpolated there.
    """
    total = sum(counts.values())
    if total <= 0:
        return None
    wanted, before = share * total, 0
    for bucket in sorted(counts):
        if counts[bucket] > 0 and before + counts[bucket] >= wanted:
            low, high = scale.bounds(bucket)
            return low + (high - low) * max(0.0, wanted - before) / counts[bucket]
        before += counts[bucket]
    return scale.bounds(max(counts))[1]
