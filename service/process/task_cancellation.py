"""Cancelling tasks for certain."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any


async def cancel_and_wait(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until they end: Python 3.11's ``wait_for``, which redis-py uses, can swallow a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)


async def run_together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until one of them ends, or this is cancelled; then end the others. Raises what the first raised.

    A ``TaskGroup`` cancels its tasks only once: one that swallows that goes on, and the process cannot stop.
    """
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        await cancel_and_wait(tasks)
