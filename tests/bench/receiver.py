"""The receiver's throughput and latency, beside a bare route on the same server."""

from collections.abc import Callable
from itertools import count
from statistics import median
from typing import Any

from tests.bench.durations import Durations
from tests.bench.report import Figure, Target
from tests.bench.rig.processes import HOST, STORES, Rig, free_port_number, rigged, run_module, wait_until_up

OPEN_PER_S = 240
CONNECTIONS = 32
# More than any receiver accepts in the time: a closed loop must not run out of webhooks.
_MOST_PER_S = 15_000

_LATENCIES = {"p50": Target("value", "≤", 3), "p95": Target("value", "≤", 6), "p99": None}


async def measure(durations: Durations, report: Callable[[str], None]) -> list[Figure]:
    """Measure the closed and the open loop, each alternating with the floor."""
    async with rigged(stores=STORES) as rig:
        _, ours = await rig.start_receiver()
        floor = await _start_floor(rig)
        # Each order once: a second webhook would be a duplicate.
        first_ids = count(1, 10_000_000)

        async def send(url: str, mode: str, number: int, *options: str) -> dict[str, Any]:
            where = (f"--url={url}", f"--stores={','.join(rig.stores)}", f"--connections={CONNECTIONS}")
            which = (f"--count={number}", f"--first-id={next(first_ids)}")
            return await run_module(rig, "tests.bench.rig.load", mode, *where, *which, *options)

        closed: dict[str, list[float]] = {ours: [], floor: []}
        for number in range(durations.rounds):
            report(f"receiver: closed loop, round {number + 1} of {durations.rounds}")
            for url, rates in closed.items():
                most = int(durations.closed_s * _MOST_PER_S)
                answer = await send(url, "closed", most, f"--seconds={durations.closed_s}")
                rates.append(answer["per_s"])

        opened: dict[str, list[dict[str, Any]]] = {ours: [], floor: []}
        for number in range(durations.rounds):
            report(f"receiver: {OPEN_PER_S} webhooks/s, round {number + 1} of {durations.rounds}")
            for url, latencies in opened.items():
                latencies.append(await send(url, "open", int(durations.open_s * OPEN_PER_S), f"--per-s={OPEN_PER_S}"))

    return [
        Figure(
            "receiver",
            f"accepted, closed loop, {CONNECTIONS} connections",
            "webhooks/s",
            median(closed[ours]),
            median(closed[floor]),
            Target("ratio", "≥", 0.7),
        ),
        *(
            Figure(
                "receiver",
                f"latency at {OPEN_PER_S} webhooks/s, {name}",
                "ms",
                median(latencies[name] for latencies in opened[ours]),
                median(latencies[name] for latencies in opened[floor]),
                target,
            )
            for name, target in _LATENCIES.items()
        ),
    ]


async def _start_floor(rig: Rig) -> str:
    port = free_port_number()
    process = rig.start("floor", "tests.bench.floors", "receiver", f"--port={port}")
    await wait_until_up(f"http://{HOST}:{port}/readyz", process, rig.client)
    return f"http://{HOST}:{port}/webhooks/bigcommerce"
