"""The worker process: a window queue and a recovery queue in one loop, with signals of its own."""

import asyncio
import os
import signal
import socket
from contextlib import suppress

import structlog
from arq.worker import func

from service.logs import Event
from service.orders.jobs import RECOVERY, WINDOW, Kind
from service.redisdb import PASSING
from service.rules import Configuration
from workers.jobs import Jobs
from workers.lease import LeasedWorker
from workers.resources import Resources, open_resources

log = structlog.get_logger()

# Orders of one process that may be in hand at once. They mostly wait for BigCommerce, so this is about memory.
WINDOW_JOBS = 200
RECOVERY_JOBS = 50

# arq polls; a fiftieth of a second costs an idle process about four percent of a core.
WINDOW_POLL_S = 0.02
RECOVERY_POLL_S = 0.1

# A little more than a window, so that an order picked up in the last moment still gets its full chance.
FINISH_IN_HAND_S = 12.0

SAY_ALIVE_EVERY_S = 2.0


async def work(configuration: Configuration, redis_url: str) -> None:
    """Serve both queues until SIGTERM or SIGINT; then finish the orders in hand and return."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_resources(configuration, redis_url) as resources:
        jobs = Jobs(resources)
        workers = [
            _worker(resources, WINDOW, jobs, WINDOW_JOBS, WINDOW_POLL_S),
            _worker(resources, RECOVERY, jobs, RECOVERY_JOBS, RECOVERY_POLL_S),
        ]
        name = f"{socket.gethostname()}:{os.getpid()}"
        serving = [asyncio.create_task(worker.serve()) for worker in workers]
        alive = asyncio.create_task(_say_alive(resources, name, workers))
        log.info(Event.WORKER_STARTED, worker=name, stores=len(configuration.stores))
        await stop.wait()

        log.info(Event.WORKER_STOPPING, in_hand=sum(worker.running for worker in workers))
        left = await asyncio.gather(*(worker.finish_in_hand(FINISH_IN_HAND_S) for worker in workers))
        alive.cancel()
        await asyncio.gather(alive, *serving, return_exceptions=True)
        with suppress(*PASSING):
            await resources.queue.say_gone(name)
        log.info(Event.WORKER_STOPPED, put_back=sum(left))


def _worker(resources: Resources, kind: Kind, jobs: Jobs, max_jobs: int, poll_s: float) -> LeasedWorker:
    function = jobs.window if kind is WINDOW else jobs.recover
    return LeasedWorker(
        [func(function, name=kind.function)],
        queue_name=kind.queue,
        redis_pool=resources.redis,
        max_jobs=max_jobs,
        poll_delay=poll_s,
        job_serializer=resources.redis.job_serializer,
        job_deserializer=resources.redis.job_deserializer,
    )


async def _say_alive(resources: Resources, name: str, workers: list[LeasedWorker]) -> None:
    while True:
        with suppress(*PASSING):
            await resources.queue.say_alive(name, sum(worker.running for worker in workers))
        await asyncio.sleep(SAY_ALIVE_EVERY_S)
