"""The counters of a period, or of several together, and what they say. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.order_entry import Stage, Status
from service.orders.statistics.histogram import AGES, STAGES, Scale, percentile

OUTCOMES = tuple(status.value for status in Status if status.is_final)

_OUTCOME_COUNTERS = tuple(f"o:{outcome}" for outcome in OUTCOMES)

OUTCOMES_AND_WINDOW = (*_OUTCOME_COUNTERS, "w:made", "w:missed")
"""The counters behind ``orders``, ``outcomes``, ``made``, ``missed`` and ``share_in_window``."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lie in each bucket of a scale."""

    counts: Mapping[int, int]
    scale: Scale

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())

    def percentile(self, share: float) -> float | None:
        """The value below which this share of all values is, in seconds; None without any."""
        return percentile(self.counts, share, self.scale)

    def bars(self) -> list[tuple[float, float, int]]:
        """Each bucket that has values: its bounds in seconds, and how many."""
        return [(*self.scale.bounds(bucket), self.counts[bucket]) for bucket in sorted(self.counts)]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Counters by name; ``counting`` explains the names. Unknown ones, of another version, are ignored."""

    counters: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def total(cls, parts: Iterable["Aggregate"]) -> "Aggregate":
        """Several aggregates added up."""
        found: Counter[str] = Counter()
        for part in parts:
            found.update(part.counters)
        return cls(found)

    @property
    def orders(self) -> int:
        """How many orders were finished."""
        return sum(self.outcome_counts)

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Orders by outcome, as they stand now; the most frequent one first."""
        pairs = [(name, count) for name, count in zip(OUTCOMES, self.outcome_counts, strict=True) if count]
        return dict(sorted(pairs, key=itemgetter(1), reverse=True))

    @property
    def outcome_counts(self) -> tuple[int, ...]:
        """How many orders have each of ``OUTCOMES``."""
        # Each is looked up by its name: a page has this of hundreds of hours.
        get = self.counters.get
        return tuple([max(0, get(name, 0)) for name in _OUTCOME_COUNTERS])

    @property
    def verified(self) -> Mapping[str, int]:
        """Written orders whose record showed all values (``yes``), or did not (``no``)."""
        return self._named("v:")

    @property
    def failures(self) -> Mapping[str, int]:
        """Failed orders by reason. Long reasons are cut; those of too many different ones are ``other``."""
        return self._named("r:failed:")

    @property
    def skips(self) -> Mapping[str, int]:
        """Skipped orders by reason."""
        return self._named("r:skipped:")

    @property
    def made(self) -> int:
        """Orders whose record our Create made inside the window."""
        return self.counters.get("w:made", 0)

    @property
    def over_storefront(self) -> int:
        """Orders whose record our Create made over the storefront API."""
        return self.counters.get("c:storefront", 0)

    @property
    def missed(self) -> int:
        """Orders that were written, but not by a Create inside the window."""
        return self.counters.get("w:missed", 0)

    @property
    def merged(self) -> int:
        """Orders written for a store that lets the platform make the record first. They do not count in the share."""
        return self.counters.get("w:merged", 0)

    @property
    def share_in_window(self) -> float | None:
        """The part of ``made`` in ``made`` and ``missed``; None if there are none."""
        counted = self.made + self.missed
        return self.made / counted if counted else None

    @property
    def misses(self) -> Mapping[str, int]:
        """Missed windows by reason."""
        return self._named("l:")

    @property
    def create_ages(self) -> Histogram:
        """Ages of the orders when Create an Order was sent."""
        return self._histogram("a:", AGES)

    @property
    def margins(self) -> list[tuple[float, float, int]]:
        """What was left of the window when Create was sent: bounds in seconds (negative: too late), and how many."""
        bars = self.create_ages.bars()
        return [(WINDOW_LENGTH_S - high, WINDOW_LENGTH_S - low, count) for low, high, count in reversed(bars)]

    @property
    def merge_ages(self) -> Histogram:
        """Ages of the orders of stores that merge when our Update was answered."""
        return self._histogram("g:", AGES)

    @property
    def webhook_delays(self) -> Histogram:
        """Ages of the orders when their webhook arrived."""
        return self._histogram("d:", AGES)

    @property
    def stages(self) -> Mapping[Stage, Histogram]:
        """The time from the previous stage to each stage, for the stages that orders have reached."""
        found = {stage: self._histogram(f"s:{stage.value}:", STAGES) for stage in Stage}
        return {stage: histogram for stage, histogram in found.items() if histogram.counts}

    def _named(self, prefix: str) -> dict[str, int]:
        found = {name[len(prefix) :]: count for name, count in self.counters.items() if name.startswith(prefix)}
        return dict(sorted(((name, count) for name, count in found.items() if count > 0), key=lambda each: -each[1]))

    def _histogram(self, prefix: str, scale: Scale) -> Histogram:
        named = self._named(prefix)
        return Histogram({int(bucket): count for bucket, count in named.items() if bucket.isdecimal()}, scale)
