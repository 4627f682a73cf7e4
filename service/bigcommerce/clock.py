"""Estimates the upstream's clock from the ``Date`` header of its answers.

``Date`` is truncated to whole seconds. So a call sent at local time ``sent_at`` and answered at ``answered_at`` with
``date`` bounds the skew (upstream minus local):

    date - answered_at  <=  skew  <  date + 1 - sent_at

One answer leaves an uncertainty of more than a second. Several, sent at different points of a second, reduce it to
little more than the fastest round trip. Both APIs share one estimate: their servers' clocks are synchronized.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

MAX_SAMPLES = 64
SAMPLE_EVERY_S = 0.03
"""In a burst, samples of the same moment say the same: kept ones are so far apart, unless they narrow the bounds."""

TOLERANCE_S = 0.1
"""The gap allowed between bounds: servers behind one name differ by some milliseconds, and clocks drift."""

OUTLIERS_FOR_STEP = 3
"""This many outliers in a row that agree with each other mean that a clock was stepped."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lower and upper bound of the skew, in seconds."""

    low: float
    high: float

    @classmethod
    def intersection(cls, samples: "deque[Bounds] | list[Bounds]") -> "Bounds":
        """The bounds that all samples allow; ``low`` is above ``high`` when the samples contradict each other."""
        return cls(max(sample.low for sample in samples), min(sample.high for sample in samples))

    def agrees_with(self, other: "Bounds") -> bool:
        """Whether one clock can satisfy both, within the tolerance."""
        return max(self.low, other.low) - min(self.high, other.high) <= TOLERANCE_S


class UpstreamClock:
    """Gives the upstream's time. Before the first answer it is the local time.

    A cached answer with an old ``Date`` contradicts the earlier samples and is ignored as an outlier. Several
    outliers in a row that agree with each other mean that a clock was stepped: they replace the samples.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._samples: deque[Bounds] = deque(maxlen=MAX_SAMPLES)
        self._outliers: list[Bounds] = []
        self._agreed: Bounds | None = None  # what all samples allow
        self._skew = 0.0
        self._sampled_at = float("-inf")

    @property
    def is_known(self) -> bool:
        """Whether any answer has given the time yet."""
        return bool(self._samples)

    @property
    def skew(self) -> float:
        """Upstream minus local time, in seconds: the middle of the bounds."""
        return self._skew

    def now(self) -> float:
        """The upstream's time in Unix seconds."""
        return self._clock() + self._skew

    def observe(self, date_header: str | None, sent_at: float, answered_at: float) -> None:
        """Take one answer as a sample. A missing or unreadable date is ignored."""
        date = _seconds(date_header)
        if date is None or answered_at < sent_at:
            return
        sample = Bounds(date - answered_at, date + 1 - sent_at)
        agreed = self._agreed or sample
        if sample.agrees_with(agreed):
            self._outliers = []
            narrows = sample.low > agreed.low or sample.high < agreed.high
            if not narrows and abs(answered_at - self._sampled_at) < SAMPLE_EVERY_S:
                return
            self._samples.append(sample)
            self._sampled_at = answered_at
        else:
            self._add_outlier(sample, agreed)
        bounds = self._agreed = Bounds.intersection(self._samples)
        self._skew = (bounds.low + bounds.high) / 2

    def _add_outlier(self, outlier: Bounds, agreed: Bounds) -> None:
        if self._outliers and not outlier.agrees_with(Bounds.intersection(self._outliers)):
            self._outliers = []
        self._outliers.append(outlier)
        # With so few samples they may be the wrong ones. A later date wins at once, as caches only give old dates.
        is_unconfirmed = len(self._samples) < OUTLIERS_FOR_STEP and outlier.low > agreed.high
        if is_unconfirmed or len(self._outliers) >= OUTLIERS_FOR_STEP:
            self._samples = deque(self._outliers, maxlen=MAX_SAMPLES)
            self._outliers = []


@lru_cache(maxsize=16)  # all answers of a second have the same header
def _seconds(date_header: str | None) -> float | None:
    try:
        date = parsedate_to_datetime(date_header) if date_header else None
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp() if date else None
    except (ValueError, OverflowError):
        return None
