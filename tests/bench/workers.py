"""The workers' throughput: verified orders a second, beside a bare loop of the same calls."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from service.orders.state.job_kinds import RECONCILE
from service.orders.state.order_entry import Entry
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.bench.durations import Durations
from tests.bench.floors import Mix
from tests.bench.report import Figure, Target
from tests.bench.rig.job_feeder import MAX_IN_FLIGHT, JobFeeder, verified_per_s
from tests.bench.rig.processes import STORES, Counts, Rig, rigged, run_module

_ENOUGH_CORES = 4
"""For two workers, Redis, the upstream and the feeder; with fewer cores two workers share what one has alone."""

HTTPX_IN_FLIGHT = 2
"""Best for httpx: its pool checks all connections for each call, and with 200 is less than half as fast."""

_LATER_S = 3600.0
_RECONCILE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run: orders a second, the upstream's counts, and the floors that were measured after it."""

    per_s: float
    counts: Counts
    httpx_per_s: float = 0.0
    ours_per_s: float = 0.0


async def measure(durations: Durations, report: Callable[[str], None], details: dict[str, Any]) -> list[Figure]:
    """Measure one worker process, its floor, and two processes."""
    one, two = [], []
    for number in range(durations.rounds):
        report(f"worker: one process and its floor, round {number + 1} of {durations.rounds}")
        one.append(await _run(durations, with_floor=True))
        report(f"worker: two processes, round {number + 1} of {durations.rounds}")
        two.append(await _run(durations, workers=2))
    counts = one[-1].counts
    details["upstream calls per order"] = {name: calls / counts.created for name, calls in counts.calls.items()}
    details["rows per list"] = {name: rows / max(1, counts.calls[name]) for name, rows in counts.rows.items()}
    cores = os.cpu_count() or 1
    rate = median(run.per_s for run in one)
    return [
        Figure(
            "worker",
            "verified, one process (floor: bare httpx)",
            "orders/s",
            rate,
            median(run.httpx_per_s for run in one),
            Target("ratio", "≥", 0.7),
        ),
        Figure(
            "worker",
            "the same (floor: our connections, bare)",
            "orders/s",
            rate,
            median(run.ours_per_s for run in one),
        ),
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


async def measure_stores(durations: Durations, report: Callable[[str], None]) -> list[Figure]:
    """Measure many stores in the file, and many orders that are not yet due, each beside a run without them."""
    plain, crowded, waiting = [], [], []
    for number in range(durations.rounds):
        of = f"round {number + 1} of {durations.rounds}"
        report(f"throughput: {STORES} stores, no backlog, {of}")
        plain.append(await _run(durations))
        report(f"throughput: {durations.stores:,} stores, {of}")
        crowded.append(await _run(durations, stores=durations.stores))
        report(f"throughput: a backlog of {durations.backlog:,}, {of}")
        waiting.append(await _run(durations, backlog=durations.backlog))
    usual = median(run.per_s for run in plain)
    within = Target("ratio", "≥", 0.9)
    return [
        Figure(
            "throughput",
            f"verified, {durations.stores:,} stores, orders of {STORES}",
            "orders/s",
            median(run.per_s for run in crowded),
            usual,
            within,
        ),
        Figure(
            "throughput",
            f"verified, {durations.backlog:,} in recovery, due later",
            "orders/s",
            median(run.per_s for run in waiting),
            usual,
            within,
        ),
    ]


async def _run(
    durations: Durations, *, workers: int = 1, stores: int = STORES, backlog: int = 0, with_floor: bool = False
) -> Run:
    async with rigged(stores=stores, fed=STORES) as rig:
        if backlog:
            await _fill(rig, backlog)
        processes, feeder = await rig.start_workers(workers), JobFeeder(rig)
        await feeder.feed(durations.warm_up_s)
        await feeder.all_verified()
        await _spread_reconciles(rig)

        before, begin = await rig.counts(), time.time()
        await feeder.feed(durations.worker_s)
        entries = await feeder.all_verified()
        counts = (await rig.counts()).since(before)
        for process in processes:
            await process.stop()
        run = Run(verified_per_s(entries, begin), counts)
        if with_floor:
            httpx_per_s = await _floor(rig, counts, durations, "httpx", f"--in-flight={HTTPX_IN_FLIGHT}")
            ours_per_s = await _floor(rig, counts, durations, "ours", f"--in-flight={MAX_IN_FLIGHT}", "--our-client")
            run = replace(run, httpx_per_s=httpx_per_s, ours_per_s=ours_per_s)
        return run


async def _floor(rig: Rig, counts: Counts, durations: Durations, name: str, *options: str) -> float:
    """Run the bare loop in its own stores; returns orders a second."""
    answer = await run_module(
        rig,
        "tests.bench.floors",
        "worker",
        f"--url={rig.upstream_url}",
        f"--stores={','.join(f'{name}{number}' for number in range(len(rig.stores)))}",
        f"--mix={json.dumps(asdict(Mix.of(counts.created, counts.calls, counts.rows)))}",
        f"--seconds={durations.worker_s}",
        f"--warm-up={durations.warm_up_s}",
        *options,
    )
    return float(answer["per_s"])


async def _fill(rig: Rig, count: int) -> None:
    """Put orders into recovery that are due in an hour."""
    async with connect(rig.redis_url) as redis:
        transitions = Transitions(redis)
        for number in range(count):
            await transitions.to_recovery(Entry(rig.stores[number % len(rig.stores)], 50_000_000 + number), _LATER_S)


async def _spread_reconciles(rig: Rig) -> None:
    """Spread the stores' reconcile jobs over the next minute, as in normal operation."""
    now = time.time()
    due = {
        RECONCILE.id(f"s{number}"): int((now + _RECONCILE_EVERY_S * number / rig.configured) * 1000)
        for number in range(rig.configured)
    }
    await rig.redis.zadd(RECONCILE.queue, due, xx=True)
