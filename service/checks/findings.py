"""The findings of a check, one line each."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """The severity of a finding: an error prevents orders from being enriched, a warning may."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


def counted(number: int, thing: str) -> str:
    """A number with its noun: ``1 store``, ``2 stores``."""
    return f"{number} {thing}{'s' * (number != 1)}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. ``subject`` is what was checked (``access_token``, ``rule "Cost Center"``), ``cure`` how to fix it.

    ``store`` is None when it concerns the whole file. It never contains a secret or a shopper's text.
    """

    level: Level
    store: str | None
    subject: str
    message: str
    cure: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON keys and values, for scripts."""
        return asdict(self) | {"level": self.level.value}
