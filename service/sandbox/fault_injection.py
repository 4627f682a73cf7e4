"""Fault injection: draws at random which faults a call has."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from service.sandbox.options import ApiName, Faults, Nonsense

T = TypeVar("T")

LostAs = Literal["504", "cut", "late"]


@dataclass(frozen=True, slots=True)
class CallFaults:
    """The faults of one call. Times are in seconds.

    ``late`` delays the response after the work was done. ``nonsense`` is answered instead of the response; the work is
    done only with ``nonsense_after_work``.
    """

    latency: float = 0.0
    hang: float = 0.0
    error: int | None = None
    lost_as: LostAs | None = None
    late: float = 0.0
    nonsense: Nonsense | None = None
    nonsense_after_work: bool = False


class FaultInjector:
    """Decides at random which call has a fault; reproducible with a seed."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not used for secrets

    def happens(self, share: float) -> bool:
        """True with this probability, 0 to 1."""
        return share > 0 and self._random.random() < share

    def draw(self, faults: Faults, api: ApiName, operation: str) -> CallFaults:
        """Draw the faults of one call."""
        if api not in faults.apis or (faults.operations and operation not in faults.operations):
            return CallFaults()
        jitter = self._random.uniform(-faults.latency_jitter, faults.latency_jitter)
        hang = faults.hang_seconds if self.happens(faults.hang_rate) else 0.0
        error = self._random.choice((500, 502, 503)) if self.happens(faults.error_rate) else None
        lost_as = self._lost_as(faults) if self.happens(faults.lost_answer_rate) else None
        is_nonsense = self.happens(faults.nonsense_rate) and bool(faults.nonsense_as)
        return CallFaults(
            latency=max(0.0, faults.latency + jitter),
            hang=hang,
            error=error,
            lost_as=lost_as,
            late=faults.hang_seconds if lost_as == "late" else 0.0,
            nonsense=self._random.choice(sorted(faults.nonsense_as)) if is_nonsense else None,
            nonsense_after_work=is_nonsense and self.happens(0.5),
        )

    def choice(self, options: Sequence[T]) -> T:
        """One of these, at random."""
        return self._random.choice(options)

    def _lost_as(self, faults: Faults) -> LostAs:
        if faults.lost_answer_as == "either":
            return self._random.choice(("504", "cut"))
        return faults.lost_answer_as
