"""A worker through minutes of an even load, as many stores give it: its memory and its CPU, second looks and all."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.feeder import Feeder
from tests.bench.lengths import Lengths
from tests.bench.report import Figure, Target
from tests.bench.rig import rigged, rss_mb
from tests.fakes.deployment import Process

STORES = 200
ORDERS_PER_S = 100

_STEP_S = 0.05


async def measure(lengths: Lengths, tell: Callable[[str], None]) -> list[Figure]:
    """One worker; CPU is counted in the second half, when orders of before are looked at once more."""
    async with rigged(stores=STORES, fed=STORES) as rig:
        (worker,) = await rig.start_workers()
        idle_mb, feeder = rss_mb(worker), Feeder(rig)
        tell(f"steady: {ORDERS_PER_S} orders a second over {STORES} stores, for {lengths.steady_s:.0f} s")
        await _feed(feeder, lengths.steady_s / 2)
        cpu_before, fed_before = _cpu_s(worker), len(feeder.fed)
        await _feed(feeder, lengths.steady_s / 2)
        cpu_ms = (_cpu_s(worker) - cpu_before) / (len(feeder.fed) - fed_before) * 1000
        after_mb = rss_mb(worker)
        await feeder.all_verified()
        load = f"{ORDERS_PER_S}/s over {STORES} stores"
        after = f"worker, after {len(feeder.fed):,} orders, {load} (floor: idle)"
        return [
            Figure("steady", after, "MB", after_mb, idle_mb, Target("value", "≤", 80)),
            Figure("steady", f"worker, CPU an order, {load}, second looks too", "ms of CPU", cpu_ms),
        ]


async def _feed(feeder: Feeder, seconds: float) -> None:
    """Feed evenly, however far the worker is."""
    began, fed_before = time.perf_counter(), len(feeder.fed)
    while (elapsed := time.perf_counter() - began) < seconds:
        missing = int(elapsed * ORDERS_PER_S) - (len(feeder.fed) - fed_before)
        await asyncio.gather(*(feeder.feed_one() for _ in range(missing)))
        await asyncio.sleep(_STEP_S)


def _cpu_s(process: Process) -> float:
    """Seconds of CPU that a process has used: the 14th and 15th field of its ``stat``."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
