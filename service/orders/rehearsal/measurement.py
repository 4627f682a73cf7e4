"""What a rehearsal measured, one line each."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from service.orders.facts.fact import MEASURES, Fact, Value


class Verdict(StrEnum):
    """How what was found compares with BigCommerce's documentation."""

    AS_DOCUMENTED = "as documented"
    DIFFERS = "differs"
    NOT_DOCUMENTED = "not documented"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line: what was measured, what is documented, what was found, and the facts that follow from it.

    It has no text of a buyer's and no secret.
    """

    subject: str
    documented: str
    found: str
    verdict: Verdict
    facts: Mapping[Fact, Value] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The line for scripts."""
        return asdict(self) | {"verdict": self.verdict.value, "facts": {str(f): v for f, v in self.facts.items()}}


def not_measured(subject: str, documented: str, why: str) -> Measurement:
    """The line where something could not be measured, and why."""
    return Measurement(subject, documented, why, Verdict.NOT_MEASURED)


def compared(*, as_documented: bool) -> Verdict:
    """The verdict where the documentation says something."""
    return Verdict.AS_DOCUMENTED if as_documented else Verdict.DIFFERS


def facts_of(measurements: list[Measurement]) -> dict[Fact, Value]:
    """The facts of all lines. Of an extreme that several lines have, the farthest counts."""
    facts: dict[Fact, Value] = {}
    for measurement in measurements:
        for fact, value in measurement.facts.items():
            earlier = facts.get(fact)
            if isinstance(earlier, int | float) and isinstance(value, int | float):
                value = min(earlier, value) if MEASURES[fact] == "lowest" else max(earlier, value)
            facts[fact] = value
    return facts
