"""Retries for long-running work: it outlasts failures of Redis and BigCommerce that take minutes."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from service.errors import TryAgain, WaitUntil
from service.redis.client import TRANSIENT_ERRORS

T = TypeVar("T")

# A failover of Redis takes seconds, an outage of BigCommerce minutes. What lasts longer needs a person.
REDIS_TIMEOUT_S = 60.0
UPSTREAM_TIMEOUT_S = 600.0

# Until the first answer, the cause may be a wrong address or the network. The user should hear of that soon.
FIRST_CALL_TIMEOUT_S = 5.0


async def retry_redis(call: Callable[[], Awaitable[T]]) -> T:
    """Call Redis, and retry transient errors for up to a minute. Raises the error of the last attempt."""
    async for attempt in stamina.retry_context(
        on=TRANSIENT_ERRORS, attempts=None, timeout=REDIS_TIMEOUT_S, wait_initial=0.1, wait_max=2.0
    ):
        with attempt:
            return await call()
    raise AssertionError("unreachable: retry_context ends by returning or raising")


async def retry_upstream(call: Callable[[], Awaitable[T]], *, timeout_s: float = UPSTREAM_TIMEOUT_S) -> T:
    """Call BigCommerce, and retry for ``timeout_s`` what may work later. Raises the error of the last attempt."""

    def should_retry(error: Exception) -> bool | float:
        return error.seconds if isinstance(error, WaitUntil) else isinstance(error, TryAgain)

    async for attempt in stamina.retry_context(
        on=should_retry, attempts=None, timeout=timeout_s, wait_initial=1.0, wait_max=15.0
    ):
        with attempt:
            return await call()
    raise AssertionError("unreachable: retry_context ends by returning or raising")
