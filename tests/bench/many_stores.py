"""What stores cost that have no orders at the moment, and how fresh orders among them fare.

Each store has its own secrets; fifty sets of rules are shared between them. First all of them are new to the worker
(except where there are so many that this would take an hour on a small machine). Then they are as after a month without
orders, with active webhooks, and the worker is started again, as usual. Then nothing happens for a while (idle), then
orders come, each of some store.
"""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.orders.state.job_kinds import MONITOR_HOOKS, READ_SUPER_ADMINS, RECONCILE
from service.orders.state.keys import cursor_key, hook_key, super_admins_key
from service.orders.state.per_store.super_admins import SuperAdmins
from tests.bench.durations import Durations
from tests.bench.fake_bigcommerce.fake_store import CREATE_WINDOW_S
from tests.bench.fake_bigcommerce.response_templates import WEBHOOK_URL
from tests.bench.report import Figure, percentile
from tests.bench.rig.load import Target
from tests.bench.rig.processes import Rig, cpu_s, rigged, rss_mb
from tests.bench.rig.webhooks import request
from tests.fakes.deployment import Process
from workers.periodic.cursor import Cursor
from workers.periodic.hook_monitor import QUIET_S as HOOKS_QUIET_S
from workers.periodic.reconcile_interval import QUIET_S

SIZES = (1, 1_000, 5_000, 20_000)
RATES = (10, 100)
DELAY_MS = 50
"""How long the fake BigCommerce takes for an answer: an order that is read and created waits for two of them."""

MAX_NEW = 5_000
"""The start with new stores is measured up to so many."""

_READINGS = 1_500
_READINGS_S = 10.0
_CONNECTIONS = 32
_FIRST_ID = 1001
_MONTH_S = 30 * 86_400.0
_START_S = 1_800.0
_PERIODS_S = {RECONCILE: QUIET_S, MONITOR_HOOKS: HOOKS_QUIET_S, READ_SUPER_ADMINS: 3_600.0}


@dataclass(slots=True)
class Use:
    """What the processes used between two moments."""

    seconds: float
    worker_cpu_s: float
    receiver_cpu_s: float
    redis_cpu_s: float
    calls: dict[str, int]
    commands: int

    def __sub__(self, before: "Use") -> "Use":
        calls = {name: count - before.calls.get(name, 0) for name, count in self.calls.items()}
        return Use(
            self.seconds - before.seconds,
            self.worker_cpu_s - before.worker_cpu_s,
            self.receiver_cpu_s - before.receiver_cpu_s,
            self.redis_cpu_s - before.redis_cpu_s,
            {name: count for name, count in calls.items() if count},
            self.commands - before.commands,
        )


async def measure(
    durations: Durations, report: Callable[[str], None], details: dict[str, Any], sizes: Sequence[int] = SIZES
) -> list[Figure]:
    """Measure each number of stores; the details hold all that was counted."""
    figures: list[Figure] = []
    for stores in sizes:
        measured = await _measure(stores, durations, report)
        details[f"{stores:,} stores"] = measured
        report(json.dumps({f"{stores:,} stores": measured}))
        figures += [
            Figure("stores", f"{stores:,} stores, {name}", unit, measured[name])
            for name, unit in _UNITS.items()
            if name in measured
        ]
    return figures


_UNITS = {
    "start, new: until all stores were read": "s",
    "start, new: CPU of the worker": "s of CPU",
    "start, again: until it works": "s",
    "start, again: CPU of the worker": "s of CPU",
    "worker, memory": "MB",
    "receiver, memory": "MB",
    "Redis, memory": "MB",
    "idle: worker": "% of a core",
    "idle: receiver": "% of a core",
    "idle: Redis": "% of a core",
    "idle: calls to BigCommerce": "/s",
    "a reading of a quiet store: worker": "ms of CPU",
    "idle: commands to Redis": "/s",
} | {f"age at create, {rate}/s, {share}": "ms" for rate in RATES for share in ("p50", "p99")}


async def _measure(stores: int, durations: Durations, report: Callable[[str], None]) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    async with rigged(stores=stores, delay_ms=DELAY_MS, table=_table) as rig:
        receiver, url = await rig.start_receiver(within_s=_START_S)
        if stores <= MAX_NEW:
            report(f"stores: {stores:,}, all of them new")
            began = time.monotonic()
            (worker,) = await rig.start_workers(within_s=_START_S)
            measured["start, new: until all stores were read"] = time.monotonic() - began
            measured["start, new: CPU of the worker"] = cpu_s(worker.pid)
            await worker.stop()
        await _age(rig)

        report(f"stores: {stores:,}, started again")
        began = time.monotonic()
        worker = await _restarted(rig)
        measured["start, again: until it works"] = time.monotonic() - began
        measured["start, again: CPU of the worker"] = cpu_s(worker.pid)
        await asyncio.sleep(durations.settle_s)

        report(f"stores: {stores:,}, idle for {durations.idle_s:.0f} s")
        before = await _use(rig, worker, receiver)
        await asyncio.sleep(durations.idle_s)
        idle = await _use(rig, worker, receiver) - before
        measured |= {
            "worker, memory": rss_mb(worker),
            "receiver, memory": rss_mb(receiver),
            "Redis, memory": (await rig.redis.info("memory"))["used_memory"] / 1e6,
            "idle: worker": idle.worker_cpu_s / idle.seconds * 100,
            "idle: receiver": idle.receiver_cpu_s / idle.seconds * 100,
            "idle: Redis": idle.redis_cpu_s / idle.seconds * 100,
            "idle: calls to BigCommerce": sum(idle.calls.values()) / idle.seconds,
            "idle: commands to Redis": idle.commands / idle.seconds,
            "idle: calls by operation, in all": idle.calls,
        }
        report(f"stores: {stores:,}, {_READINGS:,} readings of quiet stores")
        measured["a reading of a quiet store: worker"] = await _reading_ms(rig, worker)
        for rate in RATES if stores > 1 else RATES[:1]:  # no single store has a hundred orders a second
            report(f"stores: {stores:,}, {rate} orders a second for {durations.fresh_s:.0f} s")
            ages = await _fresh(rig, url, rate, durations.fresh_s)
            measured |= {f"age at create, {rate}/s, p{share}": percentile(ages, share) for share in (50, 99)}
        return measured


def _table(number: int, store: str, table: str) -> str:
    """The store's table in the file: secrets of its own, one of fifty sets of rules."""
    table = table.replace('"env:BENCH_TOKEN"', f'"token-of-the-account-of-{store}-in-the-bench"')
    more = f"order.billing_address.form_fields[?name=='PO {number % 50}'].value | [0]"
    return re.sub(r"^(po_number\s*= )(.*)$", rf'\1{{ from = [\2, "{more}"] }}', table, flags=re.MULTILINE)


async def _age(rig: Rig) -> None:
    """Make the stores as if they had been known for a month, and their periodic tasks evenly spread over time."""
    now = time.time()
    # What an older version does not know of, it ignores.
    cursor = Cursor(time=now, since=now - _MONTH_S, first_id=0, read_at=now, last_order_at=now - _MONTH_S)
    cursor = cursor.model_copy(update={"interval_s": _PERIODS_S[RECONCILE]})
    admins = SuperAdmins(read_at=now, customers={})
    for first in range(0, len(rig.stores), 1_000):
        async with rig.redis.pipeline(transaction=False) as pipe:
            for store in rig.stores[first : first + 1_000]:
                pipe.set(cursor_key(store), cursor.model_dump_json())
                hooks = {"destination": WEBHOOK_URL, "troubles": "[]", "optional_troubles": "[]", "checked_at": now}
                pipe.hset(hook_key(store), mapping=hooks)
                pipe.set(super_admins_key(store), admins.model_dump_json())
                for kind, period_s in _PERIODS_S.items():
                    due = now + random.uniform(0.0, period_s)
                    pipe.set(kind.key(store), kind.body(store, now=now))
                    pipe.zadd(kind.queue, {kind.id(store): int(due * 1000)})
            await pipe.execute()


async def _restarted(rig: Rig) -> Process:
    worker = rig.start("worker", "workers")
    async with asyncio.timeout(_START_S):
        while (await rig.queue.counts()).workers != 1 or "worker_started" not in worker.text:
            assert worker.returncode is None, worker.text
            await asyncio.sleep(0.05)
    return worker


async def _use(rig: Rig, worker: Process, receiver: Process) -> Use:
    cpu, stats = await rig.redis.info("cpu"), await rig.redis.info("stats")
    return Use(
        time.monotonic(),
        cpu_s(worker.pid),
        cpu_s(receiver.pid),
        float(cpu["used_cpu_user"] + cpu["used_cpu_sys"]),
        (await rig.counts()).calls,
        int(stats["total_commands_processed"]),
    )


async def _reading_ms(rig: Rig, worker: Process) -> float:
    """The worker's CPU (ms) for reconciling a store without orders: a figure that a busy machine hardly changes."""
    stores = (list(rig.stores) * _READINGS)[: min(_READINGS, len(rig.stores) * 20)]
    before = cpu_s(worker.pid)
    for first in range(0, len(stores), len(rig.stores)):
        batch, now = stores[first : first + len(rig.stores)], time.time()
        step_s = _READINGS_S / len(stores)
        due = {RECONCILE.id(store): int((now + number * step_s) * 1000) for number, store in enumerate(batch)}
        await rig.redis.zadd(RECONCILE.queue, due, xx=True)
        async with asyncio.timeout(_START_S):
            # The next reading is due minutes later.
            while True:
                await asyncio.sleep(0.1)
                if not await _is_due(rig, batch, (now + _READINGS_S + 30.0) * 1000):
                    break
    return (cpu_s(worker.pid) - before) / len(stores) * 1000


async def _is_due(rig: Rig, stores: Sequence[str], until_ms: float) -> bool:
    scores = await rig.redis.zmscore(RECONCILE.queue, [RECONCILE.id(store) for store in stores])
    return any(score is not None and score < until_ms for score in scores)


async def _fresh(rig: Rig, url: str, per_s: int, seconds: float) -> list[float]:
    """Send webhooks of new orders at a fixed rate, each of some store; returns the age of each at its Create, in ms.

    An order whose Create did not come before its window closed counts as that old.
    """
    target, count = Target.of(url), round(per_s * seconds)
    first_id = _FIRST_ID + 100_000 * per_s
    free = await target.free_senders(_CONNECTIONS)
    sent_at: dict[tuple[str, int], float] = {}
    began = time.monotonic()
    for number in range(count):
        await asyncio.sleep(began + number / per_s - time.monotonic())
        order = random.choice(rig.stores), first_id + number
        webhook = request(target.path, *order, time.time())
        sender = await free.get()
        sent_at[order] = time.monotonic()
        sender.send(webhook)
    await asyncio.sleep(CREATE_WINDOW_S)
    times = await rig.times()
    created_at = {order: times.get(order[0], {}).get(order[1], [0.0])[-1] for order in sent_at}
    return [
        (created_at[order] - sent) * 1000 if created_at[order] else CREATE_WINDOW_S * 1000
        for order, sent in sent_at.items()
    ]
