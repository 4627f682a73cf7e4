"""The window: the time that this product adds between sending a webhook and the Create's arrival at BigCommerce."""

import asyncio
import time
from collections.abc import Callable, Mapping

from tests.bench.durations import Durations
from tests.bench.report import Figure, percentile
from tests.bench.report import Target as Goal
from tests.bench.rig.job_feeder import JobFeeder
from tests.bench.rig.load import Target
from tests.bench.rig.processes import Rig, rigged
from tests.bench.rig.webhooks import request

DELAY_MS = 150
PER_S = 10
_WARM_UP = 10
FIRST_ID = 1001
_CONNECTIONS = 8
_TIMEOUT_S = 10.0


async def measure(durations: Durations, report: Callable[[str], None]) -> list[Figure]:
    """Measure webhooks at fixed times, each of a different order, through a receiver and one worker."""
    async with rigged(stores=1, delay_ms=DELAY_MS) as rig:
        _, url = await rig.start_receiver()
        await rig.start_workers()
        count = _WARM_UP + round(PER_S * durations.window_s)
        report(f"window: {count} orders at {PER_S}/s")
        sent_at = await send(rig, url, count)
        await JobFeeder(rig, fed=list(sent_at)).all_verified()
        added = (await added_ms(rig, sent_at))[_WARM_UP:]
    return [
        Figure("window", f"added until the Create arrives, {name}", "ms", value, target=Goal("value", "≤", limit))
        for name, value, limit in (("p50", percentile(added, 50), 10.0), ("p99", percentile(added, 99), 40.0))
    ]


async def added_ms(rig: Rig, sent_at: Mapping[tuple[str, int], float]) -> list[float]:
    """How long each order took until its Create arrived, without the time that BigCommerce took to answer the read.

    Orders without a Create are left out.
    """
    times = await rig.times()
    added = []
    for (store, order_id), sent in sent_at.items():
        read_at, read_answered_at, create_at = times[store][order_id]
        if create_at:
            added.append((create_at - sent - (read_answered_at - read_at)) * 1000)
    return added


async def send(rig: Rig, url: str, count: int, first_id: int = FIRST_ID) -> dict[tuple[str, int], float]:
    """Send webhooks of ``count`` orders, spread over the stores, and wait for the answers.

    Returns when each was sent, by its store and id, as ``time.monotonic``.
    """
    target, sent_at = Target.of(url), dict[tuple[str, int], float]()
    free = await target.free_senders(_CONNECTIONS)
    began = time.monotonic()
    for number in range(count):
        await asyncio.sleep(began + number / PER_S - time.monotonic())
        store, order_id = rig.stores[number % len(rig.stores)], first_id + number
        webhook = request(target.path, store, order_id, time.time())
        sender = await free.get()
        sent_at[store, order_id] = time.monotonic()
        sender.send(webhook)
    async with asyncio.timeout(_TIMEOUT_S):
        for _ in range(_CONNECTIONS):
            await free.get()  # a free connection has got its last answer
    return sent_at
