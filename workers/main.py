"""The worker process: all queues in one loop, with signals of its own."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import cast

import structlog
from arq.typing import WorkerCoroutine
from arq.worker import func
from redis.exceptions import RedisError

from service.configuration import Configuration
from service.configuration.reloading import Changes, LiveConfiguration
from service.logs import Event
from service.orders.state.jobs import MONITOR_HOOKS, PROBE, RECONCILE, RECOVERY, REVERIFY, VERIFY, WINDOW, JobKind
from service.orders.state.keys import parked_key, reverify_key, verify_key
from service.redis.client import TRANSIENT_ERRORS
from service.redis.requirements import log_problems
from workers.attempts import Jobs
from workers.lease import LeasedWorker, end, store_of
from workers.metrics_server import monitored
from workers.periodic.hook_monitor import HookMonitor
from workers.periodic.reconcile import Reconciler
from workers.periodic.task import Intervals, ensure_periodic_jobs
from workers.resources import Resources, open_resources
from workers.verification import Verifier
from workers.wakeups import wake

log = structlog.get_logger()

# Orders of one process that may be in hand at once. They mostly wait for BigCommerce, so this is about memory.
WINDOW_JOBS = 200
RECOVERY_JOBS = 50
STORE_JOBS = 50
REVERIFY_JOBS = 10

# Fresh orders wake the workers (``waking``); this is for tries that are due again, and for a wake-up that got lost.
WINDOW_POLL_INTERVAL_S = 0.05
POLL_INTERVAL_S = 0.1
REVERIFY_POLL_INTERVAL_S = 1.0

# A little more than a window, so that an order picked up in the last moment still gets its full chance.
DRAIN_TIMEOUT_S = 12.0

HEARTBEAT_INTERVAL_S = 2.0
ENSURE_JOBS_INTERVAL_S = 60.0


async def work(
    live: LiveConfiguration,
    redis_url: str,
    *,
    metrics_at: tuple[str, int] = ("", 0),
    intervals: Intervals | None = None,
) -> None:
    """Serve all queues until SIGTERM or SIGINT; then finish the orders in hand and return.

    ``metrics_at`` is the address and port to show metrics at; port 0 for nowhere.
    """
    intervals = intervals or Intervals()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_resources(live.current, redis_url) as resources, monitored(resources, *metrics_at):
        workers = _workers(resources, intervals)
        name = f"{socket.gethostname()}:{os.getpid()}"
        serving = [asyncio.create_task(worker.serve()) for worker in workers]
        waking = asyncio.create_task(wake(resources.redis, {worker.queue_name: worker.wake for worker in workers}))
        alive = asyncio.create_task(_heartbeat(resources, name, workers))
        periodic = asyncio.create_task(_ensure_periodic_jobs(resources))
        checking = asyncio.create_task(_check_redis(resources))
        following = asyncio.create_task(live.follow(lambda changes: _take(resources, live.current, changes)))
        log.info(Event.WORKER_STARTED, worker=name, stores=len(live.current.stores))
        await stop.wait()

        log.info(Event.WORKER_STOPPING, running=sum(worker.running for worker in workers))
        left = await asyncio.gather(*(worker.drain(DRAIN_TIMEOUT_S) for worker in workers))
        await end([waking, alive, periodic, checking, following])
        await asyncio.gather(*serving, return_exceptions=True)
        with suppress(*TRANSIENT_ERRORS):
            await resources.queue.remove_heartbeat(name)
        log.info(Event.WORKER_STOPPED, requeued=sum(left))


def _workers(resources: Resources, intervals: Intervals) -> list[LeasedWorker]:
    jobs, verifier = Jobs(resources), Verifier(resources, clock=time.time)
    reconcile = Reconciler(resources, every_s=intervals.reconcile_s, watch_every_s=intervals.watch_s)
    guardian = HookMonitor(resources, every_s=intervals.guard_s, trouble_every_s=intervals.trouble_s)
    return [
        _worker(resources, {WINDOW: jobs.window}, WINDOW_JOBS, WINDOW_POLL_INTERVAL_S),
        _worker(resources, {RECOVERY: jobs.recover}, RECOVERY_JOBS, POLL_INTERVAL_S),
        _worker(resources, {VERIFY: verifier.check}, STORE_JOBS, POLL_INTERVAL_S),
        _worker(resources, {REVERIFY: verifier.reverify}, REVERIFY_JOBS, REVERIFY_POLL_INTERVAL_S),
        _worker(
            resources,
            {RECONCILE: reconcile.reconcile, MONITOR_HOOKS: guardian.guard, PROBE: jobs.probe},
            STORE_JOBS,
            POLL_INTERVAL_S,
        ),
    ]


def _worker(
    resources: Resources,
    functions: Mapping[JobKind, Callable[..., Awaitable[None]]],
    max_jobs: int,
    poll_interval_s: float,
) -> LeasedWorker:
    (queue,) = {kind.queue for kind in functions}

    def rebuild(job_id: str) -> bytes | None:
        bodies = (kind.rebuilt(job_id, time.time()) for kind in functions)
        return next((body for body in bodies if body is not None), None)

    return LeasedWorker(
        [func(cast("WorkerCoroutine", function), name=kind.function) for kind, function in functions.items()],
        queue_name=queue,
        redis_pool=resources.redis,
        max_jobs=max_jobs,
        poll_interval_s=poll_interval_s,
        guards=_guard,
        rebuild=rebuild,
        on_lease_lost=resources.metrics.leases_lost.inc,
        job_serializer=resources.redis.job_serializer,
        job_deserializer=resources.redis.job_deserializer,
    )


def _guard(job_id: str) -> str | None:
    """The list that a store's job works off."""
    match job_id.partition(":")[0]:
        case VERIFY.function:
            return verify_key(store_of(job_id))
        case REVERIFY.function:
            return reverify_key(store_of(job_id))
        case PROBE.function:
            return parked_key(store_of(job_id))
        case _:
            return None


async def _heartbeat(resources: Resources, name: str, workers: list[LeasedWorker]) -> None:
    while True:
        try:
            await resources.queue.heartbeat(name, sum(worker.running for worker in workers))
        except TRANSIENT_ERRORS:
            pass
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="alive")
        await asyncio.sleep(HEARTBEAT_INTERVAL_S)


async def _check_redis(resources: Resources) -> None:
    """Log what Redis lacks, once it answers: at the start of the process it may not have been there."""
    while True:
        try:
            await log_problems(resources.redis)
        except RedisError:
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)
        else:
            return


async def _take(
    resources: Resources,
    configuration: Configuration,
    changes: Changes,
    *,
    clock: Callable[[], float] = time.time,
) -> None:
    """Go on with another configuration. An order in hand is finished as it was begun."""
    resources.configuration = configuration
    with suppress(*TRANSIENT_ERRORS):  # then those of new stores are put there within the minute
        await ensure_periodic_jobs(resources.redis, [*changes.added, *changes.changed], now_due=True, clock=clock)


async def _ensure_periodic_jobs(resources: Resources) -> None:
    """See to it that every store has its periodic in the queue, from the start on and after a Redis that lost them."""
    while True:
        try:
            await ensure_periodic_jobs(resources.redis, resources.configuration.stores)
        except TRANSIENT_ERRORS:
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)
            continue
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="periodic")
        await asyncio.sleep(ENSURE_JOBS_INTERVAL_S)
