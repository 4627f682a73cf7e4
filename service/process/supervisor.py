"""Several processes of this product run as one, for a single machine and for the demo."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.logs import Event
from service.process import parent_death as parent

log = structlog.get_logger()

# How long a process may take to end by itself; a worker finishes orders for up to 12 s.
PATIENCE_S = 20.0
# A process that cannot run at all must not be started over and over without a pause.
RESTART_PAUSE_S = 1.0


@dataclass(slots=True)
class _Child:
    name: str
    arguments: tuple[str, ...]
    process: asyncio.subprocess.Process


class Supervisor:
    """Starts Python modules as child processes, starts again what dies, and stops all in order.

    A child runs in a session of its own, so that Ctrl-C reaches only the parent, which then stops one after another.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        log_folder: Path | None = None,
        patience: float = PATIENCE_S,
        restart_pause: float = RESTART_PAUSE_S,
    ) -> None:
        """``environ`` is added to this process's; with ``log_folder`` a child's output goes to ``<name>.log``.

        ``patience`` is how many seconds a child gets to end before it is killed, ``restart_pause`` how many pass
        before one that ended by itself is started again.
        """
        self._environ = {**os.environ, **environ, parent.VARIABLE: str(os.getpid())}
        self._log_folder = log_folder
        self._patience = patience
        self._restart_pause = restart_pause
        self._children: list[_Child] = []
        self._watching: list[asyncio.Task[None]] = []

    async def start(self, name: str, *arguments: str, keep_alive: bool = True) -> asyncio.subprocess.Process:
        """Start ``python -m <arguments>``; with ``keep_alive`` it is started again whenever it ends by itself."""
        child = _Child(name, arguments, await self._spawn(name, arguments))
        self._children.append(child)
        if keep_alive:
            self._watching.append(asyncio.create_task(self._keep_alive(child)))
        return child.process

    def forward_signal(self, number: signal.Signals) -> None:
        """Send a signal to every child that runs."""
        for child in self._children:
            with suppress(ProcessLookupError):
                child.process.send_signal(number)

    async def stop(self) -> None:
        """Stop all children, the last started first, each with time to finish what it has in hand."""
        for task in self._watching:
            task.cancel()
        # One may be in the middle of starting its child again.
        await asyncio.gather(*self._watching, return_exceptions=True)
        for child in reversed(self._children):
            await self._end(child.process)

    async def _spawn(self, name: str, arguments: tuple[str, ...]) -> asyncio.subprocess.Process:
        with ExitStack() as stack:
            # It begins with this mask: a SIGHUP must not end what is about to listen to it, and is not there yet.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
            stack.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, [signal.SIGHUP])
            output = None
            if self._log_folder is not None:
                output = stack.enter_context((self._log_folder / f"{name}.log").open("ab"))
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # what lies in the current folder is not ours
                "-m",
                *arguments,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def _keep_alive(self, child: _Child) -> None:
        while True:
            code = await child.process.wait()
            log.error(Event.PROCESS_ENDED, process=child.name, exit_code=code)
            await asyncio.sleep(self._restart_pause)
            with suppress(OSError):  # the machine may be out of memory or processes: the next round tries again
                child.process = await self._spawn(child.name, child.arguments)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self._patience)
        except TimeoutError:
            process.kill()
            await process.wait()
