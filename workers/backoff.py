"""Exponential backoff, retries of calls to Redis, and requeueing a job after an error."""

import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from arq import Retry

from service.logs import Event
from service.orders.state.transitions import StaleAttempt
from service.redis.client import TRANSIENT_ERRORS
from service.transient_retry import call_with_retry
from workers.job_leases import LeaseLost

log = structlog.get_logger()

T = TypeVar("T")

# How long Redis errors are retried inside an attempt. After that the whole attempt is made again.
REDIS_TIMEOUT_S = 2.0

MAX_BACKOFF_S = 900.0

# For old orders: somebody may be watching the progress of the backfill.
MAX_BACKFILL_BACKOFF_S = 60.0


def exponential_backoff(tries: int, *, longest_s: float = MAX_BACKOFF_S) -> float:
    """Seconds to wait after so many tries: doubles from two seconds up to ``longest_s``, with jitter."""
    return min(longest_s, 2.0 ** min(tries, 20)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


async def retry_redis(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call to Redis, and repeat it for up to two seconds while Redis is away. Raises its last error."""
    return await call_with_retry(call, on=TRANSIENT_ERRORS, at_most_s=REDIS_TIMEOUT_S, wait_initial=0.05, wait_max=0.5)


def requeue(ctx: dict[str, Any], error: Exception, *, longest_s: float = MAX_BACKOFF_S) -> Retry:
    """Log the error of a job and requeue it with exponential backoff; returns the Retry to raise."""
    if isinstance(error, LeaseLost):
        log.warning(Event.LEASE_LOST, job=ctx["job_id"])
    elif isinstance(error, (StaleAttempt, *TRANSIENT_ERRORS)):
        log.warning(Event.JOB_REQUEUED, job=ctx["job_id"], error=type(error).__name__)
    else:
        log.error(Event.JOB_CRASHED, job=ctx["job_id"], error=type(error).__name__, exc_info=error)
    return Retry(defer=exponential_backoff(ctx["job_try"], longest_s=longest_s))
