"""Redis memory of a store's statistics: ``python -m tests.bench.statistics_size [orders a day]``.

It finishes the orders of some days with the product's own code and script, each with other times, and asks Redis for
the memory of the keys.
"""

import asyncio
import random
import sys
import time
from dataclasses import dataclass
from itertools import accumulate

from redis.asyncio import Redis

from service.orders.state.keys import statistics_prefix
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.counters import add_up
from service.orders.state.transitions import Transitions
from service.orders.statistics.counting import count_finished
from service.redis.client import connect
from tests.fakes.redis.server import running_redis

STORE = "abc123"
DAY_S, HOUR_S = 86_400, 3_600

# Median seconds of the steps that a busy store's orders take.
STEPS = {
    Stage.CREATED: 0.0,
    Stage.WEBHOOK_SENT: 0.5,
    Stage.RECEIVED: 0.7,
    Stage.QUEUED: 0.004,
    Stage.PICKED_UP: 0.02,
    Stage.READ: 0.15,
    Stage.SENT: 0.3,
    Stage.ANSWERED: 0.25,
    Stage.VERIFIED: 0.7,
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a store's statistics."""

    day: float
    hour: float

    @property
    def month(self) -> float:
        """30 days; the hours of the last 72 are there once, however many months are kept."""
        return 30 * self.day

    @property
    def whole(self) -> float:
        """All that a store has: 400 days and 72 hours."""
        return 400 * self.day + 72 * self.hour


async def measure(redis: Redis, *, days: int, orders_a_day: int) -> Sizes:
    """Finish the orders of some days, and ask Redis for the memory."""
    dice, transitions, now = random.Random(1), Transitions(redis), time.time()
    for order_id in range(days * orders_a_day):
        # Whole days before today, so that each has all its orders.
        placed_at = (int(now) // DAY_S - 1 - order_id // orders_a_day) * DAY_S + dice.random() * DAY_S
        entry = _order(order_id, placed_at, dice)
        await transitions.finish(entry, counters=count_finished(entry, merges=False, now=now))
    await add_up(redis)
    by_day, by_hour = list[int](), list[int]()
    async for key in redis.scan_iter(match=statistics_prefix(STORE) + "*", count=1000):
        is_day = len(key) - len(statistics_prefix(STORE)) == len("20260131")
        (by_day if is_day else by_hour).append(await redis.memory_usage(key, samples=0))
    return Sizes(sum(by_day) / len(by_day), sum(by_hour) / max(1, len(by_hour)))


def _order(order_id: int, placed_at: float, dice: random.Random) -> Entry:
    ages = accumulate(median * dice.lognormvariate(0.0, 0.6) for median in STEPS.values())
    times = {stage: placed_at + age for stage, age in zip(STEPS, ages, strict=True)}
    age = times[Stage.SENT] - placed_at
    entry = Entry(STORE, order_id, status=Status.CREATED, verified=True, source="webhook", create_age=age, times=times)
    entry.announced_at = times[Stage.WEBHOOK_SENT]
    if order_id % 100 == 0:
        entry.status, entry.verified, entry.reason = Status.FAILED, None, f"B2B Edition refuses value {order_id % 700}"
    elif order_id % 50 == 0:
        entry.status, entry.trouble = Status.UPDATED, dice.choice([None, "quota", "HTTP 500"])
    return entry


async def _main(orders_a_day: int) -> None:
    async with running_redis() as server, connect(server.url) as redis:
        sizes = await measure(redis, days=3, orders_a_day=orders_a_day)
    sys.stdout.write(
        f"{orders_a_day} orders a day: {sizes.day:.0f} bytes a day, {sizes.hour:.0f} bytes an hour\n"
        f"a store and month: {sizes.month / 1000:.0f} kB; all that a store has: {sizes.whole / 1000:.0f} kB\n"
    )


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
