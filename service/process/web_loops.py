"""The background loops of a process whose main work is a web server: they run as long as its application does."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

from service.process.background_loops import Loops

BackgroundTask = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def running_loops(background_tasks: Mapping[str, BackgroundTask | None]) -> AsyncIterator[None]:
    """Keep these loops running meanwhile. If one fails again and again, stop the process in order and exit 1."""
    stop = asyncio.Event()
    loops = Loops(stop)
    for name, background_task in background_tasks.items():
        if background_task is not None:
            loops.start(name, background_task)
    terminating = asyncio.create_task(_terminate(stop))
    try:
        yield
    finally:
        terminating.cancel()
        await loops.end()
        if loops.failed:
            # The web server is done by now, and its own way to end would exit 0.
            asyncio.get_running_loop().call_soon(sys.exit, 1)


async def _terminate(stop: asyncio.Event) -> None:
    await stop.wait()
    os.kill(os.getpid(), signal.SIGTERM)
