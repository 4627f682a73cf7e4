"""Work that takes hours outlasts trouble that takes minutes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import stamina

from service.errors import TryAgain, WaitUntil
from service.redis.client import TRANSIENT_ERRORS

T = TypeVar("T")

# A failover takes seconds, BigCommerce's trouble minutes; what lasts longer takes a person.
REDIS_PATIENCE_S = 60.0
UPSTREAM_PATIENCE_S = 600.0

# Before anything was answered, somebody waits to hear that the address or the network is at fault.
FIRST_PATIENCE_S = 5.0


async def retry_redis(call: Callable[[], Awaitable[T]]) -> T:
    """Ask Redis, if need be for a minute. Errors are those of the last try."""
    async for attempt in stamina.retry_context(
        on=TRANSIENT_ERRORS, attempts=None, timeout=REDIS_PATIENCE_S, wait_initial=0.1, wait_max=2.0
    ):
        with attempt:
            return await call()
    raise AssertionError("unreachable: retry_context ends by returning or raising")


async def retry_upstream(call: Callable[[], Awaitable[T]], *, patience_s: float = UPSTREAM_PATIENCE_S) -> T:
    """Ask BigCommerce, if need be for ten minutes: there is time for its trouble to pass. Errors as above."""

    def tell(error: Exception) -> bool | float:
        return error.seconds if isinstance(error, WaitUntil) else isinstance(error, TryAgain)

    async for attempt in stamina.retry_context(
        on=tell, attempts=None, timeout=patience_s, wait_initial=1.0, wait_max=15.0
    ):
        with attempt:
            return await call()
    raise AssertionError("unreachable: retry_context ends by returning or raising")


async def end(task: "asyncio.Task[Any]") -> None:
    """Cancel until it is so: Python 3.11's ``wait_for``, which redis-py uses, can swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1.0)
