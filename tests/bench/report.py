"""What the bench found out: figures beside their floors and targets, as a table, as JSON and as a plot."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

_HEAD = ("part", "figure", "value", "floor", "ratio", "target", "met", "")
_RULE = ("---", "---", "---:", "---:", "---:", "---:", "---", "---")

INTRODUCTION = """# Benchmarks

Written by `make bench`, which takes some nine minutes and wants a machine that does nothing else. One figure takes
longer, a worker's memory through 100,000 orders: [it has a page of its own](long/README.md).

"""

LONG_INTRODUCTION = """# A worker through 100,000 orders

Written by `make bench-long`, which takes some eighteen minutes: the part *steady* of
[the benchmarks](../README.md), ten times as long.

"""

HOW = """
## How it was measured

Receiver, workers, Redis (the one that `enrich up` brings, over its Unix socket) and a stand-in for BigCommerce were
processes of their own; so were the load generator and the floors. A *floor* is the least that any program on the same
libraries has to do, measured within the same minute and in turns with ours, medians taken: for the receiver a bare
route under the same server that reads the body and does one SET; for the worker a bare loop of httpx that makes the
calls that ours made, in the same shares. With 200 orders in hand, as ours has, httpx makes less than half of the calls
that it makes with two, so it has two; with 200 the same loop runs over our own connections. A *ratio* is the value
divided by its floor.

- **receiver**: signed webhooks of different orders, over 32 connections; in the closed loop each connection sends
  the next one when the last was answered, in the open loop they leave at fixed moments, from which latency counts.
- **window**: from the sending of a webhook to the arrival of the order's Create at BigCommerce, less the time that
  BigCommerce itself took to answer the one read between them (150 ms): 10 orders a second.
- **worker**: BigCommerce answers at once and its quotas do not bind; orders a second that were created, read back and
  found right, over 20 stores, with some 200 orders in hand that were not yet created;
  from the first one's webhook until the last one was found right.
- **stores**: the same with 1,000 stores in the stores file, and with 10,000 orders in recovery that are not yet due;
  the floor is the same run without them.
- **memory**: what the process has in RAM; in Redis, what `used_memory` grew by, without the buffers of connections;
  commands by `MONITOR`, those within scripts left out and those of a worker that has nothing to do taken off.
- **steady**: one worker through 100 s of an even load, as many stores give it; the orders of 45 s before are looked at
  once more meanwhile, which the short runs above do not come to.

Every order that a worker was given was asserted to have been created once, with its own values, and verified.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should reach: its value, or its ratio to the floor, is to be at most or at least ``limit``."""

    of: Literal["value", "ratio"]
    sign: Literal["≤", "≥"]
    limit: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured. ``void`` says why its target cannot be judged here."""

    part: str
    name: str
    unit: str
    value: float
    floor: float | None = None
    target: Target | None = None
    void: str = ""
    remark: str = ""

    @property
    def ratio(self) -> float | None:
        """The value in floors."""
        return self.value / self.floor if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none, or it cannot be judged."""
        if self.target is None or self.void:
            return None
        measured = self.ratio if self.target.of == "ratio" else self.value
        assert measured is not None, f"{self.name} has no floor"
        return measured <= self.target.limit if self.target.sign == "≤" else measured >= self.target.limit

    @property
    def cells(self) -> tuple[str, ...]:
        """The figure as a row."""
        target = self.target
        unit = f" {self.unit}" if self.unit else ""
        return (
            self.part,
            self.name,
            f"{_number(self.value)}{unit}",
            "" if self.floor is None else _number(self.floor),
            "" if self.ratio is None else f"{self.ratio:.2f}",
            "" if target is None else f"{'ratio ' if target.of == 'ratio' else ''}{target.sign} {target.limit:g}",
            "not judged" if self.void else {None: "", True: "yes", False: "**no**"}[self.met],
            "; ".join(filter(None, [self.void, self.remark])),
        )

    def to_json(self) -> dict[str, Any]:
        """All of it, with what follows from it."""
        target = self.target and {"of": self.target.of, "sign": self.target.sign, "limit": self.target.limit}
        return {
            "part": self.part,
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "floor": self.floor,
            "ratio": self.ratio,
            "target": target,
            "met": self.met,
            "void": self.void,
            "remark": self.remark,
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def table(figures: Iterable[Figure]) -> str:
    """The figures as a table in Markdown."""
    rows = [_HEAD, _RULE, *(figure.cells for figure in figures)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def plain_table(figures: Iterable[Figure]) -> str:
    """The same for a terminal."""
    rows = [_HEAD, *(figure.cells for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    to_the_right = [rule.endswith(":") for rule in _RULE]
    lines = (
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, to_the_right, strict=True)
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines).replace("**", "")


def machine(redis_version: str) -> dict[str, str]:
    """Where and when this was measured."""
    model = re.search(r"^model name\s*:\s*(.*)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    return {
        "CPU": model[1].strip() if model else platform.processor(),
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "Python": platform.python_version(),
        "Redis": redis_version,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
    }


def write(folder: Path, figures: Sequence[Figure], details: Mapping[str, Any], where: Mapping[str, str]) -> None:
    """README.md, results.json and results.svg of the whole bench."""
    from tests.bench.plot import plot  # matplotlib is there for `make bench` only

    _write_page(folder, INTRODUCTION, figures, where, "Ours beside floors and targets", HOW)
    results = {"machine": dict(where), "figures": [figure.to_json() for figure in figures], "details": dict(details)}
    (folder / "results.json").write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    plot(figures, folder / "results.svg")


def write_long(
    folder: Path, figures: Sequence[Figure], memory: Sequence[tuple[int, float]], where: Mapping[str, str]
) -> None:
    """README.md and results.svg of the long run; ``memory`` is the worker's, in MB, by the number of orders."""
    from tests.bench.plot import plot_memory

    _write_page(folder, LONG_INTRODUCTION, figures, where, "Memory by the number of orders", "")
    plot_memory(memory, folder / "results.svg")


def _write_page(
    folder: Path, introduction: str, figures: Sequence[Figure], where: Mapping[str, str], picture: str, how: str
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    told = ", ".join(f"{name} {value}" for name, value in where.items())
    text = f"{introduction}{told}.\n\n{table(figures)}\n\n![{picture}](results.svg)\n{how}"
    (folder / "README.md").write_text(text)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _commit() -> str:
    try:
        git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
