"""Polls all queues of a worker process at once, and wakes the workers of those in which a job may be due.

New orders wake their worker by themselves (``wakeups``). This finds retries that are due, jobs of a dead worker, and
orders whose notification was lost. For an idle process, one exchange with Redis for all queues costs much less than one
for each.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count

import structlog
from redis.asyncio import Redis

from service.logs import Event
from workers import lua
from workers.job_leases import REDIS_LOST, LeasedWorker

log = structlog.get_logger()

TICK_S = 0.05
ERROR_PAUSE_S = 1.0


async def poll_queues(redis: Redis, workers: Sequence[LeasedWorker], intervals_s: Mapping[str, float]) -> None:
    """Poll the workers' queues, each at its interval, until cancelled.

    A queue whose due jobs all run in this process is left alone. While Redis does not answer, or refuses, nobody is
    woken: the workers poll by themselves, too, only less often, and tell of it.
    """
    ticks = {worker: max(1, round(intervals_s[worker.queue_name] / TICK_S)) for worker in workers}
    for tick in count():
        turn = {worker.queue_name: worker for worker, every in ticks.items() if tick % every == 0}
        running = {name: worker.running for name, worker in turn.items()}
        try:
            for queue in await lua.queues_to_poll(redis, now_ms=None, running=running):
                turn[queue].wake()
        except REDIS_LOST:
            pass
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="queues")
            await asyncio.sleep(ERROR_PAUSE_S)
        await asyncio.sleep(TICK_S)
