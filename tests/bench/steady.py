"""Memory and CPU of a worker under minutes of constant load, re-verification included."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tests.bench.durations import Durations
from tests.bench.memory import MOST_MB
from tests.bench.report import Figure
from tests.bench.rig.job_feeder import JobFeeder
from tests.bench.rig.processes import cpu_s, rigged, rss_mb

STORES = 200
ORDERS_PER_S = 100

MEMORY = "memory of a worker, MB by orders"
"""The key of the samples in the details."""

_STEP_S = 0.05
_MOST_SAMPLES = 100
_REPORT_INTERVAL_S = 60.0


async def measure(durations: Durations, report: Callable[[str], None], details: dict[str, Any]) -> list[Figure]:
    """Measure one worker; CPU is counted in the second half, when earlier orders are re-verified.

    The details hold its memory (MB) by the number of orders.
    """
    async with rigged(stores=STORES, fed=STORES) as rig:
        (worker,) = await rig.start_workers()
        idle_mb, feeder = rss_mb(worker), JobFeeder(rig)
        samples: list[tuple[int, float]] = [(0, idle_mb)]
        report(f"steady: {ORDERS_PER_S} orders a second over {STORES} stores, for {durations.steady_s:.0f} s")
        count, reported_at = min(_MOST_SAMPLES, int(durations.steady_s)), time.monotonic()
        for sample in range(count):
            if sample == count // 2:
                cpu_before, fed_before = cpu_s(worker.pid), len(feeder.fed)
            await _feed(feeder, durations.steady_s / count)
            samples.append((len(feeder.fed), rss_mb(worker)))
            if time.monotonic() - reported_at > _REPORT_INTERVAL_S:
                reported_at = time.monotonic()
                report(f"steady: {len(feeder.fed):,} orders, {samples[-1][1]:.1f} MB")
        cpu_ms = (cpu_s(worker.pid) - cpu_before) / (len(feeder.fed) - fed_before) * 1000
        await feeder.all_verified()
        details[MEMORY] = samples
        load = f"{ORDERS_PER_S}/s over {STORES} stores"
        orders = f"{len(feeder.fed):,} orders, {load}"
        most_mb = max(mb for _, mb in samples)
        return [
            Figure("steady", f"worker, after {orders} (floor: idle)", "MB", samples[-1][1], idle_mb, MOST_MB),
            Figure("steady", f"worker, at most in {orders} (floor: idle)", "MB", most_mb, idle_mb, MOST_MB),
            Figure("steady", f"worker, CPU an order, {load}, second looks too", "ms of CPU", cpu_ms),
        ]


async def _feed(feeder: JobFeeder, seconds: float) -> None:
    """Feed at a constant rate, whatever the worker's progress."""
    began, fed_before = time.perf_counter(), len(feeder.fed)
    while (elapsed := time.perf_counter() - began) < seconds:
        missing = int(elapsed * ORDERS_PER_S) - (len(feeder.fed) - fed_before)
        await asyncio.gather(*(feeder.feed_one() for _ in range(missing)))
        await asyncio.sleep(_STEP_S)
