"""The window: the time that this product adds between sending a webhook and the Create's arrival at BigCommerce."""

import asyncio
import time
from collections.abc import Callable

from tests.bench.durations import Durations
from tests.bench.report import Figure, percentile
from tests.bench.report import Target as Goal
from tests.bench.rig.job_feeder import JobFeeder
from tests.bench.rig.load import Sender, Target
from tests.bench.rig.processes import Rig, rigged
from tests.bench.rig.webhooks import request

DELAY_MS = 150
PER_S = 10
_WARM_UP = 10
_FIRST_ID = 1001
_CONNECTIONS = 8
_TIMEOUT_S = 10.0


async def measure(durations: Durations, report: Callable[[str], None]) -> list[Figure]:
    """Measure webhooks at fixed times, each of a different order, through a receiver and one worker."""
    async with rigged(stores=1, delay_ms=DELAY_MS) as rig:
        _, url = await rig.start_receiver()
        await rig.start_workers()
        count = _WARM_UP + round(PER_S * durations.window_s)
        report(f"window: {count} orders at {PER_S}/s")
        sent_at = await _send(rig, url, count)
        feeder = JobFeeder(rig, fed=[(rig.stores[0], order_id) for order_id in sent_at])
        await feeder.all_verified()
        times = (await rig.times())[rig.stores[0]]
    added_ms = []
    for order_id, sent in list(sent_at.items())[_WARM_UP:]:
        read_at, read_answered_at, create_at = times[order_id]
        added_ms.append((create_at - sent - (read_answered_at - read_at)) * 1000)
    return [
        Figure("window", f"added until the Create arrives, {name}", "ms", value, target=Goal("value", "≤", limit))
        for name, value, limit in (("p50", percentile(added_ms, 50), 10.0), ("p99", percentile(added_ms, 99), 40.0))
    ]


async def _send(rig: Rig, url: str, count: int) -> dict[int, float]:
    """Send the webhooks and wait for the answers; returns when each was sent, by ``time.monotonic``."""
    target, sent_at = Target.of(url), dict[int, float]()
    free: asyncio.Queue[Sender] = asyncio.Queue()

    def answered(sender: Sender, status: int) -> None:
        assert status == 200, f"answered {status}"
        free.put_nowait(sender)

    for sender in await target.connect(_CONNECTIONS, answered):
        free.put_nowait(sender)
    began = time.monotonic()
    for number in range(count):
        await asyncio.sleep(began + number / PER_S - time.monotonic())
        webhook = request(target.path, rig.stores[0], _FIRST_ID + number, time.time())
        sender = await free.get()
        sent_at[_FIRST_ID + number] = time.monotonic()
        sender.send(webhook)
    async with asyncio.timeout(_TIMEOUT_S):
        for _ in range(_CONNECTIONS):
            await free.get()  # a free connection has got its last answer
    return sent_at
