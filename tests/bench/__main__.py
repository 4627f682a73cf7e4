"""``python -m tests.bench``: measure everything or some parts, and write the results."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import burst, durations, many_stores, memory, overflow, receiver, steady, window, workers
from tests.bench.console import measuring as console
from tests.bench.peers import measurement as peers
from tests.bench.report import Figure, machine, plain_table, write, write_long
from tests.bench.rig.processes import redis_version

FOLDER = Path("deploy/docs/benchmarks")

APART = ("burst", "stores")
"""Parts that are measured only when named: half an hour each. Their tables are in sizing.md."""


class Bench:
    """The parts of the bench, by name."""

    def __init__(self, lengths: durations.Durations, sizes: Sequence[int] = many_stores.SIZES) -> None:
        self._began = time.monotonic()
        self.details: dict[str, Any] = {}
        self.parts: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
            "receiver": lambda: receiver.measure(lengths, self.report),
            "window": lambda: window.measure(lengths, self.report),
            "worker": lambda: workers.measure(lengths, self.report, self.details),
            "throughput": lambda: workers.measure_stores(lengths, self.report),
            "memory": lambda: memory.measure(lengths, self.report, self.details),
            "overflow": lambda: overflow.measure(lengths, self.report),
            "peer": lambda: peers.measure(lengths, self.report, self.details),
            "steady": lambda: steady.measure(lengths, self.report, self.details),
            "burst": lambda: burst.measure(lengths, self.report),
            "stores": lambda: many_stores.measure(lengths, self.report, self.details, sizes),
            "console": lambda: console.measure(lengths, self.report, self.details),
        }

    def report(self, progress: str) -> None:
        """Print what is being measured."""
        print(f"{time.monotonic() - self._began:5.0f} s  {progress}", file=sys.stderr, flush=True)  # noqa: T201

    async def run(self, names: list[str]) -> list[Figure]:
        """Measure these parts in sequence."""
        figures = [figure for name in names for figure in await self.parts[name]()]
        self.report("done")
        return figures


def main() -> None:
    """Measure, print a table, and write the results if everything was measured in full."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", action="append", metavar="PART", help="measure only this part; can be repeated")
    which.add_argument("--long", action="store_true", help="only one worker through 100,000 orders")
    parser.add_argument(
        "--quick", action="store_true", help="a short run to see that everything works; its figures are not meaningful"
    )
    parser.add_argument(
        "--write", type=Path, metavar="DIR", help=f"where to write; default for a full run and --long: {FOLDER}"
    )
    parser.add_argument(
        "--stores", type=int, action="append", metavar="N", help="so many stores in the part `stores`; can be repeated"
    )
    given = parser.parse_args()
    lengths = durations.QUICK if given.quick else durations.LONG if given.long else durations.FULL
    bench = Bench(lengths, given.stores or many_stores.SIZES)
    names = ["steady"] if given.long else given.only or [name for name in bench.parts if name not in APART]
    if unknown := set(names) - bench.parts.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}, only {', '.join(bench.parts)}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(bench.run(names))
        where = machine(runner.run(redis_version()))
    print(plain_table(figures))  # noqa: T201
    folder = given.write or (None if given.only or given.quick else FOLDER)
    if folder and given.long:
        folder /= "long"
        write_long(folder, figures, bench.details[steady.MEMORY], where)
    elif folder:
        write(folder, figures, bench.details, where)
    if folder:
        bench.report(f"written into {folder}")


if __name__ == "__main__":
    main()
