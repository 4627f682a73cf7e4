"""Keeps the background loops of a process running, so that none ends unnoticed while the process lives on."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from service.errors import EnrichError
from service.logs import Event
from service.process.task_cancellation import cancel_and_wait

log = structlog.get_logger()

# The delay before the first restart; it doubles with each restart that follows.
BACKOFF_S = 0.5
# With the delays above, a loop that fails at once gets about 16 s.
MAX_RESTARTS = 5
# A loop that ran for so long has recovered: its earlier failures no longer count.
RECOVERED_AFTER_S = 60.0


class LoopFailed(EnrichError):
    """A loop failed again and again, so the process should exit non-zero and be started again."""


@dataclass(slots=True)
class _Loop:
    name: str
    run: Callable[[], Coroutine[Any, Any, None]]
    may_end: bool
    stale_after_s: float | None
    turned_at: float
    task: "asyncio.Task[None] | None" = None


class Loops:
    """Runs loops as tasks and restarts one that ends or raises, with exponential backoff.

    When a loop fails ``max_restarts`` times in a row, ``failed`` names it and ``stop`` is set, so that the process
    can shut down in order. While ``stop`` is set, loops may end.
    """

    def __init__(self, stop: asyncio.Event, *, backoff_s: float = BACKOFF_S, max_restarts: int = MAX_RESTARTS) -> None:
        self.failed: str | None = None
        self._stop = stop
        self._backoff_s = backoff_s
        self._max_restarts = max_restarts
        self._loops: dict[str, _Loop] = {}

    def start(
        self,
        name: str,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        may_end: bool = False,
        stale_after_s: float | None = None,
    ) -> "asyncio.Task[None]":
        """Start a loop. With ``may_end`` it may return for good.

        With ``stale_after_s``, a loop that has not called ``turned`` for so long counts as stuck.
        """
        loop = _Loop(name, run, may_end, stale_after_s, _now())
        loop.task = asyncio.create_task(self._supervise(loop), name=name)
        self._loops[name] = loop
        return loop.task

    def turned(self, name: str) -> None:
        """Note that the loop has completed an iteration."""
        self._loops[name].turned_at = _now()

    def stuck(self) -> list[str]:
        """The names of the loops that have ended or hang; none while the process stops in order."""
        if self._stop.is_set() and self.failed is None:
            return []
        return [name for name, loop in self._loops.items() if name == self.failed or _is_stuck(loop)]

    async def end(self) -> None:
        """Cancel all loops and wait until they have ended."""
        await cancel_and_wait([loop.task for loop in self._loops.values() if loop.task])

    def raise_if_failed(self) -> None:
        """Raise LoopFailed if a loop failed for good."""
        if self.failed is not None:
            raise LoopFailed(self.failed)

    async def _supervise(self, loop: _Loop) -> None:
        failures = 0
        while True:
            started_at = _now()
            if await self._run(loop) or self._stop.is_set():
                return
            failures = 1 if _now() - started_at >= RECOVERED_AFTER_S else failures + 1
            if failures > self._max_restarts:
                log.error(Event.LOOP_FAILED, place=loop.name)
                self.failed = loop.name
                self._stop.set()
                return
            try:
                async with asyncio.timeout(self._backoff_s * 2 ** (failures - 1)):
                    await self._stop.wait()
                    return
            except TimeoutError:
                loop.turned_at = _now()

    async def _run(self, loop: _Loop) -> bool:
        """Run it until it ends; whether that is in order."""
        try:
            await loop.run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # A task that the loop waits for was cancelled, not the loop.
            log.exception(Event.INTERNAL_ERROR, place=loop.name)
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place=loop.name)
        else:
            if loop.may_end or self._stop.is_set():
                return True
            log.error(Event.INTERNAL_ERROR, place=loop.name, exception="the loop returned")
        return False


def _is_stuck(loop: _Loop) -> bool:
    if loop.task is None or loop.task.done():
        return not loop.may_end
    return loop.stale_after_s is not None and _now() - loop.turned_at > loop.stale_after_s


def _now() -> float:
    return asyncio.get_running_loop().time()
