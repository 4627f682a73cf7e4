"""Retries with exponential backoff, for calls that mostly succeed at the first attempt."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

T = TypeVar("T")

RetryOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool | float]
"""The errors to retry: types, or a function that decides; a number that it returns is the wait in seconds."""


async def call_with_retry(
    call: Callable[[], Awaitable[T]],
    *,
    on: RetryOn,
    wait_initial: float,
    wait_max: float,
    wait_jitter: float = 0.0,
    at_most_s: float | None = None,
) -> T:
    """Make the call; retry it with exponential backoff while its errors match ``on``, for ``at_most_s`` seconds.

    Times are in seconds. Raises the last error. Setting up stamina, which does the retries, costs more than most of
    the calls, so it is set up only after the first attempt has failed.
    """
    try:
        return await call()
    except Exception as error:
        decision = on(error) if callable(on) and not isinstance(on, type) else isinstance(error, on)
        if decision is False:
            raise
        await asyncio.sleep(wait_initial if decision is True else decision)
    async for attempt in stamina.retry_context(
        on=on, attempts=None, timeout=at_most_s, wait_initial=wait_initial, wait_max=wait_max, wait_jitter=wait_jitter
    ):
        with attempt:
            return await call()
    raise AssertionError("unreachable: retry_context ends by returning or raising")
