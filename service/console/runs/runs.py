"""Runs: work for one person that takes longer than a page may, kept in the console's memory for ten minutes.

There is one run for each person and page: who asks again while it runs joins it, so that a second click or tab does
nothing twice. Nothing of a run is in Redis; a restart of the console forgets all of them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple

import structlog
from redis.exceptions import RedisError

from service.errors import EnrichError
from service.logs import Event
from service.process.task_cancellation import cancel_and_wait

log = structlog.get_logger()

KEEP_S = 600.0
"""How long a result can be looked at again."""

MAX_KEPT = 200
"""A result is some kilobytes; a buyer's page with long texts may have a megabyte."""

MAX_RUNNING = 10
"""So many wait for BigCommerce at the same time: they share the lowest priority of its quota."""

ANSWER_WITHIN_S = 1.0
"""How long a request waits for its run: most need less, and then nobody sees a page that says "reading"."""

# Shorter waits are not worth a word: calls of the lowest priority often wait a moment for their turn.
_TOLD_FROM_S = 2.0


class TooManyRuns(EnrichError):
    """So many runs are in progress that another one has to wait. The message is for the person."""


class RunKey(NamedTuple):
    """Whose run it is, and the path of the page that shows it."""

    owner: str
    path: str


@dataclass(slots=True)
class Run:
    """``result`` is None until it has ended well; ``error`` says why it has not. Times are Unix seconds."""

    begun_at: float
    ended_at: float | None = None
    result: Any = None
    error: str = ""
    doing: str = ""
    waits_until: float | None = None
    _clock: Callable[[], float] = time.time

    @property
    def is_running(self) -> bool:
        return self.ended_at is None

    @property
    def progress(self) -> str:
        """What it does or waits for now, as a sentence."""
        if self.waits_until is not None and (left := self.waits_until - self._clock()) > 0:
            return f"{self.doing}: waits {ceil(left)} s for BigCommerce's quota. Orders go first."
        return f"{self.doing or 'Reading from BigCommerce'} …"

    def does(self, what: str) -> None:
        """Note what it does now."""
        self.doing, self.waits_until = what, None

    def waits(self, operation: str, seconds: float) -> None:
        """Note that a call waits for the quota."""
        self.doing = operation
        self.waits_until = self._clock() + seconds if seconds >= _TOLD_FROM_S else None


Work = Callable[[Run], Awaitable[Any]]
"""What a run does; it notes its progress on the run. It may raise EnrichError and Redis's errors."""


@dataclass(slots=True)
class Runs:
    """The runs of all people. Times are those of ``clock``, in Unix seconds."""

    clock: Callable[[], float] = time.time
    _runs: dict[RunKey, Run] = field(default_factory=dict)
    _tasks: dict[RunKey, "asyncio.Task[None]"] = field(default_factory=dict)

    def find(self, key: RunKey) -> Run | None:
        """The person's last run for this page."""
        self._forget()
        return self._runs.get(key)

    def is_running(self, key: RunKey) -> bool:
        """Whether the person's run for this page is in progress."""
        return key in self._tasks

    def require_room(self) -> None:
        """Raise TooManyRuns where no run can start now."""
        if len(self._tasks) >= MAX_RUNNING:
            raise TooManyRuns(f"{MAX_RUNNING} requests wait for BigCommerce already. Try again in a minute.")

    def start(self, key: RunKey, work: Work) -> None:
        """Start the work, unless this run is in progress. Raises TooManyRuns."""
        if key in self._tasks:
            return
        self.require_room()
        self._runs.pop(key, None)  # so that it is the newest
        run = self._runs[key] = Run(self.clock(), _clock=self.clock)
        task = self._tasks[key] = asyncio.create_task(self._run(run, work))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def wait(self, key: RunKey, seconds: float = ANSWER_WITHIN_S) -> None:
        """Wait for the run to end, but no longer than this."""
        if task := self._tasks.get(key):
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(task), seconds)

    async def close(self) -> None:
        """Cancel all runs."""
        await cancel_and_wait(list(self._tasks.values()))

    async def _run(self, run: Run, work: Work) -> None:
        try:
            run.result = await work(run)
        except EnrichError as error:
            run.error = str(error)
        except RedisError:
            run.error = "Redis does not answer, so it is not known what to do. Try again."
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="console")
            run.error = "Something went wrong. The log says what (internal_error)."
        run.ended_at = self.clock()

    def _forget(self) -> None:
        limit = self.clock() - KEEP_S
        ended = [key for key, run in self._runs.items() if run.ended_at is not None]
        surplus = max(0, len(self._runs) - MAX_KEPT)
        for number, key in enumerate(ended):
            if number < surplus or (self._runs[key].ended_at or 0.0) < limit:
                del self._runs[key]
