"""What a check finds, one line each."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad a finding is: an error keeps orders from being enriched, a warning may."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


def counted(number: int, thing: str) -> str:
    """``1 store``, ``2 stores``."""
    return f"{number} {thing}{'s' * (number != 1)}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. ``subject`` says what was looked at (``token``, ``rule "Cost Center"``), ``cure`` what to do.

    ``store`` is None for what concerns the whole file. No part of it holds a secret or a shopper's words.
    """

    level: Level
    store: str | None
    subject: str
    message: str
    cure: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self) | {"level": self.level.value}
