"""Polls all queues of a worker process at once, and wakes the workers of those in which a job may be due.

New orders wake their worker by themselves (``wakeups``). This finds retries that are due, jobs of a dead worker, and
orders whose notification was lost. One exchange with Redis for all queues costs an idle process a third of what an
exchange for each costs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count

from redis.asyncio import Redis

from service.redis.errors import TRANSIENT_ERRORS
from workers import lua
from workers.job_leases import LeasedWorker

TICK_S = 0.05


async def poll_queues(redis: Redis, workers: Sequence[LeasedWorker], intervals_s: Mapping[str, float]) -> None:
    """Poll the workers' queues, each at its interval, until cancelled.

    A queue whose due jobs all run in this process is left alone. While Redis does not answer nobody is woken: the
    workers poll by themselves, too, only less often.
    """
    ticks = {worker: max(1, round(intervals_s[worker.queue_name] / TICK_S)) for worker in workers}
    for tick in count():
        turn = {worker.queue_name: worker for worker, every in ticks.items() if tick % every == 0}
        running = {name: worker.running for name, worker in turn.items()}
        try:
            for queue in await lua.queues_to_poll(redis, now_ms=None, running=running):
                turn[queue].wake()
        except TRANSIENT_ERRORS:
            pass
        await asyncio.sleep(TICK_S)
