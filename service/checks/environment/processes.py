"""Checks who works: workers, receivers, their versions, and how long orders waited for them lately."""

import json
import statistics

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.checks.findings import Finding, Level, counted
from service.gauges import Gauges, State
from service.orders.state.heartbeats import Alive, Heartbeats, own_version
from service.orders.state.keys import polling_key
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Stage

WORKERS = "workers"
"""The subject of the finding about workers."""

MAX_OVERDUE_S = 5.0
"""An order that waits longer for a worker loses half of its window."""

LAST_ORDERS = 20

SLOW_MEDIAN_S = 1.0
"""Orders usually wait for a few milliseconds."""

_START = "Start it: `enrich up`, or `enrich {}`."
_POLLED = "New orders are found only by reconciling, once a minute, and most miss their ten seconds."


async def check_processes(redis: Redis) -> list[Finding]:
    """Check the processes that use this Redis. No finding where Redis does not answer."""
    try:
        workers = await Heartbeats(redis).alive()
        receivers = await Heartbeats(redis, "receivers").alive()
        state = await Gauges(redis).read(())
    except RedisError:
        return []  # check_redis reports it
    return [worker_finding(workers, state), receiver_finding(receivers), *overdue_findings(workers, state)]


def worker_finding(workers: Alive, state: State) -> Finding:
    """Say how many workers there are; none is an error once orders wait for one."""
    if workers.count:
        return _running(WORKERS, "worker", workers)
    waiting = state.queues["window"].jobs + state.queues["recovery"].jobs
    level = Level.ERROR if waiting else Level.WARNING
    wait = f", and {counted(waiting, 'order')} wait{'s' * (waiting == 1)} for one" if waiting else ""
    message = f"none is running{wait}."
    return Finding(level, None, WORKERS, message, _START.format("worker"))


def receiver_finding(receivers: Alive) -> Finding:
    """Say how many receivers there are."""
    if receivers.count:
        return _running("receivers", "receiver", receivers)
    # Receivers of versions before 0.2.0 do not report.
    message = f"none is running, or it is older than {own_version()}. {_POLLED}"
    return Finding(Level.WARNING, None, "receivers", message, _START.format("web"))


def _running(subject: str, thing: str, alive: Alive) -> Finding:
    own = own_version()
    others = {version or "an older version" for version in alive.versions if version != own}
    if not others:
        return Finding(Level.OK, None, subject, f"{counted(alive.count, thing)} of this version ({own}).")
    current = alive.versions[own]
    message = f"{counted(alive.count - current, thing)} of {', '.join(sorted(others))}; this command is {own}."
    cure = "That is fine during an upgrade; else restart them." if current else "Restart them: none has this version."
    return Finding(Level.WARNING, None, subject, message, cure)


def overdue_findings(workers: Alive, state: State) -> list[Finding]:
    """A warning where orders wait although workers run."""
    overdue_s = state.queues["window"].overdue_s
    if not workers.count or overdue_s < MAX_OVERDUE_S:
        return []
    message = f"the oldest order in its window has waited for {overdue_s:.0f} s."
    cure = "The workers are too few, or blocked: look at their CPU and memory, and at `lease_lost` in their log."
    return [Finding(Level.WARNING, None, WORKERS, message, cure)]


async def check_flow(redis: Redis | None, store: str) -> list[Finding]:
    """Check whether the store is polled, and how long its last orders waited for a worker."""
    if redis is None:
        return []
    try:
        polling = await redis.get(polling_key(store))
        last = await _last_orders(redis, store)
    except RedisError:
        return []
    return [*polling_findings(store, polling), *wait_findings(store, last)]


async def _last_orders(redis: Redis, store: str) -> list[Entry]:
    entries: list[Entry] = []
    async for entry in Ledger(redis).entries(store, batch=LAST_ORDERS):
        entries.append(entry)
        if len(entries) == LAST_ORDERS:
            break
    return entries


def polling_findings(store: str, stored: bytes | None) -> list[Finding]:
    """A warning while the polling fallback is on. ``stored`` is its state in Redis."""
    if stored is None:
        return []
    try:
        reason = str(json.loads(stored).get("reason"))
    except (ValueError, AttributeError):
        reason = "unknown"
    message = f"the store is polled every 3 s, because its webhooks do not come or come late ({reason})."
    cure = "See the findings about its webhooks. Polling ends by itself once they come in time."
    return [Finding(Level.WARNING, store, "polling", message, cure)]


def wait_findings(store: str, last: list[Entry]) -> list[Finding]:
    """How long the last orders waited for a worker; nothing where none of them shows it."""
    waits = [
        max(0.0, entry.times[Stage.PICKED_UP] - entry.times[Stage.QUEUED])
        for entry in last
        if entry.source == "webhook" and {Stage.QUEUED, Stage.PICKED_UP} <= entry.times.keys()
    ]
    if not waits:
        return []
    median_s, longest_s = statistics.median(waits), max(waits)
    message = f"the last {len(waits)} waited for a worker for {_time(median_s)} (median), {_time(longest_s)} at most."
    if median_s < SLOW_MEDIAN_S:
        return [Finding(Level.OK, store, "last orders", message)]
    cure = "Did workers run all the time? Else they are too few for this load: start another."
    return [Finding(Level.WARNING, store, "last orders", message, cure)]


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
