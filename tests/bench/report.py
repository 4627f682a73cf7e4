"""The results of the bench: figures with floors and targets, as a table, as JSON and as a plot."""

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

Written by `make bench`, which takes about 28 minutes on a machine that does nothing else. A worker through
100,000 orders takes longer: [it has its own page](long/README.md).

"""

LONG_INTRODUCTION = """# A worker through 100,000 orders

Written by `make bench-long`, which takes about eighteen minutes: the part *steady* of
[the benchmarks](../README.md), ten times as long.

"""

HOW = """
## How it was measured

The receiver, the workers, Redis (the embedded one of `enrich up`, over its Unix socket), a stand-in for BigCommerce,
the load generator and the floors were separate processes. A *floor* is the minimum that any program on the same
libraries must do. It was measured within the same minute, alternating with our service; the figures are medians. For
the receiver it is a bare route on the same server that reads the body and does one SET. For the worker it is a bare
httpx loop with the same mix of calls as our worker. Our worker has 200 orders in flight; httpx makes less than half as
many calls with 200 as with two, so its loop has two. With 200 the same loop uses our own HTTP client. A *ratio* is the
value divided by its floor.

- **receiver**: signed webhooks of different orders, over 32 connections. In the closed loop each connection sends the
  next webhook when the last one was answered. In the open loop webhooks are sent at fixed times; latency counts from
  these times.
- **window**: the time from sending a webhook to the arrival of the order's Create at BigCommerce, without the 150 ms
  that BigCommerce takes to answer the read between them; at 10 orders a second.
- **worker**: orders a second that were created and verified, over 20 stores, with about 200 orders in flight. Counted
  from the first order's webhook to the last verification. BigCommerce answers at once, and its quotas do not limit.
- **throughput**: the same with 1,000 stores in the stores file, and with 10,000 orders in recovery that are not yet
  due. The floor is the same run without them.
- **memory**: the RAM of the process; the growth of Redis's `used_memory`, without the buffers of connections; commands
  counted by `MONITOR`, without those inside scripts and those of an idle worker.
- **overflow**: 300 orders of 60 buyers in a minute, with a quota of 150 calls a minute for B2B Edition and as many for
  the storefront API. Receiver and one worker are processes, BigCommerce is the sandbox with 100 ms a call. What the
  quota allows is what an ideal sender, whose calls take no time, could have created.
- **peer**: ours beside the least services that do the work, one after the other under the same load: webhooks with
  signatures over HTTP, the same stand-in, a Redis of its own for each. A peer queues each order once, reads it,
  creates its record, reads that back and notes that it is right. It has no shared budget of calls, no window, no
  second look and no log, and its orders share no calls. One is in Python, on the same libraries (Starlette, arq,
  httpx); one in Node.js without packages, left out where there is no Node.js. The targets are those beside Node.js,
  on the same machine. Time that is added is counted as in *window*, the first orders included; *created* and
  *verified* count from the first webhook of the flood to the last Create and the last verification. CPU of Redis has
  the bench's own questions in it. An *order alone* is sent when the one before it was verified, and what BigCommerce
  takes to answer the read-back is left out; the peers read back at once, ours after a quarter of a second, for reads
  may lag behind writes.
- **steady**: one worker through 100 s of constant load, as from many stores. Orders from 45 s before are re-verified
  meanwhile; the runs above are too short for that.
- **console**: ten people click for a minute, each about once a second, beside 10 webhooks a second, with 10,000 orders
  of ten stores in the ledger; then they do the same in Flower (Celery) and in rq-dashboard, which have 10,000 jobs of
  their own in the same Redis, and are run by their own commands. The time counts until the first byte of the answer.
  Where a peer's page fetches its rows by a second request, only that one's time counts, and both requests' bytes and
  commands. Bytes are those over the wire, compressed where the server does. Commands (without those inside scripts)
  and CPU are those of a page that is opened again and again by one person, while no order comes in. Flower has its
  tasks in memory, so its pages ask Redis for nothing. The console's rules page shows orders that it has read before,
  and its page of a buyer shows the button that reads from BigCommerce.

Every order was asserted to be created once, with its own values, and verified.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a figure: its value, or its ratio to the floor, must be at most or at least ``limit``."""

    of: Literal["value", "ratio"]
    sign: Literal["≤", "≥"]
    limit: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. ``void`` says why its target cannot be judged on this machine."""

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
        """The value divided by the floor."""
        return self.value / self.floor if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a target, or if it cannot be judged."""
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
        """The figure as JSON, with ratio and result."""
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
    """The value that ``percent`` percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def table(figures: Iterable[Figure]) -> str:
    """The figures as a table in Markdown."""
    rows = [_HEAD, _RULE, *(figure.cells for figure in figures)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def plain_table(figures: Iterable[Figure]) -> str:
    """The figures as a plain table for a terminal."""
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
    """The machine and the date of the measurement."""
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
    """Write README.md, results.json and results.svg of the whole bench."""
    from tests.bench.plot import plot  # matplotlib is installed for `make bench` only

    _write_page(folder, INTRODUCTION, figures, where, "Ours beside floors and targets", HOW)
    results = {"machine": dict(where), "figures": [figure.to_json() for figure in figures], "details": dict(details)}
    (folder / "results.json").write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    plot(figures, folder / "results.svg")


def write_long(
    folder: Path, figures: Sequence[Figure], memory: Sequence[tuple[int, float]], where: Mapping[str, str]
) -> None:
    """Write README.md and results.svg of the long run; ``memory`` is the worker's in MB by the number of orders."""
    from tests.bench.plot import plot_memory

    _write_page(folder, LONG_INTRODUCTION, figures, where, "Memory by the number of orders", "")
    plot_memory(memory, folder / "results.svg")


def _write_page(
    folder: Path, introduction: str, figures: Sequence[Figure], where: Mapping[str, str], picture: str, how: str
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    environment = ", ".join(f"{name} {value}" for name, value in where.items())
    text = f"{introduction}{environment}.\n\n{table(figures)}\n\n![{picture}](results.svg)\n{how}"
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
