"""The worker process: serves all queues in one event loop, and stops on SIGTERM and SIGINT."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import cast

import structlog
from arq.typing import WorkerCoroutine
from arq.worker import func
from redis.exceptions import NoPermissionError, RedisError

from service import audit
from service.configuration import Configuration
from service.configuration.in_force import publish_configuration
from service.configuration.reloading import Changes, LiveConfiguration
from service.logs import Event
from service.notify.notifier import Notifier, Timing
from service.orders.state.clocks import Clock
from service.orders.state.job_kinds import (
    CHECK_SKIPPED,
    FETCH_TOKENS,
    FOLLOW,
    MONITOR_HOOKS,
    POLL_VALUES,
    PROBE,
    READ_SUPER_ADMINS,
    RECONCILE,
    RECOVERY,
    RETRY_SKIPPED,
    REVERIFY,
    VERIFY,
    WAKE_WAITING,
    WINDOW,
    JobKind,
)
from service.orders.state.keys import (
    awaiting_value_key,
    changed_key,
    late_key,
    parked_key,
    people_due_key,
    reverify_key,
    skipped_key,
    verify_key,
)
from service.process.background_loops import Loops
from service.redis.client import TRANSIENT_ERRORS
from service.redis.requirements import log_problems
from workers.clock_skew import keep_time
from workers.job_leases import LeasedWorker, store_of
from workers.metrics_server import serve_metrics
from workers.orders.attempts import Jobs
from workers.orders.buyers.skipped_buyers import SkippedBuyers
from workers.orders.follow import Follower
from workers.orders.verification import Verifier
from workers.orders.waiting.late_values import LateValuePoller
from workers.orders.waiting.waiting_orders import WaitingOrdersWaker
from workers.periodic.buyer_tokens import BuyerTokenFetcher, ensure_token_jobs
from workers.periodic.hook_monitor import HookMonitor
from workers.periodic.periodic_task import Intervals, ensure_periodic_jobs
from workers.periodic.reconcile import Reconciler
from workers.periodic.super_admins import SuperAdminReader
from workers.queue_poller import poll_queues
from workers.resources import Resources, open_resources
from workers.statistics_writer import keep_statistics, write_statistics
from workers.wakeups import listen_for_wakeups
from workers.warm_connections import CONNECTIONS, keep_connections_warm

log = structlog.get_logger()

# Jobs of one process that run at the same time. They mostly wait for BigCommerce; the limit is about memory.
WINDOW_JOBS = 200
RECOVERY_JOBS = 50
STORE_JOBS = 50
REVERIFY_JOBS = 10

POLL_INTERVAL_S = 0.1
# How often a queue is polled (``queue_poller``), where that is not the usual interval.
_POLL_INTERVALS_S: Mapping[str, float] = {
    WINDOW.queue: 0.05,
    VERIFY.queue: 0.05,
    WAKE_WAITING.queue: 0.25,  # an order whose window has closed is in no hurry
    FOLLOW.queue: 1.0,
    REVERIFY.queue: 1.0,
}
# Each worker also polls by itself, should the common poll fail.
LONGEST_POLL_INTERVAL_S = 1.0

# A little more than the create window, so that an order taken just before the stop still has all of its window.
DRAIN_TIMEOUT_S = 12.0

HEARTBEAT_INTERVAL_S = 2.0
ENSURE_JOBS_INTERVAL_S = 60.0

# An iteration takes milliseconds, and a few seconds where Redis does not answer: one this long hangs.
STALE_AFTER_S = 30.0


async def work(
    live: LiveConfiguration,
    redis_url: str,
    *,
    metrics_at: tuple[str, int] = ("", 0),
    intervals: Intervals | None = None,
    notify_timing: Timing | None = None,
) -> None:
    """Serve all queues until SIGTERM or SIGINT; then drain: finish the running jobs and return.

    ``metrics_at`` is the address and port of the metrics server; port 0 turns it off. Raises LoopFailed, after the
    same orderly end, when one of the process's loops fails again and again.
    """
    intervals = intervals or Intervals()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loops = Loops(stop)
    async with open_resources(live.current, redis_url) as resources, serve_metrics(resources, *metrics_at, loops.stuck):
        workers = _workers(resources, intervals)
        name = f"{socket.gethostname()}:{os.getpid()}"
        for worker in workers:
            worker.turned = partial(loops.turned, worker.queue_name)
        serving = [loops.start(worker.queue_name, worker.serve, stale_after_s=STALE_AFTER_S) for worker in workers]
        callbacks = {worker.queue_name: worker.wake for worker in workers}
        intervals_s = {each.queue_name: _POLL_INTERVALS_S.get(each.queue_name, POLL_INTERVAL_S) for each in workers}
        loops.start("queues", lambda: poll_queues(resources.redis, workers, intervals_s))
        # It ends where the Redis user may not subscribe.
        loops.start("wakeups", lambda: listen_for_wakeups(resources.redis, callbacks), may_end=True)
        beat = partial(loops.turned, "heartbeat")
        loops.start("heartbeat", lambda: _send_heartbeats(resources, name, workers, beat), stale_after_s=STALE_AFTER_S)
        loops.start("periodic", lambda: _ensure_periodic_jobs(resources))
        loops.start("redis requirements", lambda: _check_redis(resources), may_end=True)
        loops.start("actions", lambda: _log_actions(resources), may_end=True)
        loops.start("clock", lambda: keep_time(resources))
        loops.start("statistics", lambda: keep_statistics(resources))
        for api in CONNECTIONS:
            loops.start(f"{api} connections", partial(keep_connections_warm, resources, api))
        notifier = Notifier(
            resources.redis, lambda: resources.configuration, count=resources.metrics.notification, timing=notify_timing
        )
        loops.start("alerts", notifier.watch)
        loops.start("notifications", notifier.deliver)
        loops.start(
            "stores",
            lambda: live.watch_for_changes(lambda changes: _apply_configuration(resources, live.current, changes)),
        )
        loops.start("configuration in force", lambda: publish_configuration(resources.redis, live, "worker"))
        log.info(Event.WORKER_STARTED, worker=name, stores=len(live.current.stores))
        await stop.wait()

        log.info(Event.WORKER_STOPPING, running=sum(worker.running for worker in workers))
        unfinished = await asyncio.gather(*(worker.drain(DRAIN_TIMEOUT_S) for worker in workers))
        await asyncio.gather(*serving, return_exceptions=True)
        await loops.end()
        with suppress(*TRANSIENT_ERRORS):
            await write_statistics(resources)
            await resources.queue.remove_heartbeat(name)
        log.info(Event.WORKER_STOPPED, requeued=sum(unfinished))
    loops.raise_if_failed()


class _PollingWorker(LeasedWorker):
    """Reports each poll, and each attempt to reach Redis again, as a turn of its loop."""

    turned: Callable[[], None] = staticmethod(lambda: None)

    async def async_run(self) -> None:
        self.turned()
        await super().async_run()

    async def _poll_iteration(self) -> None:
        await super()._poll_iteration()
        self.turned()


def _workers(resources: Resources, intervals: Intervals) -> list[_PollingWorker]:
    clock = resources.clock
    jobs, verifier = Jobs(resources, clock=clock), Verifier(resources, clock=clock)
    reconciler = Reconciler(
        resources,
        every_s=intervals.reconcile_s,
        quiet_every_s=intervals.quiet_reconcile_s,
        polling_every_s=intervals.polling_s,
        clock=clock,
    )
    hooks_s, hooks_problem_s = intervals.hooks_s, intervals.hooks_problem_s
    hook_monitor = HookMonitor(resources, every_s=hooks_s, problem_every_s=hooks_problem_s, clock=clock)
    super_admins = SuperAdminReader(resources, every_s=intervals.super_admins_s, clock=clock)
    skipped = SkippedBuyers(resources, clock=clock)
    last = {REVERIFY: verifier.reverify, CHECK_SKIPPED: skipped.check, RETRY_SKIPPED: skipped.retry}
    return [
        _worker(resources, {WINDOW: jobs.window}, WINDOW_JOBS),
        _worker(resources, {RECOVERY: jobs.recover}, RECOVERY_JOBS),
        _worker(resources, {POLL_VALUES: LateValuePoller(resources).poll}),
        _worker(resources, {FOLLOW: Follower(resources, clock=clock).follow}),
        _worker(resources, {VERIFY: verifier.verify}),
        _worker(resources, {WAKE_WAITING: WaitingOrdersWaker(resources).wake}),
        _worker(resources, last, REVERIFY_JOBS),
        _worker(
            resources,
            {
                RECONCILE: reconciler.run,
                MONITOR_HOOKS: hook_monitor.run,
                READ_SUPER_ADMINS: super_admins.run,
                FETCH_TOKENS: BuyerTokenFetcher(resources, every_s=intervals.tokens_s, clock=clock).run,
                PROBE: jobs.probe,
            },
        ),
    ]


def _worker(
    resources: Resources,
    functions: Mapping[JobKind, Callable[..., Awaitable[object]]],
    max_jobs: int = STORE_JOBS,
) -> _PollingWorker:
    (queue,) = {kind.queue for kind in functions}

    def rebuild(job_id: str) -> bytes | None:
        bodies = (kind.rebuilt(job_id, resources.clock()) for kind in functions)
        return next((body for body in bodies if body is not None), None)

    return _PollingWorker(
        [func(cast("WorkerCoroutine", function), name=kind.function) for kind, function in functions.items()],
        queue_name=queue,
        redis_pool=resources.redis,
        max_jobs=max_jobs,
        poll_interval_s=LONGEST_POLL_INTERVAL_S,
        guards=_worklist_key,
        rebuild=rebuild,
        on_lease_lost=resources.metrics.leases_lost.inc,
        job_serializer=resources.redis.job_serializer,
        job_deserializer=resources.redis.job_deserializer,
    )


def _worklist_key(job_id: str) -> str | None:
    """The sorted set of orders that a store's job works through; None for other jobs."""
    match job_id.partition(":")[0]:
        case VERIFY.function:
            return verify_key(store_of(job_id))
        case REVERIFY.function:
            return reverify_key(store_of(job_id))
        case FOLLOW.function:
            return changed_key(store_of(job_id))
        case CHECK_SKIPPED.function:
            return skipped_key(store_of(job_id))
        case RETRY_SKIPPED.function:
            return people_due_key(store_of(job_id))
        case POLL_VALUES.function:
            return late_key(store_of(job_id))
        case WAKE_WAITING.function:
            return awaiting_value_key(store_of(job_id))
        case PROBE.function:
            return parked_key(store_of(job_id))
        case _:
            return None


async def _send_heartbeats(
    resources: Resources, name: str, workers: Sequence[LeasedWorker], turned: Callable[[], None] = lambda: None
) -> None:
    while True:
        try:
            await resources.queue.heartbeat(name, sum(worker.running for worker in workers))
        except TRANSIENT_ERRORS:
            pass
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="heartbeat")
        turned()
        await asyncio.sleep(HEARTBEAT_INTERVAL_S)


async def _log_actions(resources: Resources) -> None:
    """Log what people have done with commands, until cancelled. An outage of Redis does not end it."""
    while True:
        try:
            await audit.log_recorded(resources.redis)
        except TRANSIENT_ERRORS:
            pass
        except NoPermissionError:
            return  # ``_check_redis`` has logged which right is missing
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="actions")
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


async def _apply_configuration(
    resources: Resources,
    configuration: Configuration,
    changes: Changes,
    *,
    clock: Clock | None = None,
) -> None:
    """Use a new configuration from now on. Running attempts finish with the old one."""
    resources.configuration = configuration
    with suppress(*TRANSIENT_ERRORS):  # _ensure_periodic_jobs queues those of new stores within a minute
        await ensure_periodic_jobs(resources.redis, [*changes.added, *changes.changed], now_due=True, clock=clock)
        await _ensure_token_jobs(resources, clock=clock)


async def _ensure_token_jobs(resources: Resources, *, clock: Clock | None = None) -> None:
    stores = [configured.store for configured in resources.configuration.stores.values()]
    await ensure_token_jobs(resources.redis, stores, clock=clock)


async def _ensure_periodic_jobs(resources: Resources) -> None:
    """Keep the periodic jobs of all stores queued, at the start and in case Redis loses them."""
    while True:
        try:
            await ensure_periodic_jobs(resources.redis, resources.configuration.stores)
            await _ensure_token_jobs(resources)
        except TRANSIENT_ERRORS:
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)
            continue
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="periodic")
        await asyncio.sleep(ENSURE_JOBS_INTERVAL_S)
