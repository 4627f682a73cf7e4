"""How a backfill stands while it runs: a bar on a terminal, else a line every few seconds, both on stderr."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from service.orders.backfill.progress import BackfillProgress

TELL_EVERY_S = 10.0


class ProgressDisplay:
    """Its ``show`` is told how the backfill stands."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.fields[doing]}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("", total=None, doing="orders")
        self._told_at = 0.0
        self._workers = True
        self._trouble: str | None = None
        self._has_begun = False

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, course: BackfillProgress) -> None:
        """Show how it stands; what is new and matters is a line of its own."""
        if not self._has_begun and course.began_after:
            self._tell(tell_start(course.began_after))
        self._has_begun = True
        if bool(course.workers) != self._workers:
            self._workers = bool(course.workers)
            self._tell("Workers are running again." if course.workers else "No worker is running: nothing moves.")
        if course.trouble != self._trouble:
            self._trouble = course.trouble
            if course.trouble:
                self._tell(f"Nothing has ended for a while; order {min(course.in_hand)}: {course.trouble}")
        total = None if course.total is None else max(course.total, course.seen)
        doing = f"orders, {len(course.in_hand)} in hand"
        self._bar.update(self._task, completed=course.done, total=total, doing=doing)
        if not self._console.is_terminal and time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._told_at = time.monotonic()
            of = "" if total is None else f" of {total}"
            self._tell(f"{course.done}{of} orders done, {len(course.in_hand)} in hand")

    def _tell(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def tell_start(began_after: int) -> str:
    """That it is not the first run."""
    return f"An earlier run came to order {began_after}; this one goes on from there."
