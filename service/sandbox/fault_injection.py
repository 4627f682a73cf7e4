"""Fault injection: draws at random which faults a call has."""

import random
from dataclasses import dataclass
from typing import Literal

from service.sandbox.options import ApiName, Faults


@dataclass(frozen=True, slots=True)
class CallFaults:
    """The faults of one call. Times are in seconds."""

    latency: float = 0.0
    hang: float = 0.0
    error: int | None = None
    lost_as: Literal["504", "cut"] | None = None


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
        return CallFaults(
            latency=max(0.0, faults.latency + jitter),
            hang=faults.hang_seconds if self.happens(faults.hang_rate) else 0.0,
            error=self._random.choice((500, 502, 503)) if self.happens(faults.error_rate) else None,
            lost_as=self._lost_as(faults) if self.happens(faults.lost_answer_rate) else None,
        )

    def _lost_as(self, faults: Faults) -> Literal["504", "cut"]:
        if faults.lost_answer_as == "either":
            return self._random.choice(("504", "cut"))
        return faults.lost_answer_as
