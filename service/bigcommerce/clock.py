"""The upstream's clock, learnt from the ``Date`` header of its answers.

``Date`` holds whole seconds, cut off. An answer that was asked for at local time ``sent_at``, came in at
``answered_at`` and says ``date`` therefore bounds the skew (upstream minus local):

    date - answered_at  <=  skew  <  date + 1 - sent_at

One answer leaves more than a second of doubt; a few together, each cut off at another point of its second, leave
little more than the fastest answer took. Both APIs share one estimate: their servers keep proper time.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

SAMPLES = 64
TOLERANCE_S = 0.1
"""How far bounds may miss each other: servers behind one name differ by some milliseconds, clocks drift."""

PATIENCE = 3
"""So many answers in a row must contradict before a clock is taken to have been stepped."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The skew lies between these two, in seconds."""

    low: float
    high: float

    @classmethod
    def intersection(cls, samples: "deque[Bounds] | list[Bounds]") -> "Bounds":
        """What all samples allow; its ``low`` is above its ``high`` when they contradict each other."""
        return cls(max(sample.low for sample in samples), min(sample.high for sample in samples))

    def agrees_with(self, other: "Bounds") -> bool:
        """Whether both can be true of one clock, give or take the tolerance."""
        return max(self.low, other.low) - min(self.high, other.high) <= TOLERANCE_S


class UpstreamClock:
    """Tells the upstream's time. Before the first answer it is the local clock.

    An answer from a cache, with an old ``Date``, contradicts the answers before it and is put aside. Only when
    contradicting answers follow one another, and agree among themselves, a clock was stepped: the old ones go.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._samples: deque[Bounds] = deque(maxlen=SAMPLES)
        self._rivals: list[Bounds] = []
        self._skew = 0.0

    @property
    def is_known(self) -> bool:
        """Whether any answer has told the time."""
        return bool(self._samples)

    @property
    def skew(self) -> float:
        """Upstream minus local, in seconds: the middle of what the answers leave possible."""
        return self._skew

    def now(self) -> float:
        """The upstream's time in Unix seconds."""
        return self._clock() + self._skew

    def observe(self, date_header: str | None, sent_at: float, answered_at: float) -> None:
        """Learn from one answer. A missing or unreadable date teaches nothing."""
        date = _seconds(date_header)
        if date is None or answered_at < sent_at:
            return
        sample = Bounds(date - answered_at, date + 1 - sent_at)
        agreed = Bounds.intersection(self._samples) if self._samples else sample
        if sample.agrees_with(agreed):
            self._samples.append(sample)
            self._rivals = []
        else:
            self._consider(sample, agreed)
        bounds = Bounds.intersection(self._samples)
        self._skew = (bounds.low + bounds.high) / 2

    def _consider(self, rival: Bounds, agreed: Bounds) -> None:
        if self._rivals and not rival.agrees_with(Bounds.intersection(self._rivals)):
            self._rivals = []
        self._rivals.append(rival)
        # The first answers have nobody to vouch for them: a later one wins at once, as only old dates are kept.
        is_unproven = len(self._samples) < PATIENCE and rival.low > agreed.high
        if is_unproven or len(self._rivals) >= PATIENCE:
            self._samples = deque(self._rivals, maxlen=SAMPLES)
            self._rivals = []


def _seconds(date_header: str | None) -> float | None:
    try:
        date = parsedate_to_datetime(date_header) if date_header else None
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp() if date else None
    except (ValueError, OverflowError):
        return None
