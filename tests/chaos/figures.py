"""The figures of one scenario, and the table of all scenarios."""

import os
import platform
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
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
    """The results of one scenario's orders.

    ``creatable`` counts the orders that could be created: the others had a record from the start, with the buyer's
    own PO. ``evidence`` helps to find out why a promise was broken.
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

    def assert_promises(self) -> None:
        """Assert what must hold in every scenario: nothing lost, doubled or overwritten."""
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
        text = ", ".join(f"{name} {value}" for name, value in named if value)
        return f"{self.scenario}: {text}" + (f"; {self.remark}" if self.remark else "")


Report = Callable[[Figures], None]
"""Reports the figures of a scenario, and asserts what must hold."""


def worst_of_each(rows: Iterable[Figures]) -> list[Figures]:
    """One row for each scenario: of those that ran several times, the worst run."""
    runs: dict[str, list[Figures]] = {}
    for row in rows:
        runs.setdefault(row.scenario, []).append(row)
    return [_worst(each) for each in runs.values()]


def _worst(runs: list[Figures]) -> Figures:
    worst = max(runs, key=_badness)
    return worst if len(runs) == 1 else replace(worst, remark=f"worst of {len(runs)}: {worst.remark}")


def _badness(row: Figures) -> tuple[int, float]:
    """Broken promises first, then the share that missed the window."""
    return row.lost + row.doubled + row.overwritten, 1 - row.created / max(1, row.creatable)


def table(rows: Iterable[Figures]) -> str:
    """All scenarios as a table in Markdown."""
    head = [tuple(name for name, _ in _HEAD), tuple(line for _, line in _HEAD)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*head, *(row.cells for row in rows)])


def section(rows: Iterable[Figures], command: str) -> str:
    """The text between the markers on the page."""
    return f"{BEGIN}\n`{command}` on {_machine()}:\n\n{table(rows)}\n{END}"


def write_section(page: Path, text: str) -> None:
    """Replace the text between the markers, which are added at the end if they are missing."""
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
