"""Tasks that run together end together, also those that swallow a cancellation."""

import asyncio

import pytest

from service.process.task_cancellation import cancel_and_wait, run_together


async def test_a_task_that_swallows_its_first_cancellation_ends_with_the_others() -> None:
    swallowed = asyncio.Event()

    async def swallowing() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed.is_set():
                    raise
                swallowed.set()

    running = asyncio.create_task(run_together(swallowing(), asyncio.sleep(60)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await cancel_and_wait([running])
    assert swallowed.is_set()
    assert running.cancelled()


async def test_the_first_error_ends_all_and_is_raised() -> None:
    other = asyncio.Event()

    async def failing() -> None:
        raise ValueError("broken")

    async def running() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            other.set()

    with pytest.raises(ValueError, match="broken"):
        await run_together(running(), failing())
    assert other.is_set()
