"""Long commands that Ctrl-C or SIGTERM stops in order."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from service.process.task_cancellation import cancel_and_wait

EXIT_STOPPED = 130
"""Exit code, as after any Ctrl-C: 128 plus the number of SIGINT."""


async def run_until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Run until the work is done or a signal comes; False when a signal stopped it.

    What follows in the command is not interrupted by further signals.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await cancel_and_wait([running])
    if running.cancelled():
        return False
    running.result()
    return True
