"""Resource use: RAM of the processes, and bytes and commands in Redis for each order."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.bench.durations import Durations
from tests.bench.receiver import CONNECTIONS
from tests.bench.report import Figure, Target
from tests.bench.rig.job_feeder import JobFeeder
from tests.bench.rig.processes import STORES, Rig, rigged, rss_mb, run_module
from tests.bench.rig.redis_exchanges import script_names

MOST_MB = Target("value", "≤", 80)

_WARM_UP = 100
_IDLE_S = 3.0
# Verification comes half a second after Create; this is ample.
_SETTLED_S = 3.0
_MOST_S = 600.0

# 1700000000.123456 [0 unix:/path] "EVALSHA" "…": commands inside a script have [0 lua] instead.
_COMMAND = re.compile(rb'^\+\d+\.\d+ \[\d+ (?!lua\])[^\]]*\] "([^"]*)"(?: "([0-9a-f]{40})")?')


async def measure(durations: Durations, report: Callable[[str], None], details: dict[str, Any]) -> list[Figure]:
    """The receiver without a worker, then a worker."""
    return [*await _receiver(durations, report), *await _worker(durations, report, details)]


async def _receiver(durations: Durations, report: Callable[[str], None]) -> list[Figure]:
    count = durations.webhooks
    async with rigged(stores=STORES) as rig:
        process, url = await rig.start_receiver()
        idle_mb, before = rss_mb(process), await _used_memory(rig)
        report(f"memory: {count:,} webhooks to the receiver, no worker")
        where = (f"--url={url}", f"--stores={','.join(rig.stores)}", f"--connections={CONNECTIONS}")
        answer = await run_module(rig, "tests.bench.rig.load", "closed", *where, f"--count={count}", "--first-id=1001")
        assert answer["accepted"] == count
        assert (await rig.queue.counts()).queued == count
        bytes_each = (await _used_memory(rig) - before) / count
        return [
            Figure(
                "memory", f"receiver, after {count:,} webhooks (floor: idle)", "MB", rss_mb(process), idle_mb, MOST_MB
            ),
            Figure("memory", "Redis, an order that waits", "bytes", bytes_each),
        ]


async def _worker(durations: Durations, report: Callable[[str], None], details: dict[str, Any]) -> list[Figure]:
    async with rigged(stores=STORES) as rig:
        (process,) = await rig.start_workers()
        idle_mb = rss_mb(process)
        feeder = JobFeeder(rig)
        # The first orders load scripts and fill caches, which must not count.
        await feeder.feed(_MOST_S, most=_WARM_UP)
        await feeder.all_verified()

        report(f"memory: commands to Redis for {durations.monitored} orders")
        commands, idle_per_s = await _commands(rig, feeder, durations.monitored)
        details["Redis commands per order"] = dict(commands.most_common())
        details["Redis commands of an idle worker per second"] = idle_per_s
        await feeder.all_verified()

        report(f"memory: {durations.orders:,} orders through one worker")
        before, cpu_before = await _used_memory(rig), await redis_cpu_s(rig)
        await feeder.feed(_MOST_S, most=durations.orders)
        await feeder.all_verified()
        bytes_each = (await _used_memory(rig) - before) / durations.orders
        cpu_ms = (await redis_cpu_s(rig) - cpu_before) / durations.orders * 1000
        most = ", ".join(f"{count:.2f} {name}" for name, count in commands.most_common(4))
        after = f"worker, after {len(feeder.fed):,} orders (floor: idle)"
        return [
            Figure("memory", after, "MB", rss_mb(process), idle_mb, MOST_MB),
            Figure("memory", "Redis, an order that has ended", "bytes", bytes_each),
            Figure("memory", "Redis, CPU an order, the bench's own questions too", "ms of CPU", cpu_ms),
            Figure(
                "memory",
                "Redis, commands an order, receiver's too",
                "",
                commands.total(),
                target=Target("value", "≤", 25),
                remark=most,
            ),
        ]


async def _commands(rig: Rig, feeder: JobFeeder, orders: int) -> tuple[Counter[str], float]:
    """Commands per order by name, and commands per second of an idle worker."""
    loop = asyncio.get_running_loop()
    async with monitored(rig) as idle:
        await asyncio.sleep(_IDLE_S)
    async with monitored(rig) as busy:
        began = loop.time()
        await feeder.feed(_MOST_S, most=orders)
        # The bench sends no command meanwhile, so that all commands are the product's own.
        await asyncio.sleep(_SETTLED_S)
        seconds = loop.time() - began
    own = {name: busy[name] - idle[name] / _IDLE_S * seconds for name in busy}
    # A command that an idle worker sends more often is not for orders.
    return Counter({name: count / orders for name, count in own.items() if count > 0}), idle.total() / _IDLE_S


@asynccontextmanager
async def monitored(rig: Rig) -> AsyncIterator[Counter[str]]:
    """Count the commands that Redis gets within the context, by name."""
    commands, scripts = Counter[str](), script_names()
    reader, writer = await asyncio.open_unix_connection(rig.redis_url.removeprefix("unix://"), limit=2**24)

    async def read() -> None:
        async for line in reader:
            if found := _COMMAND.match(line):
                command, sha = found[1].decode().upper(), (found[2] or b"").decode()
                commands[scripts.get(sha, command)] += 1

    writer.write(b"MONITOR\r\n")
    assert await reader.readline() == b"+OK\r\n"
    reading = asyncio.create_task(read())
    try:
        yield commands
    finally:
        reading.cancel()
        writer.close()


async def redis_cpu_s(rig: Rig) -> float:
    """The CPU seconds that Redis has used."""
    info = await rig.redis.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


async def _used_memory(rig: Rig) -> int:
    """The bytes of data, without the buffers of connections, which do not belong to orders."""
    info = await rig.redis.info("memory")
    return int(info["used_memory"] - info["mem_clients_normal"] - info["mem_aof_buffer"])
