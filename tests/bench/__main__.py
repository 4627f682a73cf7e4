"""``python -m tests.bench``: measure everything, or some of it, and write down what came of it."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import durations, memory, receiver, steady, window, workers
from tests.bench.report import Figure, machine, plain_table, write, write_long
from tests.bench.rig import rigged

FOLDER = Path("deploy/docs/benchmarks")


class Bench:
    """The parts, by name."""

    def __init__(self, durations: durations.Lengths) -> None:
        self._lengths = durations
        self._began = time.monotonic()
        self.details: dict[str, Any] = {}
        self.parts: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
            "receiver": lambda: receiver.measure(durations, self.tell),
            "window": lambda: window.measure(durations, self.tell),
            "worker": lambda: workers.measure(durations, self.tell, self.details),
            "stores": lambda: workers.measure_stores(durations, self.tell),
            "memory": lambda: memory.measure(durations, self.tell, self.details),
            "steady": lambda: steady.measure(durations, self.tell, self.details),
        }

    def tell(self, progress: str) -> None:
        """Say what is being measured."""
        print(f"{time.monotonic() - self._began:5.0f} s  {progress}", file=sys.stderr, flush=True)  # noqa: T201

    async def run(self, names: list[str]) -> list[Figure]:
        """Measure these parts, one after the other."""
        figures = [figure for name in names for figure in await self.parts[name]()]
        self.tell("done")
        return figures


async def _redis_version() -> str:
    async with rigged(stores=1) as rig:
        return str((await rig.redis.info("server"))["redis_version"])


def main() -> None:
    """Measure, print a table, and write it down where all was measured in full."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", action="append", metavar="PART", help="this part; may be given several times")
    which.add_argument("--long", action="store_true", help="a worker through 100,000 orders, and nothing else")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures say little")
    parser.add_argument("--write", type=Path, metavar="DIR", help=f"where to write; all in full and --long: {FOLDER}")
    given = parser.parse_args()
    bench = Bench(durations.QUICK if given.quick else durations.LONG if given.long else durations.FULL)
    names = ["steady"] if given.long else given.only or list(bench.parts)
    if unknown := set(names) - bench.parts.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}, only {', '.join(bench.parts)}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(bench.run(names))
        where = machine(runner.run(_redis_version()))
    print(plain_table(figures))  # noqa: T201
    folder = given.write or (None if given.only or given.quick else FOLDER)
    if folder and given.long:
        folder /= "long"
        write_long(folder, figures, bench.details[steady.MEMORY], where)
    elif folder:
        write(folder, figures, bench.details, where)
    if folder:
        bench.tell(f"written into {folder}")


if __name__ == "__main__":
    main()
