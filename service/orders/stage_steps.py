"""The steps of an order's window: how long it took from each stage to the next, and which step took longest."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from service.orders.state.order_entry import Entry, Stage


class Step(NamedTuple):
    """The time from the previous stage to this one. ``begun`` and ``reached`` are seconds since the order."""

    stage: Stage
    begun: float
    reached: float

    @property
    def seconds(self) -> float:
        return self.reached - self.begun


def steps_of(entry: Entry) -> list[Step]:
    """The steps sorted by time: an order that was queued again may not pass the stages in their order."""
    ages = {stage: age for stage in Stage if (age := entry.age_at(stage)) is not None}
    reached = sorted(ages, key=lambda stage: ages[stage])
    first = [Step(stage, ages[stage], ages[stage]) for stage in reached[:1]]
    return first + [Step(after, ages[before], ages[after]) for before, after in pairwise(reached)]


def longest_of(steps: Sequence[Step]) -> Step | None:
    return max(steps[1:], key=lambda step: step.seconds, default=None)


def stage_name(stage: Stage) -> str:
    """The stage in words."""
    return stage.value.replace("_", " ")
