"""A worker in the flood: its CPU by module and function, and what an order asks of Redis and BigCommerce."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.memory import redis_cpu_s
from tests.bench.profile.sampler import STACKS
from tests.bench.rig.job_feeder import SETTLED_S, JobFeeder, verified_per_s
from tests.bench.rig.processes import STORES, cpu_s, rigged
from tests.bench.rig.redis_exchanges import IDLE_S, Exchanges, noted, of_idle

_MOST_S = 600.0
_WARM_UP = 200

OURS = ("service", "workers")


@dataclass(frozen=True, slots=True)
class FloodProfile:
    """Rates are orders a second, CPU is ms an order, shares are of the samples of the worker's CPU time.

    ``within`` counts a function of the product with all that it calls, ``functions`` without, ``modules`` are
    libraries as a whole and the product's own modules.
    """

    orders: int
    created_per_s: float
    verified_per_s: float
    worker_ms: float
    redis_ms: float
    calls: Mapping[str, float]
    exchanges: Exchanges
    samples: int
    modules: Mapping[str, float]
    functions: Mapping[str, float]
    within: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "orders": self.orders,
            "created_per_s": self.created_per_s,
            "verified_per_s": self.verified_per_s,
            "worker_cpu_ms_an_order": self.worker_ms,
            "redis_cpu_ms_an_order": self.redis_ms,
            "bigcommerce_calls_an_order": dict(self.calls),
            "redis_exchanges_an_order": dict(self.exchanges.calls),
            "redis_us_an_order": dict(self.exchanges.us),
            "samples": self.samples,
            "cpu_share_by_module": dict(self.modules),
            "cpu_share_by_function": dict(self.functions),
            "cpu_share_within": dict(self.within),
        }


async def profile_flood(
    orders: int,
    report: Callable[[str], None],
    *,
    stores: int = STORES,
    stacks: Path | None = None,
    idle_s: float = IDLE_S,
    settled_s: float = SETTLED_S,
) -> FloodProfile:
    """Send ``orders`` through one worker twice: once to sample its CPU, once to note what Redis is asked.

    ``stacks`` is where the folded stacks are kept, for a flame graph.
    """
    async with rigged(stores=stores) as rig:
        file = rig.folder / "stacks"
        rig.environ[STACKS] = str(file)
        (worker,) = await rig.start_workers(module=("tests.bench.profile.sampler",))
        feeder = JobFeeder(rig)
        await feeder.feed(_MOST_S, most=min(_WARM_UP, orders))
        await feeder.all_verified()

        report(f"flood: the CPU of {orders:,} orders")
        calls_before, redis_before, cpu_before = await rig.counts(), await redis_cpu_s(rig), cpu_s(worker.pid)
        worker.signal(signal.SIGUSR1)
        began = time.time()
        await feeder.feed(_MOST_S, most=orders)
        created_s = time.time() - began
        entries = await feeder.all_verified()
        worker.signal(signal.SIGUSR2)
        worker_ms = (cpu_s(worker.pid) - cpu_before) / orders * 1000
        redis_ms = (await redis_cpu_s(rig) - redis_before) / orders * 1000
        calls = (await rig.counts()).since(calls_before).calls
        rate = verified_per_s(entries, began)

        report(f"flood: the exchanges with Redis of {orders:,} orders")
        idle = await of_idle(rig.redis, idle_s)
        began = time.time()
        async with noted(rig.redis) as exchanges:
            await feeder.feed(_MOST_S, most=orders)
            await feeder.settled(settled_s)
            seconds = time.time() - began
        own = exchanges.without(idle, seconds).per(orders)
        await feeder.all_verified()
        assert await worker.stop() == 0, worker.text
        folded = _read_folded(file, copy=stacks)
    total = max(1, folded.total())
    return FloodProfile(
        orders,
        orders / created_s,
        rate,
        worker_ms,
        redis_ms,
        {name: count / orders for name, count in calls.items() if count},
        own,
        folded.total(),
        *(_shares(counts, total) for counts in (by_module(folded), by_function(folded), within(folded))),
    )


def by_module(folded: Mapping[tuple[str, ...], int]) -> Counter[str]:
    """Samples by the innermost function's module: of the product each, of others the package."""
    counts = Counter[str]()
    for stack, count in folded.items():
        module = stack[-1].partition(":")[0]
        package = module.partition(".")[0]
        counts[module if package in OURS else package] += count
    return counts


def by_function(folded: Mapping[tuple[str, ...], int]) -> Counter[str]:
    """Samples by the innermost function."""
    counts = Counter[str]()
    for stack, count in folded.items():
        counts[stack[-1]] += count
    return counts


def within(folded: Mapping[tuple[str, ...], int]) -> Counter[str]:
    """Samples by each function of the product that is in the stack."""
    counts = Counter[str]()
    for stack, count in folded.items():
        for function in {each for each in stack if each.partition(".")[0] in OURS}:
            counts[function] += count
    return counts


def _read_folded(file: Path, *, copy: Path | None) -> Counter[tuple[str, ...]]:
    text, counts = file.read_text(), Counter[tuple[str, ...]]()
    if copy:
        copy.write_text(text)
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        counts[tuple(stack.split(";"))] += int(count)
    return counts


def _shares(counts: Counter[str], total: int) -> dict[str, float]:
    return {name: count / total for name, count in counts.most_common()}
