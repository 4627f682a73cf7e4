"""One scenario in figures, and the table of all scenarios."""

import os
import platform
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

BEGIN, END = "<!-- chaos:begin -->", "<!-- chaos:end -->"

INTRODUCTION = """# Operations

## Failure modes
"""

_HEAD = (
    ("scenario", "---"),
    ("orders", "---:"),
    ("created in the window", "---:"),
    ("updated", "---:"),
    ("lost", "---:"),
    ("doubled", "---:"),
    ("overwritten", "---:"),
    ("worst age at create", "---:"),
    ("429s", "---:"),
    ("", "---"),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of the orders of one scenario.

    ``creatable`` are those that could be created: the others' records were there from the start, with a PO of the
    buyer's own. ``evidence`` is for the eyes of whoever has to find out why a promise was broken.
    """

    scenario: str
    orders: int
    creatable: int
    created: int
    updated: int
    lost: int
    doubled: int
    overwritten: int
    worst_age_s: float | None
    over_quota: int
    remark: str = ""
    evidence: str = field(default="", repr=False)

    def assert_kept(self) -> None:
        """What must hold whatever dies: nothing lost, nothing doubled, nothing overwritten."""
        assert (self.lost, self.doubled, self.overwritten) == (0, 0, 0), f"{self}\n{self.evidence}"

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            self.scenario,
            str(self.orders),
            f"{self.created} of {self.creatable}",
            str(self.updated),
            str(self.lost),
            str(self.doubled),
            str(self.overwritten),
            "" if self.worst_age_s is None else f"{self.worst_age_s:.1f} s",
            str(self.over_quota),
            self.remark,
        )

    def __str__(self) -> str:
        named = zip((name for name, _ in _HEAD[1:-1]), self.cells[1:-1], strict=True)
        told = ", ".join(f"{name} {value}" for name, value in named if value)
        return f"{self.scenario}: {told}" + (f"; {self.remark}" if self.remark else "")


Report = Callable[[Figures], None]
"""Tells the figures of a scenario and holds them against the promise."""


def table(rows: Iterable[Figures]) -> str:
    """All scenarios as a table in Markdown."""
    head = [tuple(name for name, _ in _HEAD), tuple(line for _, line in _HEAD)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*head, *(row.cells for row in rows)])


def section(rows: Iterable[Figures], command: str) -> str:
    """The text between the markers on the page."""
    return f"{BEGIN}\n`{command}` on {_machine()}:\n\n{table(rows)}\n{END}"


def write_section(page: Path, text: str) -> None:
    """Write it between the markers; they are added at the end of a page that has none yet."""
    before = page.read_text() if page.exists() else INTRODUCTION
    if BEGIN not in before:
        before = f"{before}\n{BEGIN}\n{END}\n"
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(between.sub(lambda _: text, before, count=1))


def _machine() -> str:
    model = re.search(r"^model name\s*:\s*(.*)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    cores = f"{os.cpu_count()} cores" + (f" of an {model[1].strip()}" if model else "")
    return f"{cores}, {platform.system()}, Python {platform.python_version()}"


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
