"""The workers: how many orders a second they bring to their verified end, beside a bare loop of the same calls."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from service.orders.entry import Entry
from service.orders.jobs import RECONCILE
from service.orders.places import Places
from service.redisdb import connect
from tests.bench.feeder import IN_HAND, Feeder, verified_per_s
from tests.bench.floors import Mix
from tests.bench.lengths import Lengths
from tests.bench.report import Figure, Target
from tests.bench.rig import STORES, Counts, Rig, rigged, run_module

_ENOUGH_CORES = 4
"""Two workers, Redis, the upstream and the feeder: with fewer, two workers share what one has for itself."""

_LATER_S = 3600.0
_RECONCILE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run: orders a second, what the upstream counted meanwhile, and the floor that was measured next."""

    per_s: float
    counts: Counts
    floor_per_s: float | None


async def measure(lengths: Lengths, tell: Callable[[str], None], details: dict[str, Any]) -> list[Figure]:
    """One worker process, its floor, and two."""
    one, two = [], []
    for number in range(lengths.rounds):
        tell(f"worker: one process and its floor, round {number + 1} of {lengths.rounds}")
        one.append(await _run(lengths, with_floor=True))
        tell(f"worker: two processes, round {number + 1} of {lengths.rounds}")
        two.append(await _run(lengths, workers=2))
    counts = one[-1].counts
    details["upstream calls per order"] = {name: calls / counts.created for name, calls in counts.calls.items()}
    details["rows per list"] = {name: rows / max(1, counts.calls[name]) for name, rows in counts.rows.items()}
    cores = os.cpu_count() or 1
    rate = median(run.per_s for run in one)
    floor = median(run.floor_per_s for run in one if run.floor_per_s)
    return [
        Figure("worker", "verified, one process", "orders/s", rate, floor, Target("ratio", "≥", 0.7)),
        Figure(
            "worker",
            "verified, two processes (floor: one)",
            "orders/s",
            median(run.per_s for run in two),
            rate,
            Target("ratio", "≥", 1.7),
            void="" if cores >= _ENOUGH_CORES else f"{cores} cores are too few for two workers and all else",
        ),
    ]


async def measure_stores(lengths: Lengths, tell: Callable[[str], None]) -> list[Figure]:
    """Many stores in the file, and many orders that are not yet due, each beside a run without."""
    plain, crowded, waiting = [], [], []
    for number in range(lengths.rounds):
        of = f"round {number + 1} of {lengths.rounds}"
        tell(f"stores: {STORES} stores, no backlog, {of}")
        plain.append(await _run(lengths))
        tell(f"stores: {lengths.stores:,} stores, {of}")
        crowded.append(await _run(lengths, stores=lengths.stores))
        tell(f"stores: a backlog of {lengths.backlog:,}, {of}")
        waiting.append(await _run(lengths, backlog=lengths.backlog))
    usual = median(run.per_s for run in plain)
    within = Target("ratio", "≥", 0.9)
    return [
        Figure(
            "stores",
            f"verified, {lengths.stores:,} stores, orders of {STORES}",
            "orders/s",
            median(run.per_s for run in crowded),
            usual,
            within,
        ),
        Figure(
            "stores",
            f"verified, {lengths.backlog:,} in recovery, due later",
            "orders/s",
            median(run.per_s for run in waiting),
            usual,
            within,
        ),
    ]


async def _run(
    lengths: Lengths, *, workers: int = 1, stores: int = STORES, backlog: int = 0, with_floor: bool = False
) -> Run:
    async with rigged(stores=stores, fed=STORES) as rig:
        if backlog:
            await _fill(rig, backlog)
        processes, feeder = await rig.start_workers(workers), Feeder(rig)
        await feeder.feed(lengths.warm_up_s)
        await feeder.all_verified()
        await _spread_chores(rig)

        before, begin = await rig.counts(), time.time()
        await feeder.feed(lengths.worker_s)
        entries = await feeder.all_verified()
        counts = (await rig.counts()).since(before)
        for process in processes:
            await process.stop()
        floor_per_s = await _floor(rig, counts, lengths) if with_floor else None
        return Run(verified_per_s(entries, begin), counts, floor_per_s)


async def _floor(rig: Rig, counts: Counts, lengths: Lengths) -> float:
    """Orders a second of the bare loop, in stores of its own."""
    answer = await run_module(
        rig,
        "tests.bench.floors",
        "worker",
        f"--url={rig.upstream_url}",
        f"--stores={','.join(f'floor{number}' for number in range(len(rig.stores)))}",
        f"--mix={json.dumps(asdict(Mix.of(counts.created, counts.calls, counts.rows)))}",
        f"--in-hand={IN_HAND}",
        f"--seconds={lengths.worker_s}",
        f"--warm-up={lengths.warm_up_s}",
    )
    return float(answer["per_s"])


async def _fill(rig: Rig, count: int) -> None:
    """Put orders into recovery that are due in an hour."""
    async with connect(rig.redis_url) as redis:
        places = Places(redis)
        for number in range(count):
            await places.recover(Entry(rig.stores[number % len(rig.stores)], 50_000_000 + number), _LATER_S)


async def _spread_chores(rig: Rig) -> None:
    """Have the stores reconciled evenly over the next minute, as they are in the long run, not all at its end."""
    now = time.time()
    due = {
        RECONCILE.id(f"s{number}"): int((now + _RECONCILE_EVERY_S * number / rig.configured) * 1000)
        for number in range(rig.configured)
    }
    await rig.redis.zadd(RECONCILE.queue, due, xx=True)
