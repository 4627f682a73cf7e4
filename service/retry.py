"""Trying again what may pass, where the first try is mostly the only one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

T = TypeVar("T")

RetryOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool | float]
"""What is tried again: by its type, or as a function says; a number is how many seconds to wait before."""


async def call_with_retry(
    call: Callable[[], Awaitable[T]],
    *,
    on: RetryOn,
    wait_initial: float,
    wait_max: float,
    wait_jitter: float = 0.0,
    at_most_s: float | None = None,
) -> T:
    """The call's answer; while its errors are ``on`` and ``at_most_s`` seconds are not over, it is made again.

    Times are in seconds; pauses grow. The last error is raised. stamina, which does it, costs more to set up than
    most of what is tried: so that is left until something has failed.
    """
    try:
        return await call()
    except Exception as error:
        verdict = on(error) if callable(on) and not isinstance(on, type) else isinstance(error, on)
        if verdict is False:
            raise
        await asyncio.sleep(wait_initial if verdict is True else verdict)
    async for attempt in stamina.retry_context(
        on=on, attempts=None, timeout=at_most_s, wait_initial=wait_initial, wait_max=wait_max, wait_jitter=wait_jitter
    ):
        with attempt:
            return await call()
    raise AssertionError("unreachable: retry_context ends by returning or raising")
