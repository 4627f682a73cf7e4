"""Runs several processes of this product as one, for a single machine and for the demo."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from service.logs import Event
from service.process import parent_death as parent
from service.process.background_loops import Loops
from service.process.task_cancellation import cancel_and_wait

log = structlog.get_logger()

# How long a process may take to exit after SIGTERM; a worker finishes orders for up to 12 s.
STOP_TIMEOUT_S = 20.0
# So that a process that cannot run at all is not restarted without a break.
RESTART_DELAY_S = 1.0


@dataclass(slots=True)
class _Child:
    name: str
    arguments: tuple[str, ...]
    process: asyncio.subprocess.Process


class Supervisor:
    """Starts Python modules as child processes, restarts those that die, and stops all in order.

    Each child runs in a session of its own, so that Ctrl-C reaches only the parent, which then stops them one by one.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        log_folder: Path | None = None,
        lifeline: Callable[[], int | None] = lambda: None,
        loops: Loops | None = None,
        stop_timeout_s: float = STOP_TIMEOUT_S,
        restart_delay_s: float = RESTART_DELAY_S,
    ) -> None:
        """``environ`` is added to this process's environment.

        With ``log_folder`` a child's output goes to ``<name>.log`` there. ``lifeline`` gives the file descriptor that
        children inherit (``EmbeddedRedis.lifeline``). ``loops`` runs the tasks that restart
        children. A child that has not exited ``stop_timeout_s`` after SIGTERM is killed.
        """
        self._environ = {**os.environ, **environ, parent.PARENT_PID_VARIABLE: str(os.getpid())}
        self._log_folder = log_folder
        self._lifeline = lifeline
        self._loops = loops or Loops(asyncio.Event())
        self._stop_timeout_s = stop_timeout_s
        self._restart_delay_s = restart_delay_s
        self._children: list[_Child] = []
        self._restarting: list[asyncio.Task[None]] = []

    async def start(self, name: str, *arguments: str, keep_alive: bool = True) -> asyncio.subprocess.Process:
        """Start ``python -m <arguments>``; with ``keep_alive``, restart it whenever it exits by itself."""
        child = _Child(name, arguments, await self._spawn(name, arguments))
        self._children.append(child)
        if keep_alive:
            self._restarting.append(self._loops.start(name, partial(self._keep_alive, child)))
        return child.process

    def forward_signal(self, number: signal.Signals) -> None:
        """Send a signal to every running child."""
        for child in self._children:
            with suppress(ProcessLookupError):
                child.process.send_signal(number)

    async def stop(self) -> None:
        """Stop all children, the last started first; each gets time to finish its work."""
        # First: a child may be about to be restarted.
        await cancel_and_wait(self._restarting)
        for child in reversed(self._children):
            await self._end(child.process)

    async def _spawn(self, name: str, arguments: tuple[str, ...]) -> asyncio.subprocess.Process:
        with ExitStack() as stack:
            # The child inherits this mask: a SIGHUP must not end it before its handler is installed.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
            stack.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, [signal.SIGHUP])
            output = None
            if self._log_folder is not None:
                output = stack.enter_context((self._log_folder / f"{name}.log").open("ab"))
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # do not import modules from the current folder
                "-m",
                *arguments,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=() if (lifeline := self._lifeline()) is None else (lifeline,),
            )

    async def _keep_alive(self, child: _Child) -> None:
        while True:
            code = await child.process.wait()
            log.error(Event.PROCESS_ENDED, process=child.name, exit_code=code)
            await asyncio.sleep(self._restart_delay_s)
            with suppress(OSError):  # out of memory or processes: the next round tries again
                child.process = await self._spawn(child.name, child.arguments)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self._stop_timeout_s)
        except TimeoutError:
            process.kill()
            await process.wait()
